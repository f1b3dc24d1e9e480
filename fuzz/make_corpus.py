#!/usr/bin/python3
"""Write the fuzzers' seeds to fuzz/corpus: tiny models with what the reader has branches for.

Needs python3-onnx.
"""
import pathlib

import numpy as np
from onnx import TensorProto, helper, numpy_helper

F32 = TensorProto.FLOAT
OUT = pathlib.Path(__file__).resolve().parent / "corpus"


def values(name, *shape, raw=True):
    array = np.linspace(0.5, 1.5, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    if raw:
        return numpy_helper.from_array(array, name)
    return helper.make_tensor(name, F32, shape, array.ravel())


def write(name, nodes, initializers, inputs=(("x", ["n", 2, 4, 4]),), opset=17, ir=8):
    graph = helper.make_graph(
        nodes, name, [helper.make_tensor_value_info(n, F32, s) for n, s in inputs],
        [helper.make_tensor_value_info("y", F32, None)], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)
    (OUT / f"{name}.onnx").write_bytes(model.SerializeToString())


def batch_norm(raw=True):
    return [values(f"bn.{n}", 2, raw=raw) for n in ("weight", "bias", "mean", "var")]


BN = ["bn.weight", "bn.bias", "bn.mean", "bn.var"]


def main():
    OUT.mkdir(exist_ok=True)
    node = helper.make_node
    conv = node("Conv", ["x", "conv.weight"], ["c"], pads=[1, 1, 1, 1])
    norm = node("BatchNormalization", ["c", *BN], ["b"], epsilon=1e-3)
    relu = node("Relu", ["b"], ["y"])
    write("chain", [conv, norm, relu], [values("conv.weight", 2, 2, 3, 3), *batch_norm()])
    write("typed", [conv, norm, relu],
          [values("conv.weight", 2, 2, 3, 3, raw=False), *batch_norm(raw=False)])
    write("ir3", [conv, norm, relu], [values("conv.weight", 2, 2, 1, 1), *batch_norm()], opset=7,
          ir=3, inputs=[("x", [1, 2, 4, 4]), ("conv.weight", [2, 2, 1, 1]), *[(n, [2]) for n in BN]])
    write("transposed", [node("ConvTranspose", ["x", "conv.weight"], ["c"], group=2), norm, relu],
          [values("conv.weight", 2, 1, 2, 2), *batch_norm()])
    write("linear", [node("Flatten", ["x"], ["f"]),
                     node("Gemm", ["f", "fc.weight", "fc.bias"], ["c"], transB=1), norm, relu],
          [values("fc.weight", 2, 32), values("fc.bias", 2), *batch_norm()])
    branch = helper.make_graph([node("Identity", ["c"], ["i"])], "branch", [],
                               [helper.make_tensor_value_info("i", F32, None)])
    write("subgraph", [
        conv, node("Constant", [], ["yes"], value=helper.make_tensor("v", TensorProto.BOOL, [], [1])),
        node("If", ["yes"], ["y"], then_branch=branch, else_branch=branch)],
        [values("conv.weight", 2, 2, 3, 3)])
    shape = numpy_helper.from_array(np.array([0, -1], np.int64), "shape")
    write("shapes", [node("Shape", ["x"], ["s"]), node("Reshape", ["x", "shape"], ["r"]),
                     node("Unknown", ["r", "s"], ["y"], domain="example", text="a")], [shape])


if __name__ == "__main__":
    main()
