"""Writes the models that the test of hostile files reads: tests/goldens/onnx/hostile_<name>.onnx.
Each is a well-formed file whose shapes contradict each other only where a value of the run, or
what the file declares, comes in. And overflow.onnx, with weights that cannot be folded."""
import numpy as np
from make_onnx import F, T, h, numpy_helper, save

X = h.make_tensor_value_info("x", F, ["s"])
TEN = numpy_helper.from_array(np.arange(10, dtype=np.int64), "ten")


def integers(name, *values):
    return numpy_helper.from_array(np.array(values, np.int64), name)


def output(shape):
    return [h.make_tensor_value_info("y", T.INT64, shape)]


def node(op, inputs, outputs, **attributes):
    return h.make_node(op, inputs, outputs, name=outputs[0], **attributes)


def hostile_reshape():
    """Ten known elements in a shape that only the run tells, and then in one of a thousand."""
    save("hostile_reshape", [node("Shape", ["x"], ["shape"]), node("Reshape", ["ten", "shape"], ["r1"]),
                             node("Reshape", ["r1", "target"], ["r2"]), node("Neg", ["r2"], ["y"])],
         [TEN, integers("target", 1000)], inputs=[X], outputs=output([1000]))


def hostile_split():
    """A part of 60 of ten known elements, beside one that only the run tells."""
    save("hostile_split", [node("Shape", ["x"], ["shape"]),
                           node("Concat", ["sixty", "shape"], ["sizes"], axis=0),
                           node("Split", ["ten", "sizes"], ["y", "rest"])],
         [TEN, integers("sixty", 60)], inputs=[X], outputs=output([60]))


def hostile_declared():
    """The file declares 60 elements for a value that has ten, which are known."""
    save("hostile_declared", [node("Shape", ["x"], ["shape"]),
                              node("Reshape", ["ten", "shape"], ["r"]),
                              node("Unsqueeze", ["ten", "shape"], ["u"]),
                              node("Concat", ["r", "ones"], ["c"], axis=0),
                              node("Slice", ["r", "from", "to"], ["s"]),
                              node("Add", ["s", "ones"], ["a"]),
                              node("Expand", ["u", "wide"], ["e"]),
                              node("Concat", ["c", "a"], ["y"], axis=0)],
         [TEN, integers("ones", *[1] * 4), integers("from", 50), integers("to", 54),
          integers("wide", 60)], inputs=[X],
         outputs=output(None),
         value_info=[h.make_tensor_value_info("r", T.INT64, [60]),
                     h.make_tensor_value_info("u", T.INT64, [1, 60])])


def no_output():
    """Layers that would fuse, of which the last gives nothing."""
    weights = [floats("w", [1, 1, 1, 1], 1), floats("b", [1], 0)]
    for name, last in (("chain", h.make_node("Relu", ["c"], [], name="last")),
                       ("series", h.make_node("Conv", ["c", "w"], [], name="last"))):
        save(f"no_output_{name}", [node("Conv", ["x", "w"], ["y"]), node("Conv", ["x", "w", "b"], ["c"]), last],
             weights, inputs=[h.make_tensor_value_info("x", F, [1, 1, 2, 2])],
             outputs=[h.make_tensor_value_info("y", F, [1, 1, 2, 2])])


def no_input():
    """Layers that would fuse, of which the first is given nothing to read."""
    kernels = [floats("w", [1, 1, 1, 1], 1), floats("w4", [1, 4, 1, 1], 1)]
    for name, first, weight, opset in (
            ("chain", h.make_node("Pad", [], ["p"], name="first", pads=[0, 0, 1, 1, 0, 0, 1, 1]), "w", 10),
            ("blocks", h.make_node("SpaceToDepth", [], ["p"], name="first", blocksize=2), "w4", 13)):
        save(f"no_input_{name}", [first, node("Conv", ["p", weight], ["y"])], kernels, opset=opset,
             inputs=[h.make_tensor_value_info("x", F, [1, 1, 2, 2])],
             outputs=[h.make_tensor_value_info("y", F, None)])


def two_outputs():
    """Layers in a row, of which the last gives more than it has."""
    kernels = [floats("w", [1, 1, 1, 1], 1), floats("b", [1], 0)]
    save("two_outputs", [node("Conv", ["x", "w", "b"], ["c"]), node("Conv", ["c", "w", "b"], ["y", "z"])],
         kernels, inputs=[h.make_tensor_value_info("x", F, [1, 1, 2, 2])],
         outputs=[h.make_tensor_value_info(name, F, None) for name in "yz"])


def nothing_cleaned():
    """A Relu that is given nothing, and one behind it."""
    save("no_input_relu", [node("Conv", ["x", "w"], ["c"]), h.make_node("Relu", [], ["p"], name="first"),
                           node("Relu", ["p"], ["y"])],
         [floats("w", [1, 1, 1, 1], 1)], inputs=[h.make_tensor_value_info("x", F, [1, 1, 2, 2])],
         outputs=[h.make_tensor_value_info(name, F, None) for name in "yc"])
    save("no_input_transpose", [h.make_node("Transpose", [""], ["p"], name="first", perm=[0, 2, 3, 1]),
                                node("Relu", ["p"], ["r"]),
                                node("Transpose", ["r"], ["y"], perm=[0, 3, 1, 2])],
         [], inputs=[h.make_tensor_value_info("x", F, [1, 1, 2, 2])])


def floats(name, shape, value):
    return numpy_helper.from_array(np.full(shape, value, np.float32), name)


def overflow():
    """Weights of 1e30 before a batch norm that multiplies by 1e10: what runs stays finite, since
    the layer before gives values of about 1e-20."""
    save("overflow", [node("Conv", ["x", "w0"], ["c0"]), node("Relu", ["c0"], ["r0"]),
                      node("Conv", ["r0", "w1"], ["c1"]),
                      node("BatchNormalization", ["c1", "scale", "zero", "zero", "one"], ["y"])],
         [floats("w0", [2, 1, 1, 1], 1e-20), floats("w1", [2, 2, 3, 3], 1e30),
          floats("scale", [2], 1e10), floats("zero", [2], 0), floats("one", [2], 1)],
         inputs=[h.make_tensor_value_info("x", F, [1, 1, 4, 4])],
         outputs=[h.make_tensor_value_info("y", F, [1, 2, 2, 2])])


if __name__ == "__main__":
    hostile_reshape()
    hostile_split()
    hostile_declared()
    no_output()
    no_input()
    two_outputs()
    nothing_cleaned()
    overflow()
