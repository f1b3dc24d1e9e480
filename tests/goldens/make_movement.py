"""Layers that ONNX alone defines: ONNX Runtime's values (needs onnx and onnxruntime)."""
import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

import golden

HERE = pathlib.Path(__file__).parent
rng = np.random.default_rng(11)


def run(op, inputs, opset, **attributes):
    """The outputs of one node; inputs that are None are left out."""
    names = ["" if value is None else f"in{i}" for i, value in enumerate(inputs)]
    node = helper.make_node(op, names, ["out0"], **attributes)
    values = {n: v for n, v in zip(names, inputs) if n}
    kind = {n: helper.np_dtype_to_tensor_dtype(v.dtype) for n, v in values.items()}
    graph = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info(n, kind[n], v.shape) for n, v in values.items()],
        [onnx.ValueInfoProto(name="out0")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    model = onnx.shape_inference.infer_shapes(model)
    if not model.graph.output[0].type.WhichOneof("value"):
        model.graph.output[0].CopyFrom(
            helper.make_tensor_value_info("out0", kind.get("in0", TensorProto.FLOAT), None))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, values)


class Cases(dict):
    def add(self, case, op, inputs, opset=17, **attributes):
        inputs = [None if v is None else np.asarray(v) for v in inputs]
        for i, value in enumerate(inputs):
            if value is not None:
                self[f"{case}.in{i}"] = value
        self[f"{case}.out0"] = run(op, inputs, opset, **attributes)[0]


def i64(*values):
    return np.array(values, np.int64)


def movement():
    c = Cases()
    x = rng.standard_normal((4, 5, 6)).astype(np.float32)
    c.add("slice.plain", "Slice", [x, i64(1, 0), i64(3, 4)])
    c.add("slice.negative", "Slice", [x, i64(-3), i64(-1), i64(-1)])
    c.add("slice.backwards", "Slice", [x, i64(-1), i64(-(2**63)), i64(1), i64(-1)])
    c.add("slice.backwards2", "Slice", [x, i64(4, 5), i64(0, -7), i64(1, 2), i64(-2, -3)])
    c.add("slice.steps", "Slice", [x, i64(0, 1), i64(2**63 - 1, 100), i64(0, 2), i64(3, 2)])
    c.add("slice.empty", "Slice", [x, i64(3), i64(1), i64(0)])
    c.add("slice.beyond", "Slice", [x, i64(-100), i64(100), i64(2)])
    c.add("slice.i32", "Slice", [x.astype(np.float16), np.array([1], np.int32),
                                 np.array([3], np.int32)])
    c.add("slice.opset9", "Slice", [x], opset=9, starts=[1, -2], ends=[4, 100], axes=[0, 2])
    c.add("gather.negative", "Gather", [x, i64(-1, 0, 2)], axis=1)
    c.add("gather.matrix", "Gather", [x, i64(0, 3, 1, 1).reshape(2, 2)], axis=0)
    c.add("gather.scalar", "Gather", [x, np.array(-2, np.int64)], axis=2)
    c.add("gather.i32", "Gather", [x, np.array([1, 1], np.int32)], axis=-1)
    for perm in ((0, 2, 1), (2, 0, 1), (1, 0, 2), (2, 1, 0)):
        c.add("transpose." + "".join(map(str, perm)), "Transpose", [x], perm=perm)
    c.add("transpose.default", "Transpose", [x])
    for suffix, dtype in (("u8", np.uint8), ("i64", np.int64), ("f64", np.float64),
                          ("f16", np.float16), ("bool", np.bool_)):
        c.add("transpose." + suffix, "Transpose", [(x * 5).astype(np.int8).astype(dtype)],
              perm=(2, 0, 1))
    y, z = x[:, :2] + 1, x[:, :1] - 1
    c.add("concat.1", "Concat", [x, y, z], axis=1)
    c.add("concat.0", "Concat", [x, x + 1], axis=0)
    c.add("concat.-1", "Concat", [x, x + 1, x[:, :, :0]], axis=-1)
    c.add("concat.one", "Concat", [x], axis=1)
    golden.write(HERE / "movement.golden", c)


