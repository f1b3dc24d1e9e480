"""One small model for each way of calling an operator, its inputs, and what ONNX Runtime computes
with it (the onnx package's reference evaluator where ONNX Runtime has no kernel): operators.golden.
Where both have one, they must agree (onnx 1.23.2, onnxruntime 1.32.0).

<i>.name, .model (an ONNX file's bytes), .in<k>, .out<k>; .constant is the model with the inputs in
it as initializers, which cleaning computes: all that is left to run is a Where in front of each
output, since cleaning leaves a node that gives an output of the graph."""
import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import helper as h
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

import golden

HERE = pathlib.Path(__file__).resolve().parent
random = np.random.default_rng(29)
cases = []


def floats(*shape, low=-2., high=2., dtype=np.float32):
    return random.uniform(low, high, shape).astype(dtype)


def ints(*values, dtype=np.int64):
    return np.array(values, dtype)


def whole(*shape, low=-9, high=9, dtype=np.int64):
    return random.integers(low, high, shape).astype(dtype)


def case(op, *inputs, outputs=1, opset=18, name="", **attributes):
    """`None` leaves an input out."""
    inputs = [x if x is None else np.asarray(x) for x in inputs]
    cases.append((op, inputs, outputs, opset, name, attributes))


# ---- The model of a case, and its outputs ----

def outputs_of(node, opset, infos, held):
    """Their dtypes must be said; their shapes stay nnfuse's to find."""
    empty = [h.make_empty_tensor_value_info(name) for name in node.output]
    model = onnx.shape_inference.infer_shapes(
        made(h.make_graph([node], "operator", infos, empty, held), opset))
    for info in model.graph.output:
        kind = info.type.tensor_type.elem_type or infos[0].type.tensor_type.elem_type
        yield h.make_tensor_value_info(info.name, kind, None)


def made(graph, opset):
    return h.make_model(graph, ir_version=8, opset_imports=[h.make_opsetid("", opset)])


def models_of(op, inputs, outputs, opset, attributes):
    """The model with its inputs, and with constants in their place."""
    names = ["" if x is None else f"x{i}" for i, x in enumerate(inputs)]
    given = [(name, x) for name, x in zip(names, inputs) if name]
    infos = [h.make_tensor_value_info(name, h.np_dtype_to_tensor_dtype(x.dtype), x.shape)
             for name, x in given]
    held = [numpy_helper.from_array(x, name) for name, x in given]
    node = h.make_node(op, names, [f"y{i}" for i in range(outputs)], name="node", **attributes)
    results = list(outputs_of(node, opset, infos, held))
    model = made(h.make_graph([node], "operator", infos, results), opset)

    go = h.make_tensor_value_info("go", onnx.TensorProto.BOOL, [])
    last = [h.make_node("Where", ["go", r.name, r.name], [f"z_{r.name}"]) for r in results]
    for r in results:
        r.name = f"z_{r.name}"
    constant = made(h.make_graph([node, *last], "operator", [go], results, held), opset)
    return model, constant


def computed_by_runtime(model, feeds):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options,
                                               ["CPUExecutionProvider"])
        return session.run(None, feeds)
    except Exception as error:  # pylint: disable=broad-except
        print(f"  {model.graph.node[0].op_type}: {str(error)[:440]}")
        return None


def computed_by_reference(model, feeds):
    try:
        return ReferenceEvaluator(model).run(None, feeds)
    except Exception:  # pylint: disable=broad-except
        return None


def agree(a, b):
    return all(x.shape == y.shape and x.dtype == y.dtype and
               np.allclose(x.astype(np.float64), y.astype(np.float64), 1e-3 if x.dtype == np.float16
                           else 1e-5, 1e-6, equal_nan=True) for x, y in zip(a, b))


