"""Writes the models that the test of cleaning reads: tests/goldens/onnx/clean_<name>.onnx. ONNX
Runtime takes each of them."""
import numpy as np
from make_onnx import F, T, batchnorm, bn_inputs, h, numpy_helper, save, weights


def info(name, dtype=F, shape=None):
    return h.make_tensor_value_info(name, dtype, shape)


def node(op, inputs, outputs, **attributes):
    return h.make_node(op, inputs, outputs, name=f"/{outputs[0]}", **attributes)


def constant(array, name):
    return numpy_helper.from_array(np.array(array), name)


def body(name, nodes, *outputs, inputs=()):
    return h.make_graph(nodes, name, list(inputs), [info(o) if isinstance(o, str) else o
                                                    for o in outputs])


def branch(output, then_nodes, else_nodes):
    bodies = [body(f"body_{nodes[-1].output[0]}", nodes, nodes[-1].output[0])
              for nodes in (then_nodes, else_nodes)]
    return node("If", ["flag"], [output], then_branch=bodies[0], else_branch=bodies[1])


IMAGE = info("x", F, ["batch", 2, 4, 4])
FLAG = info("flag", T.BOOL, [])


def clean_captures():
    """A Loop, and an If in it, read what would be gone if nobody did: what an Identity gives, the
    second of two equal nodes, the second of two equal initializers, a computed constant."""
    inner = branch("d", [node("Add", ["s", "same"], ["t1"]), node("Mul", ["t1", "twin2"], ["t"])],
                   [node("Sub", ["s", "two2"], ["e1"]), node("Add", ["e1", "power"], ["e"])])
    loop = body("loop", [node("Identity", ["go"], ["goes"]), inner, node("Identity", ["d"], ["s2"])],
                info("goes", T.BOOL, []), "s2",
                inputs=[info("n", T.INT64, []), info("go", T.BOOL, []), info("s")])
    nodes = [node("Identity", ["x"], ["same"]),
             node("Sigmoid", ["same"], ["twin1"]), node("Sigmoid", ["x"], ["twin2"]),
             node("Constant", [], ["three"], value=constant(np.float32(3), "three")),
             node("Mul", ["three", "two1"], ["power"]),
             node("Mul", ["x", "two1"], ["doubled"]),
             node("Add", ["doubled", "two3"], ["more"]),
             node("Add", ["more", "twin1"], ["begin"]),
             node("Loop", ["times", "", "begin"], ["y"], body=loop)]
    save("clean_captures", nodes, [constant(np.float32(2), f"two{i}") for i in (1, 2, 3)] +
         [constant(np.int64(3), "times")], inputs=[IMAGE, FLAG])


def clean_hidden():
    """The bodies of an If have names of their own that the graph gives later. Nothing may give them
    in front of the If: not a fused convolution, not a constant, not what an Identity passed on."""
    own = ["bn", "result", "computed", "target"]
    then_nodes = [node("Neg" if i else "Abs", [own[i - 1] if i else "x"], [name])
                  for i, name in enumerate(own)]
    nodes = [node("Conv", ["x", "weight"], ["conv"], pads=[1, 1, 1, 1]),
             node("Relu", ["x"], ["relu"]),
             branch("z", then_nodes, [node("Tanh", ["x"], ["e"])]),
             node("BatchNormalization", bn_inputs("conv", "norm"), ["bn"]),
             node("Identity", ["relu"], ["result"]),
             node("Exp", ["one"], ["computed"]),
             node("Add", ["bn", "computed"], ["sum"]),
             node("Shape", ["z"], ["shape"]),
             node("Gather", ["shape", "zero"], ["size"], axis=0),
             node("Concat", ["size", "rest"], ["target"], axis=0),
             node("Reshape", ["sum", "target"], ["flat"]),
             node("Tanh", ["flat"], ["y"])]
    save("clean_hidden", nodes, [weights("weight", 2, 2, 3, 3), *batchnorm("norm", 2),
                                 constant(np.float32(1), "one"), constant([0], "zero"),
                                 constant([32], "rest")],
         inputs=[IMAGE, FLAG], outputs=[info("y"), info("result")])


def scales():
    """Scales that are the same in every run although nodes compute them, as PyTorch's exporter writes
    an Upsample; and the same of a default that a caller may replace."""
    nodes = [node("Constant", [], ["one"], value=constant(np.ones(2, np.float32), "one")),
             node("Constant", [], ["two"], value=constant(np.array([2, 2]), "two")),
             node("Cast", ["two"], ["floats"], to=F),
             node("Concat", ["one", "floats"], ["known"], axis=0),
             node("Resize", ["x", "", "known"], ["a"], mode="nearest"),
             node("Concat", ["one", "given"], ["open"], axis=0),
             node("Resize", ["x", "", "open"], ["b"], mode="nearest")]
    save("scales", nodes, [constant(np.full(2, 3, np.float32), "given")],
         inputs=[IMAGE, info("given", F, [2])], outputs=[info("a"), info("b")])


def steps_apart():
    """A SiLU's Sigmoid in front of a node that has nothing to do with it, and its Mul behind that."""
    nodes = [node("Conv", ["x", "weight"], ["conv"], pads=[1, 1, 1, 1]),
             node("Add", ["conv", "x"], ["sum"]), node("Sigmoid", ["sum"], ["gate"]),
             node("Cos", ["x"], ["other"]), node("Mul", ["sum", "gate"], ["y"])]
    save("steps_apart", nodes, [weights("weight", 2, 2, 3, 3)], inputs=[IMAGE],
         outputs=[info("y", F, ["batch", 2, 4, 4]), info("other", F, ["batch", 2, 4, 4])])


def clean_all():
    """Something for each line of the report."""
    nodes = [node("Constant", [], ["two"], value=constant(np.float32(2), "two")),
             node("Identity", ["x"], ["a"]), node("Dropout", ["a"], ["b"]),
             node("Sigmoid", ["b"], ["c"]), node("Sigmoid", ["x"], ["d"]),
             node("Add", ["c", "d"], ["e"]), node("Mul", ["e", "two"], ["f"]),
             node("Mul", ["three", "three2"], ["nine"]), node("Add", ["f", "nine"], ["g"]),
             node("Add", ["g", "three2"], ["h"]),
             node("Exp", ["g"], ["unread"]),
             node("Identity", ["h"], ["y"])]
    save("clean_all", nodes, [constant(np.float32(3), "three"), constant(np.float32(3), "three2")],
         inputs=[IMAGE], value_info=[info("unread", F, ["batch", 2, 4, 4])])


if __name__ == "__main__":
    clean_captures()
    clean_hidden()
    clean_all()
    scales()
    steps_apart()
