"""Which attributes and inputs ONNX's operators have in which opset: opsets.golden, from the schemas
of the onnx package (1.23.2).

<operator>.<attribute>: for opsets 7 to 28, the AttributeProto.type, 0 where there is none.
<operator>: for the same, how many inputs it has at least, and at most; -1: there is no operator."""
import pathlib

import numpy as np
import onnx.defs

import golden

OPSETS = range(7, 29)
arrays = {}
for name in sorted({s.name for s in onnx.defs.get_all_schemas_with_history() if s.domain == ""}):
    inputs = np.full((len(OPSETS), 2), -1, np.int8)
    for at, opset in enumerate(OPSETS):
        try:
            schema = onnx.defs.get_schema(name, opset, "")
        except onnx.defs.SchemaError:
            continue
        inputs[at] = schema.min_input, min(schema.max_input, 127)
        for attribute, what in schema.attributes.items():
            types = arrays.setdefault(f"{name}.{attribute}", np.zeros(len(OPSETS), np.int8))
            types[at] = what.type.value
    arrays[name] = inputs
golden.write(pathlib.Path(__file__).resolve().parent / "opsets.golden", arrays)
