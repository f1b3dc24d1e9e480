"""Writes models with norms that linear layers read: tests/goldens/onnx/norm_readers*.onnx."""
from make_onnx import F, h, save, weights

D = 8


def info(name, *shape):
    return h.make_tensor_value_info(name, F, list(shape))


def product(x, name, bias):
    """x W, or x W + b, as exporters write a Linear of rank 3."""
    nodes = [h.make_node("MatMul", [x, f"{name}.weight"], [f"{name}.p" if bias else name])]
    if bias:
        nodes.append(h.make_node("Add", [f"{name}.bias", f"{name}.p"], [name]))
    return nodes, [weights(f"{name}.weight", D, 4)] + ([weights(f"{name}.bias", 4)] if bias else [])


def layer_norm(x, name):
    node = h.make_node("LayerNormalization", [x, f"{name}.weight", f"{name}.bias"], [name], name=f"/{name}",
                       doc_string="kept")
    return [node], [weights(f"{name}.weight", D, positive=True), weights(f"{name}.bias", D)]


def rms_norm(x, name):
    """x (1 / sqrt(mean(x^2) + eps)) w, in nodes."""
    steps = [("Pow", [x, "two"], "square"), ("ReduceMean", ["square"], "mean"), ("Add", ["mean", "eps"], "sum"),
             ("Sqrt", ["sum"], "root"), ("Div", ["one", "root"], "inverse"), ("Mul", [x, "inverse"], "normed"),
             ("Mul", [f"{name}.weight", "normed"], name)]
    nodes = [h.make_node(op, inputs, [output], **({"axes": [-1]} if op == "ReduceMean" else {}))
             for op, inputs, output in steps]
    numbers = [h.make_tensor(n, F, [], [v]) for n, v in (("one", 1), ("two", 2), ("eps", 1e-5))]
    return nodes, numbers + [weights(f"{name}.weight", D, positive=True)]


def model(last):
    """Two LayerNorms that three and one Linear read, and an RMSNorm that two products read."""
    parts = [layer_norm("x", "first"), product("first", "q", True), product("first", "k", True),
             product("first", "v", True), layer_norm("x", "second"), product("second", "up", True),
             rms_norm("x", "third"), product("third", "gate", False), product("third", "value", False)]
    results = ["q", "k", "v", "up", "gate", "value"]
    nodes = [node for part in parts for node in part[0]] + [last(results)]
    return nodes, [tensor for part in parts for tensor in part[1]]


def main():
    inputs, outputs = [info("x", "batch", 3, D)], [info("y", "batch", 3, 24)]
    known = [info("first", "batch", 3, D), info("q", "batch", 3, 4)]
    nodes, tensors = model(lambda r: h.make_node("Concat", r, ["y"], axis=-1))
    save("norm_readers", nodes, tensors, inputs=inputs, outputs=outputs, value_info=known)
    nodes, tensors = model(lambda r: h.make_node("Unknown", r, ["y"], domain="mine"))
    save("norm_readers_unknown", nodes, tensors, inputs=inputs, outputs=outputs,
         opsets=[h.make_opsetid("mine", 1)])


if __name__ == "__main__":
    main()