def pads():
    c = Cases()
    x = rng.standard_normal((2, 3, 4)).astype(np.float32)
    seven = np.array(7.5, np.float32)
    c.add("constant", "Pad", [x, i64(0, 1, 2, 1, 0, 3), seven])
    c.add("zero", "Pad", [x, i64(0, 0, 1, 0, 2, 1)])
    c.add("crop", "Pad", [x, i64(0, -1, 2, 0, 0, -3), seven])
    c.add("crop_all", "Pad", [x, i64(0, 0, -5, 0, 0, 3), seven])
    c.add("reflect", "Pad", [x, i64(1, 2, 3, 0, 1, 2)], mode="reflect")
    c.add("edge", "Pad", [x, i64(1, 2, 5, 0, 1, 6)], mode="edge")
    c.add("edge_crop", "Pad", [x, i64(0, -1, 2, 0, 1, -2)], mode="edge")
    c.add("wrap", "Pad", [x, i64(1, 2, 3, 0, 1, 4)], opset=19, mode="wrap")
    c.add("axes", "Pad", [x, i64(1, 2, 3, 4), None, i64(-1, 0)], opset=18)
    c.add("opset10", "Pad", [x], opset=10, pads=[0, 0, 1, 0, 1, 2], value=-2.5)
    c.add("i64", "Pad", [(x * 9).astype(np.int64), i64(0, 1, 0, 1, 0, 1), np.array(3, np.int64)])
    golden.write(HERE / "pad.golden", c)


def shapes():
    c = Cases()
    x = rng.standard_normal((2, 3, 4)).astype(np.float32)
    empty = np.zeros((0, 3), np.float32)
    c.add("reshape.plain", "Reshape", [x, i64(6, 4)])
    c.add("reshape.inferred", "Reshape", [x, i64(0, -1)])
    c.add("reshape.zero", "Reshape", [x, i64(0, 4, 3)])
    c.add("reshape.allowzero", "Reshape", [empty, i64(3, 0)], allowzero=1)
    c.add("reshape.scalar", "Reshape", [np.array([5.0], np.float32), np.zeros(0, np.int64)])
    c.add("shape.all", "Shape", [x])
    c.add("shape.part", "Shape", [x], start=-2)
    c.add("shape.end", "Shape", [x], start=0, end=-1)
    c.add("shape.none", "Shape", [x], start=2, end=1)
    for axis in (0, 1, 2, 3, -1):
        c.add(f"flatten.{axis}", "Flatten", [x], axis=axis)
    ones = x.reshape(1, 2, 1, 12)
    c.add("squeeze.all", "Squeeze", [ones])
    c.add("squeeze.axes", "Squeeze", [ones, i64(-2)])
    c.add("squeeze.opset11", "Squeeze", [ones], opset=11, axes=[0, 2])
    c.add("unsqueeze.axes", "Unsqueeze", [x, i64(0, -1)])
    c.add("unsqueeze.opset11", "Unsqueeze", [x], opset=11, axes=[1, 3])
    c.add("constantofshape.default", "ConstantOfShape", [i64(2, 3)])
    c.add("constantofshape.scalar", "ConstantOfShape", [np.zeros(0, np.int64)])
    c.add("constantofshape.i64", "ConstantOfShape", [i64(4)],
          value=helper.make_tensor("v", TensorProto.INT64, [1], [-7]))
    c.add("cast.i64", "Cast", [x * 9], to=TensorProto.INT64)
    c.add("cast.f16", "Cast", [x], to=TensorProto.FLOAT16)
    c.add("cast.bool", "Cast", [np.array([0.0, 0.5, -1.0], np.float32)], to=TensorProto.BOOL)
    c.add("cast.f64", "Cast", [i64(1, -2, 2**40)], to=TensorProto.DOUBLE)
    golden.write(HERE / "shape.golden", c)


def onnx_only():
    """What ONNX says beside PyTorch's layers."""
    c = Cases()
    x = rng.standard_normal((2, 3, 4)).astype(np.float32)
    c.add("softmax.opset11", "Softmax", [x], opset=11, axis=1)
    c.add("softmax.opset13", "Softmax", [x], opset=13, axis=1)
    c.add("clip.both", "Clip", [x, np.array(-0.5, np.float32), np.array(0.25, np.float32)])
    c.add("clip.max", "Clip", [x, None, np.array(0.25, np.float32)])
    c.add("clip.opset10", "Clip", [x], opset=10, min=-0.5, max=0.25)
    c.add("mean.input", "ReduceMean", [x, i64(1, -1)], opset=18)
    c.add("mean.noop", "ReduceMean", [x, np.zeros(0, np.int64)], opset=18,
          noop_with_empty_axes=1)
    c.add("mean.all", "ReduceMean", [x], opset=18, keepdims=0)
    c.add("pow.int_exponent", "Pow", [x, i64(2)])
    c.add("pow.float_exponent", "Pow", [i64(2, 3, 9), np.array([2.0, 1.0, 0.5], np.float32)])
    c.add("pow.i32_i64", "Pow", [np.array([2, -3], np.int32), i64(3, 2)])
    golden.write(HERE / "onnx_layers.golden", c)


movement()
pads()
shapes()
onnx_only()
