"""Writes models that look as if something in them could be fused: tests/goldens/onnx/near_<name>.onnx.
Each breaks one condition."""
import numpy as np
from make_onnx import F, T, h, numpy_helper, save

random = np.random.default_rng(3)


def tensor(name, *shape):
    return numpy_helper.from_array(random.standard_normal(shape).astype(np.float32), name)


def integers(name, *values):
    return numpy_helper.from_array(np.array(values, np.int64), name)


def info(name, shape, dtype=F):
    return h.make_tensor_value_info(name, dtype, shape)


def near(name, nodes, x, initializers=(), extra=(), y=None, **keys):
    save(f"near_{name}", [h.make_node(op, ins, outs, name=outs[0], **more)
                          for op, ins, outs, more in nodes],
         list(initializers), inputs=[info("x", x), *extra], outputs=[info("y", y)], **keys)


def enlarging():
    """Arithmetic that gives its result more channels, or axes, than what it reads."""
    rgb, conv = tensor("s", 1, 3, 1, 1), tensor("w", 4, 3, 3, 3)
    multiply, convolve = ("Mul", ["x", "s"], ["m"], {}), ("Conv", ["m", "w"], ["y"], {})
    near("gray_to_rgb", [multiply, convolve], [2, 1, 8, 8], [rgb, conv])
    near("new_axis", [multiply, convolve], [3, 8, 8], [rgb, conv])
    near("wider_features", [multiply, ("Gemm", ["m", "w"], ["y"], {})], [2, 1],
         [tensor("s", 3), tensor("w", 3, 4)])
    near("gray_branches", [("Mul", ["x", "s"], ["m"], {}), ("Conv", ["m", "w"], ["c"], {}),
                           ("Mul", ["x", "s2"], ["m2"], {}), ("Conv", ["m2", "w2"], ["d"], {}),
                           ("Add", ["c", "d"], ["y"], {})], [2, 1, 8, 8],
         [rgb, tensor("s2", 1, 3, 1, 1), conv, tensor("w2", 4, 3, 3, 3)])


def pads():
    """A Pad in front of what has no windows."""
    pad = ("Pad", ["x", "p"], ["a"], {})
    near("pad_matmul", [pad, ("MatMul", ["a", "w"], ["y"], {})], [2, 3],
         [integers("p", 0, 0, 0, 1), tensor("w", 4, 4)])
    near("pad_gemm", [pad, ("Gemm", ["a", "w"], ["y"], {})], [2, 3],
         [integers("p", 0, 0, 0, 1), tensor("w", 4, 4)])
    near("pad_matmul10", [("Pad", ["x"], ["a"], {"pads": [0, 0, 0, 0, 0, 1]}),
                          ("MatMul", ["a", "w"], ["y"], {})], [2, 2, 3], [tensor("w", 4, 4)],
         opset=10, ir=5)


def blocks():
    """Blocks of no size, of a negative one, and in another order."""
    for size in 0, -40:
        near(f"blocks_{size}", [("SpaceToDepth", ["x"], ["a"], {"blocksize": size}),
                                ("Conv", ["a", "w"], ["y"], {})], [1, 1, 8, 8],
             [tensor("w", 4, 4, 1, 1)])
    near("blocks_crd", [("SpaceToDepth", ["x"], ["a"], {"blocksize": 2, "mode": "CRD"}),
                        ("Conv", ["a", "w"], ["y"], {})], [1, 2, 8, 8], [tensor("w", 4, 8, 1, 1)],
         opset=28)


def windows():
    """Branches whose one kernel would have 2**64 elements."""
    far = 2**32 - 1
    near("far_apart", [("Conv", ["x", "w"], ["a"], {"pads": [far, far, 0, 0]}),
                       ("Conv", ["x", "w"], ["b"], {"pads": [0, 0, far, far]}),
                       ("Add", ["a", "b"], ["y"], {})], [1, 2, 4, 4], [tensor("w", 2, 2, 1, 1)])


def left_out():
    """Inputs that are left out in front of those that are given."""
    body = h.make_graph([h.make_node("Identity", ["c_in"], ["c_out"]),
                         h.make_node("Identity", ["s_in"], ["s_out"])], "body",
                        [info("i", [], T.INT64), info("c_in", [], T.BOOL), info("s_in", [2, 3])],
                        [info("c_out", [], T.BOOL), info("s_out", [2, 3])])
    near("loop", [("Loop", ["", "c", "x"], ["l"], {"body": body}), ("Relu", ["l"], ["r"], {}),
                  ("Transpose", ["r"], ["y"], {"perm": [1, 0]})], [2, 3],
         extra=[info("c", [], T.BOOL)])
    near("mean", [("ReduceMean", ["x", ""], ["m"], {}), ("Sub", ["x", "m"], ["d"], {}),
                  ("Div", ["d", "q"], ["y"], {})], [2, 4], extra=[info("q", [2, 4])], opset=18)


def ranks():
    """Products in a row behind what has any rank."""
    for op in "MatMul", "Gemm":
        near(f"rank_{op.lower()}", [("Foo", ["x"], ["a"], {"domain": "my"}),
                                    (op, ["a", "w"], ["b"], {}), (op, ["b", "w2"], ["y"], {})],
             [2, 4], [tensor("w", 4, 16), tensor("w2", 16, 4)], opsets=[h.make_opsetid("my", 1)])


if __name__ == "__main__":
    enlarging()
    pads()
    blocks()
    windows()
    left_out()
    ranks()