def write():
    out = {}
    for i, (op, inputs, outputs, opset, name, attributes) in enumerate(cases):
        title = " ".join(filter(None, [op, name, *(f"{k}={v}" for k, v in attributes.items())]))
        model, constant = models_of(op, inputs, outputs, opset, attributes)
        feeds = {f"x{k}": x for k, x in enumerate(inputs) if x is not None}
        runtime, reference = (computed_by_runtime(model, feeds),
                              computed_by_reference(model, feeds))
        if runtime is None and reference is None:
            raise RuntimeError(f"nobody computes {title}")
        if runtime is not None and reference is not None and not agree(runtime, reference):
            print(f"{title}: ONNX Runtime and the reference differ; ONNX Runtime's is taken")
        out[f"{i}.name"] = np.frombuffer(title.encode(), np.uint8)
        out[f"{i}.model"] = np.frombuffer(model.SerializeToString(), np.uint8)
        out[f"{i}.constant"] = np.frombuffer(constant.SerializeToString(), np.uint8)
        for k, x in enumerate(x for x in inputs if x is not None):
            out[f"{i}.in{k}"] = x
        for k, y in enumerate(runtime if runtime is not None else reference):
            out[f"{i}.out{k}"] = np.asarray(y)
    golden.write(HERE / "operators.golden", out)
    print(f"{len(cases)} cases, {(HERE / 'operators.golden').stat().st_size} bytes")


# ---- The cases ----

def generating():
    case("Range", ints(2)[0], ints(11)[0], ints(3)[0])
    case("Range", ints(5)[0], ints(-4)[0], ints(-2)[0], name="downwards")
    case("Range", *(np.float32(v) for v in (0.5, 3, 0.4)), name="of floats")
    case("Range", ints(3)[0], ints(3)[0], ints(1)[0], name="of nothing")
    case("Size", floats(3, 4, 2))
    case("OneHot", ints(0, 2, -1, 7), ints(4), floats(2))
    case("OneHot", whole(2, 3, low=0, high=4), ints(4), ints(0, 1), axis=1)
    case("EyeLike", floats(3, 5))
    case("EyeLike", floats(4, 3), k=-1, dtype=onnx.TensorProto.INT64)
    case("EyeLike", floats(4, 4), k=2)
    for upper in (0, 1):
        case("Trilu", floats(4, 5), upper=upper)
        case("Trilu", floats(2, 4, 3), ints(-1)[0], upper=upper)
        case("Trilu", whole(3, 3), ints(2)[0], upper=upper)
    case("NonZero", np.array([[1, 0, 2], [0, 0, 3]], np.float32))
    case("NonZero", np.array([True, False, True]))
    case("ConstantOfShape", ints(2, 3), value=h.make_tensor("v", 7, [1], [9]))
    case("ConstantOfShape", ints(2, 0))
    case("Shape", floats(2, 3, 4), start=-2)
    case("CumSum", floats(3, 4), np.int64(1))
    case("CumSum", floats(3, 4), np.int32(-2), exclusive=1)
    case("CumSum", whole(3, 4), np.int64(1), reverse=1)
    case("CumSum", floats(5), np.int64(0), reverse=1, exclusive=1)


def indexing():
    x = floats(3, 4, 2)
    case("Gather", x, ints(2, 0, -1), axis=0)
    case("Gather", x, ints([0, 3], [1, -2]), axis=1)
    case("GatherElements", x, whole(3, 2, 2, low=-4, high=4), axis=1)
    case("GatherElements", whole(3, 3), whole(2, 3, low=0, high=3, dtype=np.int32), axis=0)
    case("GatherND", x, ints([0, 1], [2, -1]))
    case("GatherND", x, ints([[0], [2]]))
    case("GatherND", x, ints([1], [0], [-1]), batch_dims=1)
    for reduction in ("none", "add", "mul", "max", "min"):
        indices = ints([0, 2, 1], [0, 0, -1])  # an index twice, where the order is free
        if reduction == "none":
            indices = ints([0, 2, 1], [1, 0, -1])
        case("ScatterElements", floats(3, 3), indices, floats(2, 3), axis=0, reduction=reduction)
        case("ScatterND", floats(4, 3), ints([1], [3]) if reduction == "none" else ints([1], [1]),
             floats(2, 3), reduction=reduction)
    case("ScatterElements", whole(2, 4), ints([3, 0], [1, -1]), whole(2, 2), axis=1)
    case("ScatterND", x, ints([0, 1], [2, 3]), floats(2, 2), opset=16)
    case("ScatterND", whole(6), ints([4], [-5]), whole(2), opset=13)


