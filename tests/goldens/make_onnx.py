"""Writes the small ONNX models that the tests of the formats read: tests/goldens/onnx/<name>.onnx."""
import os

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "onnx")
random = np.random.default_rng(7)
F = T.FLOAT


def weights(name, *shape, positive=False):
    array = random.standard_normal(shape).astype(np.float32)
    return numpy_helper.from_array(np.abs(array) + 0.5 if positive else array, name)


def batchnorm(prefix, channels):
    return [weights(f"{prefix}.{part}", channels, positive=part == "running_var")
            for part in ("weight", "bias", "running_mean", "running_var")]


def bn_inputs(x, prefix):
    return [x] + [f"{prefix}.{p}" for p in ("weight", "bias", "running_mean", "running_var")]


def chain(**bn_attributes):
    """conv, bn, relu."""
    nodes = [h.make_node("Conv", ["x", "conv.weight"], ["c"], name="/conv/Conv", pads=[1, 1, 1, 1]),
             h.make_node("BatchNormalization", bn_inputs("c", "bn"), ["b"],
                         name="/bn/BatchNormalization", **bn_attributes),
             h.make_node("Relu", ["b"], ["y"], name="/relu/Relu")]
    return nodes, [weights("conv.weight", 3, 2, 3, 3)] + batchnorm("bn", 3)


def save(name, nodes, initializers, opset=17, ir=8, inputs=(), outputs=None, value_info=(), sort=True,
         opsets=(), **graph):
    inputs = list(inputs) or [h.make_tensor_value_info("x", F, ["batch", 2, 4, 4])]
    outputs = outputs or [h.make_tensor_value_info("y", F, None)]
    if ir < 4:
        inputs += [h.make_tensor_value_info(i.name, i.data_type, list(i.dims)) for i in initializers]
    g = h.make_graph(nodes, name, inputs, outputs, initializers, value_info=list(value_info), **graph)
    model = h.make_model(g, producer_name="make_onnx", ir_version=ir,
                         opset_imports=[h.make_opsetid("", opset), *opsets])
    h.set_model_props(model, {"note": "kept"})
    path = os.path.join(FOLDER, name + ".onnx")
    onnx.save(model, path)
    return model


def infos(*names):
    return [h.make_tensor_value_info(n, F, ["batch", 3, 4, 4]) for n in names]


def traps():
    nodes, init = chain()
    save("chain", nodes, init, value_info=infos("c", "b"), doc_string="kept too")
    save("chain_ir3", nodes, init, ir=3, opset=8)
    save("chain_unsorted", nodes[::-1], init)
    save("overridable", nodes, init, inputs=[
        h.make_tensor_value_info("x", F, ["batch", 2, 4, 4]),
        h.make_tensor_value_info("conv.weight", F, [3, 2, 3, 3])])
    save("middle_output", nodes, init, outputs=[h.make_tensor_value_info("y", F, None),
                                                h.make_tensor_value_info("c", F, None)])
    save("name_taken", nodes, init + [weights("conv.bias", 3)])
    nodes, init = chain(training_mode=1)
    nodes[1].output.extend(["mean_out", "var_out"])
    save("training_mode", nodes, init)
    nodes, init = chain()
    nodes[1].attribute.append(h.make_attribute("spatial", 0))
    init = init[:1] + [weights(i.name, 3, 4, 4, positive=True) for i in init[1:]]
    save("spatial0", nodes, init, opset=7, ir=3)

    nodes, init = chain()
    body = lambda name: h.make_graph([h.make_node("Identity", ["c"], [name])], "body_" + name, [],
                                     [h.make_tensor_value_info(name, F, None)])
    branch = h.make_node("If", ["flag"], ["z"], then_branch=body("t1"), else_branch=body("e1"))
    save("if_capture", nodes + [branch], init,
         inputs=[h.make_tensor_value_info("x", F, ["batch", 2, 4, 4]),
                 h.make_tensor_value_info("flag", T.BOOL, [])],
         outputs=[h.make_tensor_value_info("y", F, None), h.make_tensor_value_info("z", F, None)])

    nodes, init = chain()
    init = [i for i in init if i.name != "bn.bias"]
    init.append(weights("shared.bias", 3))
    nodes.insert(0, h.make_node("Identity", ["shared.bias"], ["bn.bias"], name="Identity_0"))
    constant = h.make_node("Constant", [], ["bn.weight"],
                           value=numpy_helper.from_array(np.ones(3, np.float32)))
    nodes.insert(0, constant)
    save("identity_constants", nodes, [i for i in init if i.name != "bn.weight"])

    nodes, init = chain()
    nodes[2] = h.make_node("Frobnicate", ["b"], ["y"], domain="com.example", strength=2.5)
    save("custom_domain", nodes, init, opsets=[h.make_opsetid("com.example", 1)])
    nodes[:2] = [h.make_node("Identity", ["x"], ["i"], name="same"),
                 h.make_node("Conv", ["i", "conv.weight"], ["c"], name="conv"),
                 h.make_node("Sub", ["half", "c"], ["b"], name="sub")]
    save("custom_domain_sub", nodes, init[:1] + [numpy_helper.from_array(np.float32(0.5), "half")],
         opsets=[h.make_opsetid("com.example", 1)])


