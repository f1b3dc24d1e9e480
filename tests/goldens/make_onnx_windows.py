"""What only ONNX says of convolutions, pools and batch norm: ONNX Runtime's values.

Run with a Python that has onnx, onnxruntime and numpy.
"""
import pathlib

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

import golden

HERE = pathlib.Path(__file__).parent
AUTO = ["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]
random = np.random.default_rng(11)


def run(op, arrays, n_outputs=1, opset=19, **attributes):
    names = [f"i{i}" for i in range(len(arrays))]
    results = [f"o{i}" for i in range(n_outputs)]
    types = [TensorProto.INT64 if op == "MaxPool" and i else TensorProto.FLOAT
             for i in range(n_outputs)]
    graph = helper.make_graph(
        [helper.make_node(op, names, results, **attributes)], "g",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, a.shape)
         for n, a in zip(names, arrays)],
        [helper.make_tensor_value_info(n, t, None) for n, t in zip(results, types)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(),
                                           providers=["CPUExecutionProvider"])
    return session.run(None, dict(zip(names, arrays)))


def three(values, fill):
    return (list(values) + [fill] * 3)[:3]


def put_conv(out, case, x, w, transposed=False, auto=0, **a):
    n = x.ndim - 2
    pads = a.get("pads", [0] * 2 * n)
    groups = a.get("group", 1)
    into, of = (w.shape[0], w.shape[1] * groups) if transposed else (w.shape[1] * groups, w.shape[0])
    out[f"{case}.options"] = np.array(
        [n, transposed, into, of, groups] + three(w.shape[2:], 1) + three(a.get("strides", [1] * n), 1)
        + three(a.get("dilations", [1] * n), 1) + three(pads[:n], 0) + three(pads[n:], 0)
        + three(a.get("output_padding", [0] * n), 0) + three(a.get("output_shape", [0] * n), 0)
        + [0, auto])
    op = "ConvTranspose" if transposed else "Conv"
    out[f"{case}.f32.x"], out[f"{case}.f32.weight"] = x, w
    out[f"{case}.f32.y"], = run(op, [x, w], auto_pad=AUTO[auto], **a)


def normal(*shape):
    return random.standard_normal(shape).astype(np.float32)


def convolutions(out):
    for auto in (1, 2, 3):
        for s in (1, 2, 3):
            put_conv(out, f"conv.{AUTO[auto]}{s}", normal(1, 2, 7, 8), normal(3, 2, 3, 4),
                     auto=auto, strides=[s, s])
    put_conv(out, "conv.uneven", normal(1, 2, 6, 6), normal(3, 2, 3, 3), pads=[0, 2, 1, 0])
    x, w = normal(1, 2, 4), normal(2, 3, 3)
    for auto in (0, 1, 2):
        for size in (6, 7, 8, 9, 10):
            put_conv(out, f"transpose.{AUTO[auto]}.{size}", x, w, True, auto, strides=[2],
                     output_shape=[size])
            put_conv(out, f"transpose.{AUTO[auto]}.{size}.padded", x, w, True, auto, strides=[2],
                     output_shape=[size], output_padding=[1])
    for auto in (1, 2, 3):
        put_conv(out, f"transpose.{AUTO[auto]}", x, w, True, auto, strides=[2])
    put_conv(out, "transpose.uneven", normal(1, 2, 4, 3), normal(2, 2, 3, 3), True,
             strides=[2, 1], pads=[0, 1, 2, 0])


def pools(out):
    x = normal(1, 2, 7, 8)
    cases = {"plain": dict(strides=[2, 3]), "uneven": dict(strides=[2, 3], pads=[0, 1, 1, 0]),
             "end": dict(strides=[3, 3], pads=[0, 0, 1, 1]),
             "upper": dict(strides=[2, 3], auto=1), "lower": dict(strides=[2, 3], auto=2),
             "valid": dict(strides=[2, 3], auto=3)}
    for name, a in cases.items():
        auto, strides = a.get("auto", 0), a["strides"]
        pads = a.get("pads", [0] * 4)
        given = dict(strides=strides, kernel_shape=[2, 3])
        given |= dict(auto_pad=AUTO[auto]) if auto else dict(pads=pads)
        for ceil in (0, 1):
            for op, average, flag in (("MaxPool", 0, 0), ("MaxPool", 0, 1), ("AveragePool", 1, 0),
                                      ("AveragePool", 1, 1)):
                key = f"pool.{op}.{name}{ceil}{flag}"
                out[f"{key}.options"] = np.array(
                    [2, average, 2, 3, 1] + three(strides, 1) + [1, 1, 1] + three(pads[:2], 0)
                    + three(pads[2:], 0) + [auto, ceil, average and flag, 1, (not average) and flag],
                    dtype=np.int64)
                out[f"{key}.x"] = x
                if average:
                    out[f"{key}.y"], = run(op, [x], ceil_mode=ceil, count_include_pad=flag, **given)
                else:
                    out[f"{key}.y"], out[f"{key}.indices"] = run(
                        op, [x], 2, ceil_mode=ceil, storage_order=flag, **given)
    x = normal(1, 2, 3, 4, 5)
    out["pool.column3.options"] = np.array([3, 0] + [2] * 3 + [1] * 6 + [0] * 6 + [0, 0, 0, 1, 1])
    out["pool.column3.x"] = x
    out["pool.column3.y"], out["pool.column3.indices"] = run(
        "MaxPool", [x], 2, kernel_shape=[2, 2, 2], storage_order=1)


def norms(out):
    arrays = [normal(3, 2, 4), normal(2), normal(2), normal(2), np.abs(normal(2)) + 0.5]
    for i, array in enumerate(arrays):
        out[f"norm.in{i}"] = array
    results = run("BatchNormalization", arrays, 3, 15, training_mode=1, momentum=0.8, epsilon=1e-3)
    for i, array in enumerate(results):
        out[f"norm.out{i}"] = array


goldens = {}
convolutions(goldens)
pools(goldens)
norms(goldens)
golden.write(HERE / "onnx_windows.golden", goldens)