def ordering():
    tied = whole(3, 4, 2, low=0, high=3, dtype=np.float32)
    for op in ("ArgMax", "ArgMin"):
        case(op, tied, axis=1)
        case(op, tied, axis=-1, keepdims=0)
        case(op, tied, axis=0, select_last_index=1)
        case(op, whole(5, 3, dtype=np.int32), axis=0)
    for largest in (0, 1):
        case("TopK", floats(3, 7), ints(4), outputs=2, largest=largest)
        case("TopK", tied, ints(2), outputs=2, axis=1, largest=largest)
        case("TopK", whole(9), ints(3), outputs=2, axis=0, largest=largest)
    case("TopK", floats(2, 3, dtype=np.float64), ints(0), outputs=2)
    case("Hardmax", tied, axis=1)
    case("Hardmax", tied, axis=1, opset=11)


def deciding():
    odd = np.array([1, np.nan, np.inf, -np.inf, 0], np.float32)
    case("IsNaN", odd)
    case("IsInf", odd)
    case("IsInf", odd, detect_negative=0)
    case("IsInf", odd, detect_positive=0)
    yes, no = np.array([True, False, True]), np.array([[True], [False]])
    case("Not", yes)
    for op in ("And", "Or", "Xor"):
        case(op, yes, no)
    case("Where", no, floats(2, 3), floats(3))
    case("Where", yes, whole(2, 3), whole(2, 1))
    case("Where", np.array(True), floats(2), floats(2))
    for op in ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"):
        case(op, whole(2, 4, low=0, high=3), whole(4, low=0, high=3))
        case(op, odd, np.array([1, 1, np.inf, 0, -0.], np.float32))
        case(op, whole(4, dtype=np.float64), whole(4, dtype=np.float64))
    for dtype in (np.int32, np.uint8):
        given = whole(2, 3, low=0, high=99, dtype=dtype), whole(3, low=0, high=99, dtype=dtype)
        for op in ("BitwiseAnd", "BitwiseOr", "BitwiseXor"):
            case(op, *given)
        case("BitwiseNot", given[0])
    for direction in ("LEFT", "RIGHT"):
        case("BitShift", ints(200, 7, 1, 255, dtype=np.uint8), ints(1, 3, 7, 2, dtype=np.uint8),
             direction=direction)


def arithmetic():
    for dtype in (np.float32, np.float64, np.int32, np.int64):
        a, b = whole(3, 4, dtype=dtype), whole(4, low=1, dtype=dtype)
        for op in ("Add", "Sub", "Mul", "Div", "Min", "Max"):
            case(op, a, b)
    case("Div", floats(3, 4), np.float32(0.7), name="by a scalar")
    case("Mod", whole(8), ints(3, -3, 2, -7, 5, -5, 4, 1))
    case("Mod", whole(8), ints(3, -3, 2, -7, 5, -5, 4, 1), fmod=1)
    case("Mod", floats(6, low=-9, high=9), floats(6, low=1, high=3), fmod=1)
    case("Pow", floats(3, 4, low=.1), ints(2)[0])
    case("Pow", whole(5, low=1), ints(3)[0])
    case("Pow", floats(4, low=.1), floats(4))
    for op in ("Sum", "Mean", "Max", "Min"):
        case(op, floats(2, 3), floats(3), floats(2, 1))
        case(op, floats(3))
    case("PRelu", floats(2, 3, 4), floats(3, 1))
    case("Clip", whole(7), ints(-3)[0], ints(4)[0])
    case("Clip", floats(7), None, np.float32(.5))
    case("Clip", floats(7), np.float32(-.5))
    case("Clip", floats(7), opset=10, min=-.25, max=.75)
    for to in (1, 2, 6, 7, 9, 10, 11):
        least = 2.5 if to == onnx.TensorProto.UINT8 else -2.5  # what does not fit is undefined
        case("Cast", np.array([0, 1.5, least, 3.999, 100], np.float32), to=to)
        case("Cast", ints(0, 1, -3, 77), to=to)
    case("CastLike", floats(4, low=0, high=9), ints(0))


