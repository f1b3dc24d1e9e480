"""Writes models whose values get other shapes, and whose names may get another meaning, when they are
cleaned and fused: tests/goldens/onnx/<name>.onnx. ONNX Runtime takes each of them, and onnx's checker
what becomes of them."""
import numpy as np
from make_onnx import F, T, h, numpy_helper, save, weights


def info(name, shape=None, dtype=F):
    return h.make_tensor_value_info(name, dtype, shape)


def constant(name, *values):
    return numpy_helper.from_array(np.array(values, np.int64), name)


def two_products():
    """One product without a bias, for which there is no Gemm before opset 11."""
    nodes = [h.make_node("MatMul", ["x", "first"], ["a"]), h.make_node("MatMul", ["a", "second"], ["y"])]
    save("two_products_9", nodes, [weights("first", 4, 16), weights("second", 16, 4)], opset=9, ir=4,
         inputs=[info("x", ["batch", 4])], outputs=[info("y", ["batch", 4])])


def biases():
    """What is added has the name that the new bias gets."""
    image, result = [info("x", ["batch", 2, 4, 4])], [info("y", ["batch", 3, 2, 2])]
    nodes = [h.make_node("Conv", ["x", "conv.weight"], ["c"]),
             h.make_node("Add", ["c", "conv.bias"], ["y"])]
    init = [weights("conv.weight", 3, 2, 3, 3), weights("conv.bias", 3, 1, 1)]
    save("bias_conv_ir3", nodes, init, opset=8, ir=3, inputs=image, outputs=result)
    save("bias_info", nodes, init, inputs=image, outputs=result, value_info=[info("conv.bias", [3, 1, 1])])
    save("bias_linear_ir3", [h.make_node("MatMul", ["x", "fc.weight"], ["m"]),
                             h.make_node("Add", ["m", "fc.bias"], ["y"])],
         [weights("fc.weight", 2, 3), weights("fc.bias", 3)], opset=8, ir=3,
         inputs=[info("x", ["batch", 2])], outputs=[info("y", ["batch", 3])])


def shapes():
    """A pooling that drops its axes, and a value that is turned no more."""
    save("info_pool", [h.make_node("GlobalAveragePool", ["x"], ["p"]), h.make_node("Flatten", ["p"], ["f"]),
                       h.make_node("Gemm", ["f", "weight"], ["y"])],
         [weights("weight", 3, 4)], inputs=[info("x", ["batch", 3, 8, 8])],
         outputs=[info("y", ["batch", 4])], value_info=[info("p", ["batch", 3, 1, 1]), info("f", ["batch", 3])])
    save("info_transpose", [h.make_node("Conv", ["x", "weight"], ["c"]),
                            h.make_node("Transpose", ["c"], ["t"], perm=[0, 2, 3, 1]),
                            h.make_node("Relu", ["t"], ["r"]),
                            h.make_node("Transpose", ["r"], ["y"], perm=[0, 3, 1, 2])],
         [weights("weight", 4, 3, 3, 3)], inputs=[info("x", ["batch", 3, 8, 8])],
         outputs=[info("y", ["batch", 4, 6, 6])],
         value_info=[info("c", ["batch", 4, 6, 6]), info("t", ["batch", 6, 6, 4]),
                     info("r", ["batch", 6, 6, 4])])


def branches(read, names, shape):
    """An If on what the graph gives; one branch gives each of the names."""
    then_nodes = [h.make_node("Relu", [a], [b]) for a, b in zip([read, *names], names)]
    bodies = [h.make_graph(nodes, "body", [], [info(nodes[-1].output[0], shape)])
              for nodes in (then_nodes, [h.make_node("Neg", [read], ["negative"])])]
    return h.make_node("If", ["flag"], ["z"], then_branch=bodies[0], else_branch=bodies[1])


def new_names():
    """A branch gives the names that new values would get: joined slices, a turned constant."""
    flag = info("flag", [], T.BOOL)
    save("inner_slices", [h.make_node("Slice", ["x", "one", "five", "zero", "one"], ["p"]),
                          h.make_node("Slice", ["p", "one", "five", "one", "one"], ["y"]),
                          branches("y", ["slices"] + [f"slices_{i}" for i in range(40)], ["n", "m"])],
         [constant("zero", 0), constant("one", 1), constant("five", 5)],
         inputs=[info("x", ["batch", 8]), flag], outputs=[info("z", ["n", "m"])])
    save("inner_turned", [h.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1]),
                          h.make_node("Mul", ["t", "k"], ["m"]),
                          h.make_node("Transpose", ["m"], ["b"], perm=[0, 3, 1, 2]),
                          h.make_node("Relu", ["b"], ["y"]),
                          branches("y", [f"k_{i}" for i in range(40)], ["n", "c", "h", "w"])],
         [weights("k", 2)], inputs=[info("x", ["batch", 2, 4, 4]), flag],
         outputs=[info("z", ["n", "c", "h", "w"])])


if __name__ == "__main__":
    two_products()
    biases()
    shapes()
    new_names()