def layers():
    nodes = [h.make_node("Conv", ["x", "conv.weight"], ["c"], auto_pad="SAME_UPPER", strides=[2, 2]),
             h.make_node("MaxPool", ["c"], ["p"], kernel_shape=[2, 2]),
             h.make_node("LeakyRelu", ["p"], ["l"], alpha=0.25),
             h.make_node("Clip", ["l", "low", "high"], ["r"]),
             h.make_node("GlobalAveragePool", ["r"], ["g"]),
             h.make_node("Flatten", ["g"], ["f"]),
             h.make_node("Gemm", ["f", "fc.weight", "fc.bias"], ["m"], transB=1),
             h.make_node("Shape", ["x"], ["s"]),
             h.make_node("Gather", ["s", "zero"], ["n"], axis=0),
             h.make_node("Unsqueeze", ["n", "axes"], ["u"]),
             h.make_node("Concat", ["u", "minus"], ["shape"], axis=0),
             h.make_node("Reshape", ["m", "shape"], ["q"]),
             h.make_node("Softmax", ["q"], ["y"], axis=-1)]
    init = [weights("conv.weight", 3, 2, 3, 3), weights("fc.weight", 4, 3), weights("fc.bias", 4),
            numpy_helper.from_array(np.float32(0), "low"), numpy_helper.from_array(np.float32(6), "high"),
            numpy_helper.from_array(np.int64(0), "zero"), numpy_helper.from_array(np.array([0]), "axes"),
            numpy_helper.from_array(np.array([-1]), "minus")]
    save("layers", nodes, init)


def typed():
    """The same numbers in every kind of field."""
    make = lambda name, dtype, values: h.make_tensor(name, dtype, [len(values)], values)
    init = [make("f32", T.FLOAT, [1.5, -2, 3]), make("f64", T.DOUBLE, [1.5, -2, 3]),
            make("f16", T.FLOAT16, [1.5, -2, 3]), make("i32", T.INT32, [1, -2, 3]),
            make("i64", T.INT64, [1, -2, 3]), make("i8", T.INT8, [1, -2, 3]),
            make("u8", T.UINT8, [1, 2, 255]), make("bool", T.BOOL, [True, False, True]),
            make("u16", T.UINT16, [1, 2, 3]), make("text", T.STRING, [b"a", b"b"])]
    nodes = [h.make_node("Add", ["x", "f32"], ["y"])]
    save("typed", nodes, init, inputs=[h.make_tensor_value_info("x", F, [3])],
         outputs=[h.make_tensor_value_info("y", F, [3])])


def external():
    """Two tensors in external.data, one of them large enough to be moved rather than inlined."""
    with open(os.path.join(FOLDER, "external.data"), "wb") as data:
        big, small = weights("w", 600), weights("v", 600)
        for tensor in (big, small):
            raw, offset = tensor.raw_data, data.tell()
            data.write(raw)
            tensor.ClearField("raw_data")
            tensor.data_location = T.EXTERNAL
            for key, value in (("location", "external.data"), ("offset", offset), ("length", len(raw))):
                tensor.external_data.add(key=key, value=str(value))
    nodes = [h.make_node("Add", ["x", "w"], ["a"]), h.make_node("Mul", ["a", "v"], ["y"])]
    save("external", nodes, [big, small], inputs=[h.make_tensor_value_info("x", F, [600])],
         outputs=[h.make_tensor_value_info("y", F, [600])])