def functions():
    inside, outside = floats(3, 5, low=-.95, high=.95), floats(3, 5, low=1.05, high=4)
    for op in ("Acos", "Asin", "Atan", "Atanh", "Ceil", "Cos", "Cosh", "Erf", "Exp", "Floor", "Neg",
               "Abs", "Sign", "Sin", "Sinh", "Tan", "Tanh", "Softsign", "Softplus", "Asinh"):
        case(op, inside)
    for op in ("Acosh", "Log", "Reciprocal", "Sqrt"):
        case(op, outside)
    case("Round", np.array([.5, 1.5, -2.5, 2.4999998, -.5, 7], np.float32))
    case("Sign", np.array([-0., 0, np.inf, -3], np.float32))
    for op in ("Abs", "Neg", "Sign"):
        case(op, whole(5))
        case(op, whole(5, dtype=np.float64))
    case("Elu", floats(9), alpha=.7)
    case("Celu", floats(9), alpha=1.3)
    case("Selu", floats(9))
    case("Selu", floats(9), alpha=1.1, gamma=1.2)
    case("HardSigmoid", floats(9, low=-5, high=5), alpha=.3, beta=.4)
    case("HardSwish", floats(9, low=-5, high=5))
    case("LeakyRelu", floats(9), alpha=.3)
    case("Mish", floats(9))
    case("Shrink", floats(9), lambd=.8, bias=.2)
    case("ThresholdedRelu", floats(9), alpha=.6)
    case("Gelu", floats(9), opset=20)
    case("Gelu", floats(9), opset=20, approximate="tanh")
    for op in ("Softmax", "LogSoftmax"):
        case(op, floats(3, 4, 2), axis=1)
        case(op, floats(3, 4, 2), axis=1, opset=11)
        case(op, floats(3, 4, dtype=np.float64))


def reducing():
    x = floats(3, 4, 2, low=.2)
    for op in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare"):
        case(f"Reduce{op}", x, ints(1), opset=18)
        case(f"Reduce{op}", x, ints(-1, 0), opset=18, keepdims=0)
        case(f"Reduce{op}", x, opset=18)
        case(f"Reduce{op}", x, None, opset=18, noop_with_empty_axes=1)
        if op != "Sum":
            case(f"Reduce{op}", x, opset=13, axes=[2], keepdims=0)
    case("ReduceSum", x, opset=11, axes=[0, 2])
    for op in ("Max", "Min", "Sum", "Prod", "Mean"):
        case(f"Reduce{op}", whole(3, 4, dtype=np.int32), ints(1))
    case("ReduceMax", floats(2, 3, dtype=np.float64), ints(0))


def arranging():
    x = floats(2, 6, 3)
    case("Split", x, ints(1, 3, 2), outputs=3, axis=1)
    case("Split", x, outputs=3, axis=1, num_outputs=3)
    case("Split", floats(7), outputs=3, num_outputs=3, name="unevenly")
    case("Split", x, outputs=2, axis=-2, opset=13)
    case("Split", x, outputs=2, axis=1, split=[4, 2], opset=11)
    case("Expand", floats(3, 1), ints(2, 1, 4))
    case("Expand", whole(4), ints(3, 4))
    case("Expand", floats(1), ints(2, 0))
    case("Tile", floats(2, 3), ints(2, 2))
    case("Tile", whole(2, 1, 2), ints(1, 3, 0))
    case("Concat", floats(2, 3), floats(2, 1), floats(2, 0), axis=1)
    case("DepthToSpace", floats(1, 8, 2, 3), blocksize=2)
    case("DepthToSpace", floats(2, 8, 2, 3), blocksize=2, mode="CRD")
    case("SpaceToDepth", floats(1, 2, 4, 6), blocksize=2)
    case("Slice", x, ints(0, 5), ints(2, -7), ints(0, 1), ints(1, -2))
    case("Slice", x, ints(-3), ints(np.iinfo(np.int64).max), ints(2))
    case("Slice", x, opset=9, starts=[1, 0], ends=[5, 2], axes=[1, 2])
    case("Pad", floats(2, 3), ints(0, 2, 1, -1), np.float32(1.5))
    case("Pad", floats(2, 4), ints(1, 2, 0, 1), mode="reflect")
    case("Pad", floats(2, 3), ints(0, 2, 0, 1), mode="edge")
    case("Pad", floats(3), ints(1, 2), mode="wrap", opset=19)
    case("Pad", floats(2, 3), ints(2, 1), None, ints(-1))
    case("Squeeze", floats(1, 3, 1), ints(0))
    case("Squeeze", floats(1, 3, 1))
    case("Unsqueeze", floats(3, 2), ints(0, -1))
    case("Transpose", x)
    case("Transpose", whole(2, 3, 4), perm=[1, 2, 0])
    case("Reshape", x, ints(0, -1))
    case("Reshape", floats(0, 3), ints(3, 0), allowzero=1)
    case("Flatten", x, axis=2)
    case("Flatten", x, axis=-1)


def normalizing():
    x = floats(2, 4, 3, 3)
    case("LayerNormalization", x, floats(3, 3), floats(3, 3), axis=2)
    case("LayerNormalization", x, floats(3), axis=-1, epsilon=1e-3)
    case("LayerNormalization", floats(2, 5), floats(5), floats(5), outputs=3)
    case("InstanceNormalization", x, floats(4), floats(4), epsilon=1e-2)
    case("InstanceNormalization", floats(2, 3, 7), floats(3), floats(3))
    case("GroupNormalization", x, floats(4), floats(4), num_groups=2, opset=21)
    case("RMSNormalization", floats(2, 5), floats(5), opset=23)
    case("LpNormalization", floats(2, 5, 3), axis=1, p=1)
    case("LpNormalization", floats(2, 5, 3), axis=-1)
    case("LRN", floats(1, 7, 2, 2), size=3)
    case("LRN", floats(1, 7, 3, 1), size=5, alpha=.02, beta=.6, bias=2.)
    case("BatchNormalization", x, floats(4), floats(4), floats(4), floats(4, low=.1))
    for dtype in (np.float64, np.float16):
        case("LayerNormalization", floats(2, 6, dtype=dtype), floats(6, dtype=dtype),
             floats(6, dtype=dtype))


def resizing():
    x = floats(1, 2, 4, 5)
    up, down = np.array([1, 1, 2, 1.6], np.float32), np.array([1, 1, .5, .6], np.float32)
    spaces = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric",
              "half_pixel_symmetric")
    for mode in ("nearest", "linear", "cubic"):
        for space in spaces:
            for scales in (up, down):
                case("Resize", x, None, scales, mode=mode, coordinate_transformation_mode=space,
                     opset=19)
        case("Resize", x, None, None, ints(1, 2, 7, 3), mode=mode)
        case("Resize", x, None, None, ints(3, 9), mode=mode, axes=[2, 3])
    for rounding in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
        case("Resize", x, None, up, nearest_mode=rounding)
    case("Resize", x, None, down, mode="cubic", cubic_coeff_a=-.5, exclude_outside=1)
    for mode in ("linear", "cubic"):
        case("Resize", x, None, down, mode=mode, antialias=1)
        case("Resize", x, None, None, ints(1, 2, 3, 3), mode=mode, antialias=1)
    for policy in ("not_larger", "not_smaller"):
        case("Resize", x, None, None, ints(7, 9), axes=[2, 3], keep_aspect_ratio_policy=policy)
    case("Resize", x, np.array([0, 0, .2, .3, 1, 1, .8, .9], np.float32), None, ints(1, 2, 3, 4),
         mode="linear", coordinate_transformation_mode="tf_crop_and_resize",
         extrapolation_value=9.)
    case("Resize", x, np.array([0, 0, -.4, .3, 1, 1, .8, 1.5], np.float32), None, ints(1, 2, 5, 4),
         mode="linear", coordinate_transformation_mode="tf_crop_and_resize",
         extrapolation_value=9.)
    case("Resize", x, up, opset=10)
    case("Resize", x, up, opset=10, mode="linear")
    case("Upsample", x, np.array([1, 1, 2, 3], np.float32), opset=9)
    case("Upsample", x, np.array([1, 1, 2, 3], np.float32), opset=9, mode="linear")
    case("Resize", floats(1, 1, 5), None, np.array([1, 1, 2.5], np.float32), mode="linear")
    case("Resize", whole(1, 1, 2, 2, dtype=np.int32), None, None, ints(1, 1, 4, 3))


def multiplying():
    case("Gemm", floats(3, 4), floats(4, 5), floats(5), alpha=.5, beta=.25)
    case("Gemm", floats(4, 3), floats(5, 4), transA=1, transB=1)
    case("Gemm", floats(3, 4), floats(4, 2), floats(3, 1))
    case("MatMul", floats(2, 3, 4), floats(4, 5))
    case("MatMul", floats(2, 1, 3, 4), floats(3, 4, 2))
    case("MatMul", floats(4), floats(2, 4, 3))
    case("MatMul", floats(3, 4), floats(4))
    case("MatMul", floats(3, 4, dtype=np.float64), floats(4, 2, dtype=np.float64))
    case("GlobalAveragePool", floats(2, 3, 4, 5))
    case("GlobalMaxPool", floats(2, 3, 4))


for add in (generating, indexing, ordering, deciding, arithmetic, functions, reducing, arranging,
            normalizing, resizing, multiplying):
    add()
write()