def external_chain():
    """A chain whose weight, and a constant that stays, are in external_chain.data."""
    nodes, init = chain()
    nodes[2].output[0] = "r"
    nodes.append(h.make_node("Add", ["r", "shift"], ["y"], name="/Add"))
    model = save("external_chain", nodes, init + [weights("shift", 3, 16, 16)],
                 inputs=[h.make_tensor_value_info("x", F, ["batch", 2, 16, 16])],
                 outputs=[h.make_tensor_value_info("y", F, ["batch", 3, 16, 16])])
    data = os.path.join(FOLDER, "external_chain.data")
    if os.path.exists(data):
        os.remove(data)  # onnx appends
    onnx.save(model, os.path.join(FOLDER, "external_chain.onnx"), save_as_external_data=True,
              location="external_chain.data", size_threshold=128)


def nested_capture():
    """An If in an If reads what the convolution gives."""
    info = lambda name: h.make_tensor_value_info(name, F, None)
    inner = lambda n: h.make_graph([h.make_node("Identity", ["c"], [n])], "in_" + n, [], [info(n)])
    outer = lambda n: h.make_graph(
        [h.make_node("If", ["flag"], [n], then_branch=inner(n + "1"), else_branch=inner(n + "2"))],
        "out_" + n, [], [info(n)])
    nodes, init = chain()
    branch = h.make_node("If", ["flag"], ["z"], then_branch=outer("t"), else_branch=outer("e"))
    save("nested_capture", nodes + [branch], init, outputs=[info("y"), info("z")],
         inputs=[h.make_tensor_value_info("x", F, ["batch", 2, 4, 4]),
                 h.make_tensor_value_info("flag", T.BOOL, [])])


def unknown_ranks():
    """Layers behind a node that nobody knows, whose weights alone tell the rank."""
    nodes = [h.make_node("Unknown", ["x"], ["u"], name="/u", domain="example"),
             h.make_node("Conv", ["u", "conv.weight"], ["c"], name="/conv/Conv"),
             h.make_node("BatchNormalization", bn_inputs("c", "bn3"), ["b"], name="/bn3"),
             h.make_node("Unknown", ["b"], ["v"], name="/v", domain="example"),
             h.make_node("Gemm", ["v", "fc.weight"], ["f"], name="/fc/Gemm", transB=1),
             h.make_node("BatchNormalization", bn_inputs("f", "bn1"), ["y"], name="/bn1")]
    save("unknown_ranks", nodes,
         [weights("conv.weight", 3, 2, 1, 1, 1), *batchnorm("bn3", 3), weights("fc.weight", 4, 3),
          *batchnorm("bn1", 4)], opsets=[h.make_opsetid("example", 1)])


def node_names():
    """Nodes whose names alone say what they are called; no weights, and so no random numbers."""
    names = ["relu1", "same", "same", "same_1", "Relu_4", "m", "m.inner", "a,b", ""]
    values = ["x"] + [f"v{i}" for i in range(len(names) - 1)] + ["y"]
    save("node_names", [h.make_node("Relu", [values[i]], [values[i + 1]], name=name)
                        for i, name in enumerate(names)], [])


def default_value():
    """An input of any size with a value of three elements."""
    save("default_value", [h.make_node("Mul", ["x", "w"], ["y"])],
         [numpy_helper.from_array(np.arange(1, 4, dtype=np.float32), "w")],
         inputs=[h.make_tensor_value_info(n, F, ["n"]) for n in ("x", "w")],
         outputs=[h.make_tensor_value_info("y", F, ["n"])])


if __name__ == "__main__":
    os.makedirs(FOLDER, exist_ok=True)
    traps()
    layers()
    typed()
    external()
    external_chain()
    nested_capture()
    unknown_ranks()
    node_names()
    default_value()
