"""Random ONNX models of what nnfuse has rules for, and of what could confuse it: one for each seed.

A model is a handful of steps on a pool of values, each of them [batch, channels, ...]. Steps go on
from the last value or, more rarely, from an earlier one, which then has several readers. All that a
file can say in more than one way (opset, IR version, where a parameter comes from, names, the order
of nodes, symbolic dimensions) is drawn too.
"""
import dataclasses
import math

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

F32 = TensorProto.FLOAT
CUSTOM = "example"  # the domain of nodes that no runtime knows
TYPED_ELEMENTS = 64  # initializers up to this size are sometimes written as numbers, not as bytes


@dataclasses.dataclass
class Value:
    name: str
    shape: tuple


@dataclasses.dataclass
class Case:
    model: onnx.ModelProto
    feeds: dict
    functions: list  # what the custom nodes compute, where the model itself does not say it
    runnable: bool  # nnfuse knows every node


class Maker:
    """The state of a model that is being made."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.opset = int(self.rng.integers(7, onnx.defs.onnx_opset_version() + 1))
        self.ir = int(self.rng.integers(3, min(onnx.IR_VERSION, 12) + 1))
        self.batch = int(self.rng.integers(1, 4))
        self.symbolic_batch, self.symbolic_space = self.chance(0.5), self.chance(0.15)
        self.name_style = int(self.rng.integers(4))
        self.nodes, self.initializers, self.inputs, self.feeds = [], [], [], {}
        self.overridable = set()
        self.arrays = {}  # of initializers that later nodes may share
        self.shared_convs, self.shared_norms = [], []
        self.pool, self.functions, self.outputs = [], [], []
        self.runnable = True
        self.plain = self.chance(0.7)  # parameters are initializers, as in most files
        self.declares_functions = self.ir >= 8 and self.chance(0.5)
        self.count = 0

    # ---- Drawing ----

    def chance(self, p):
        return bool(self.rng.random() < p)

    def pick(self, items):
        return items[int(self.rng.integers(len(items)))]

    def between(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def normal(self, *shape, scale=1.0):
        return (self.rng.standard_normal(shape) * scale).astype(np.float32)

    # ---- Names, nodes, parameters ----

    def name(self, stem):
        self.count += 1
        return (f"{stem}_{self.count}", str(self.count), f"/block.{self.count % 3}/{stem}_{self.count}",
                f"net.{self.count}.{stem}")[self.name_style]

    def node_name(self, op):
        kind = self.rng.random()
        if kind < 0.1:
            return ""
        if kind < 0.15:
            return "same"  # as others: names of nodes need not differ
        return self.name("größe" if kind < 0.2 else op.lower())

    def node(self, op, inputs, n_outputs=1, domain="", **attributes):
        """The name of its output, or of its outputs."""
        outputs = [self.name(op.lower()) for _ in range(n_outputs)]
        made = helper.make_node(op, inputs, outputs, self.node_name(op), domain=domain or None,
                                **attributes)
        if self.chance(0.1):
            made.doc_string = "a node's own words"
        self.nodes.append(made)
        return outputs[0] if n_outputs == 1 else outputs

    def constant(self, array, name=None):
        """An initializer, or a node that gives the same."""
        array, name = np.asarray(array), name or self.name("const")
        if array.size <= TYPED_ELEMENTS and self.chance(0.3):
            type_ = helper.np_dtype_to_tensor_dtype(array.dtype)
            tensor = helper.make_tensor(name, type_, array.shape, array.ravel().tolist())
        else:
            tensor = numpy_helper.from_array(array, name)
        if self.chance(0.12) and (self.opset >= 9 or array.dtype == np.float32):
            tensor.name = "value"
            self.nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        else:
            self.initializers.append(tensor)
            if self.ir < 4 or (array.dtype == np.float32 and self.chance(0.03)):
                self.declare(name, array.shape)
                self.inputs[-1].type.tensor_type.elem_type = tensor.data_type
                self.overridable.add(name)
                if self.ir >= 4 and self.chance(0.5):
                    self.feeds[name] = np.asarray(array * np.float32(1.5), np.float32)
        return name

    def parameter(self, array, dynamic=True):
        """A layer's parameter, which comes by one of the ways that files have; `dynamic`: perhaps as
        an input of the model."""
        kind = self.rng.random()
        if self.plain or kind < 0.8:
            return self.constant(array)
        if kind < 0.85:
            return self.node("Identity", [self.constant(array)])
        if kind < 0.88:
            return self.node("Reshape", [self.constant(array.ravel()),
                                         self.constant(np.array(array.shape, np.int64))])
        if kind < 0.91:
            return self.node("Transpose", [self.constant(array.T.copy())])
        if kind < 0.94:
            return self.node("Cast", [self.constant(array.astype(np.float64))], to=F32)
        if kind < 0.96:
            half = (array / np.float32(2)).astype(np.float32)
            half = self.constant(half)
            return self.node("Add", [half, half])
        if not dynamic:
            return self.constant(array)
        name = self.name("given")
        self.declare(name, array.shape)
        self.feeds[name] = np.asarray(array)
        return name

    def declare(self, name, shape):
        self.inputs.append(helper.make_tensor_value_info(name, F32, shape))

    def dims(self, shape):
        """As a file would declare them."""
        batch = "N" if self.symbolic_batch else shape[0]
        return [batch, *shape[1:2], *(None if self.symbolic_space else d for d in shape[2:])]

    def info(self, value):
        return helper.make_tensor_value_info(value.name, F32, self.dims(value.shape))

    def give(self, name, shape):
        value = Value(name, tuple(int(d) for d in shape))
        self.pool.append(value)
        return value

    def value(self, accept=lambda v: True):
        """One to go on from: the last, where it will do, or any other; None: there is none."""
        found = [v for v in self.pool if accept(v)]
        if not found:
            return None
        if found[-1] is self.pool[-1] and self.chance(0.75):
            return found[-1]
        return self.pick(found)

    def spatial_value(self):
        found = self.value(lambda v: len(v.shape) > 2)
        return found or self.image()

    # ---- Inputs ----

    def image(self):
        spatial = self.pick([1, 2, 2, 2, 3])
        sides = {1: (5, 12), 2: (4, 9), 3: (3, 6)}[spatial]
        shape = (self.batch, self.between(1, 6), *(self.between(*sides) for _ in range(spatial)))
        return self.input(shape)

    def input(self, shape):
        name = self.name("image")
        self.declare(name, self.dims(shape))
        self.feeds[name] = self.normal(*shape)
        return self.give(name, shape)

    # ---- The model ----

    def finish(self):
        graph_outputs = [self.pool[-1]]
        for value in self.pool[:-1]:
            if value.name not in self.feeds and self.chance(0.12):
                graph_outputs.append(value)
        if graph_outputs[0].name in self.feeds:  # no step has done anything
            value = graph_outputs[0]
            graph_outputs[0] = self.give(self.node("Relu", [value.name]), value.shape)
        self.rng.shuffle(graph_outputs)
        inner = [self.info(v) for v in self.pool
                 if v not in graph_outputs and v.name not in self.feeds and self.chance(0.3)]
        graph = helper.make_graph(
            in_some_order(self.rng, self.nodes) if self.chance(0.5) else self.nodes, "g", self.inputs,
            [self.info(v) for v in graph_outputs], self.initializers, value_info=inner)
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid(CUSTOM, 1)]
        if self.chance(0.5):
            opsets.reverse()
        model = helper.make_model(graph, opset_imports=opsets, ir_version=self.ir,
                                  producer_name="random")
        if self.chance(0.3):
            helper.set_model_props(model, {"author": "a seed", "größe": "5"})
        if self.declares_functions:
            model.functions.extend(self.functions)
        return Case(model, self.feeds, [] if self.declares_functions else self.functions,
                    self.runnable)


# ---- Convolutions ----


def conv_geometry(m, size, transposed):
    """Attributes and output size of one spatial axis."""
    kernel = m.between(1, min(3, size))
    stride = m.pick([1, 1, 2])
    dilation = m.pick([1, 1, 1, 2]) if 2 * (kernel - 1) < size else 1
    begin, end = m.between(0, kernel - 1), m.between(0, kernel - 1)
    reach = dilation * (kernel - 1) + 1
    extra = m.between(0, stride - 1) if transposed else 0
    out = stride * (size - 1) + extra + reach - begin - end
    if not transposed:
        out = (size + begin + end - reach) // stride + 1
    if out < 1:
        return conv_geometry(m, size, transposed)
    return {"kernel": kernel, "stride": stride, "dilation": dilation, "begin": begin, "end": end,
            "extra": extra, "out": out}


def conv_attributes(m, sizes, transposed):
    """Attributes and output sizes; every attribute that says what is the default may be left out."""
    axes = [conv_geometry(m, size, transposed) for size in sizes]
    auto = m.pick(["SAME_UPPER", "SAME_LOWER", "VALID"]) if m.chance(0.25) else None
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        # ONNX Runtime has no dilation for it, and onnx no size for a stride above the kernel's size
        axes = [dict(a, dilation=1, stride=min(a["stride"], a["kernel"])) for a in axes]
    column = {key: [axis[key] for axis in axes] for key in axes[0]}
    attributes = {"strides": column["stride"], "dilations": column["dilation"]}
    if m.chance(0.5):
        attributes["kernel_shape"] = column["kernel"]
    out = column["out"]
    if auto:
        attributes["auto_pad"] = auto
        for i, a in enumerate(axes):
            reach = a["dilation"] * (a["kernel"] - 1) + 1
            if auto == "VALID":
                out[i] = (sizes[i] - 1) * a["stride"] + reach if transposed else \
                    (sizes[i] - reach) // a["stride"] + 1
            else:
                out[i] = sizes[i] * a["stride"] if transposed else -(-sizes[i] // a["stride"])
    else:
        attributes["pads"] = column["begin"] + column["end"]
        if transposed and any(column["extra"]):
            attributes["output_padding"] = column["extra"]
    for name, default in (("strides", 1), ("dilations", 1), ("pads", 0)):
        if all(v == default for v in attributes.get(name, [default])) and m.chance(0.7):
            attributes.pop(name, None)
    return attributes, column["kernel"], out


def conv(m, x=None, transposed=None):
    x = x or m.spatial_value()
    if transposed is None:
        transposed = m.chance(0.2) and math.prod(x.shape[2:]) <= 125
    op, (n, channels, *sizes) = "ConvTranspose" if transposed else "Conv", x.shape
    known = [s for s in m.shared_convs if s[0] == (op, channels, len(sizes))]
    if known and m.chance(0.4):  # tied weights
        _, weight, bias, attributes, out_channels, kernel = m.pick(known)
        attributes = dict(attributes, auto_pad="VALID")
        for name in ("pads", "output_padding", "dilations", "strides"):
            attributes.pop(name, None)
        out = [s + k - 1 if transposed else s - k + 1 for s, k in zip(sizes, kernel)]
        if min(out) < 1:
            return None
        inputs = [x.name, weight] + ([bias] if bias and m.chance(0.7) else [])
        return m.give(m.node(op, inputs, **attributes), (n, out_channels, *out))
    group = m.pick([g for g in range(1, channels + 1) if channels % g == 0]) if m.chance(0.4) else 1
    out_channels = group * m.between(1, max(1, 6 // group))
    attributes, kernel, out = conv_attributes(m, sizes, transposed)
    if group > 1 or m.chance(0.3):
        attributes["group"] = group
    shape = (channels, out_channels // group) if transposed else (out_channels, channels // group)
    fan_in = channels // group * math.prod(kernel)
    weight = m.parameter(m.normal(*shape, *kernel, scale=1 / math.sqrt(fan_in)))
    bias = m.parameter(m.normal(out_channels)) if m.chance(0.5) else None
    m.shared_convs.append(((op, channels, len(sizes)), weight, bias, attributes, out_channels, kernel))
    inputs = [x.name, weight] + ([bias] if bias else [""] if m.chance(0.1) else [])
    return m.give(m.node(op, inputs, **attributes), (n, out_channels, *out))


def conv_stack(m):
    """The blocks that networks are made of."""
    x = conv(m)
    if x and m.chance(0.85):
        x = batch_norm(m, x)
    if x and m.chance(0.3):
        x = add(m, x)
    if x and m.chance(0.7):
        activation(m, x)


# ---- Layers without a window ----


def batch_norm(m, x=None):
    x = x or m.value()
    channels = x.shape[1]
    known = [names for n, names in m.shared_norms if n == channels]
    if known and m.chance(0.2):
        names = m.pick(known)
    else:
        scale = m.rng.uniform(0.3, 1.5, channels) * m.rng.choice([-1, 1, 1], channels)
        scale[m.rng.random(channels) < 0.05] = 0
        names = [m.parameter(scale.astype(np.float32)), m.parameter(m.normal(channels)),
                 m.parameter(m.normal(channels)),
                 m.parameter(m.rng.uniform(0.2, 2, channels).astype(np.float32), dynamic=False)]
        m.shared_norms.append((channels, names))
    attributes = {}
    if m.chance(0.5):
        attributes["epsilon"] = m.pick([1e-5, 1e-3, 0.0, 0.1])
    if m.chance(0.3):
        attributes["momentum"] = 0.99
    if m.opset >= 14 and m.chance(0.2):
        attributes["training_mode"] = 0
    if m.opset < 9 and m.chance(0.2):
        attributes["spatial"] = 1
    return m.give(m.node("BatchNormalization", [x.name, *names], **attributes), x.shape)


def clip(m, x):
    low, high = m.pick([(0.0, 6.0), (-1.0, 1.0), (0.0, 1.0)])
    if m.opset < 11:
        return m.node("Clip", [x.name], **m.pick([{"min": low, "max": high}, {"min": low}]))
    low = m.parameter(np.array(low, np.float32), dynamic=False)
    high = m.parameter(np.array(high, np.float32), dynamic=False)
    return m.node("Clip", [x.name, *m.pick([[low, high], [low], ["", high]])])


def silu(m, x):
    gate = m.node("Sigmoid", [x.name])
    if m.chance(0.15):
        m.give(gate, x.shape)
    return m.node("Mul", m.pick([[x.name, gate], [gate, x.name]]))


def plain(op, first_opset=7, known=True, **attributes):
    def make(m, x):
        if m.opset < first_opset:
            return m.node("Relu", [x.name])
        m.runnable = m.runnable and known
        chosen = {k: v for k, v in attributes.items() if m.chance(0.5)}
        return m.node(op, [x.name], **chosen)
    return make


def prelu(m, x):
    """A slope for each channel, for all of them, or for each element of an image."""
    rest = [1] * (len(x.shape) - 2)
    slope = m.normal(*m.pick([[x.shape[1], *rest], [1, x.shape[1], *rest], [1], [], x.shape[1:]]))
    return m.node("PRelu", [x.name, m.parameter(slope)])


ACTIVATIONS = [
    *[plain("Relu")] * 8, prelu, prelu, plain("LeakyRelu", alpha=0.2), plain("Sigmoid"), plain("Tanh"), clip, clip,
    silu, silu, plain("HardSigmoid", alpha=0.25, beta=0.4), plain("HardSwish", 14), plain("Gelu", 20),
    plain("Gelu", 20, approximate="tanh"), plain("Erf", 9),
    # not known to nnfuse, at least not always
    plain("Elu", known=False, alpha=0.7), plain("Softplus", known=False), plain("Neg", known=False),
]


def activation(m, x=None):
    x = x or m.value()
    return m.give(m.pick(ACTIVATIONS)(m, x), x.shape)


def add(m, x=None):
    x = x or m.value()
    same = [v for v in m.pool if v.shape == x.shape]
    kind = m.rng.random()
    if kind < 0.15:
        other = m.parameter(m.normal(1, x.shape[1], *[1] * (len(x.shape) - 2)))
    elif kind < 0.25:
        other = m.parameter(m.normal())
    elif len(same) == 1 and len(x.shape) > 2:
        other = m.input(x.shape).name
    else:
        other = m.pick(same).name
    op = m.pick(["Add"] * 5 + ["Sub", "Mul"])
    return m.give(m.node(op, m.pick([[x.name, other], [other, x.name]])), x.shape)


def concat(m):
    x = m.value()
    others = [v for v in m.pool if v.shape[2:] == x.shape[2:] and len(v.shape) == len(x.shape)]
    parts = [x] + [m.pick(others) for _ in range(m.between(0, 2))]
    channels = sum(v.shape[1] for v in parts)
    if channels > 16:
        return
    m.give(m.node("Concat", [v.name for v in parts], axis=m.pick([1, 1 - len(x.shape)])
                  if m.opset >= 11 else 1), (x.shape[0], channels, *x.shape[2:]))


def pool(m):
    x = m.spatial_value()
    n, channels, *sizes = x.shape
    op = m.pick(["MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"])
    if op.startswith("Global"):
        m.give(m.node(op, [x.name]), (n, channels, *[1] * len(sizes)))
    else:
        kernel = [m.between(1, min(3, s)) for s in sizes]
        stride = [m.pick([1, 2]) for _ in sizes]
        out = [(s - k) // t + 1 for s, k, t in zip(sizes, kernel, stride)]
        m.give(m.node(op, [x.name], kernel_shape=kernel, strides=stride), (n, channels, *out))


def flat_value(m):
    x = m.value()
    if len(x.shape) == 2:
        return x
    features = math.prod(x.shape[1:])
    if m.chance(0.5):
        return m.give(m.node("Flatten", [x.name]), (x.shape[0], features))
    shape = m.constant(np.array([0, features] if m.symbolic_batch else [-1, features], np.int64))
    return m.give(m.node("Reshape", [x.name, shape]), (x.shape[0], features))


def linear(m):
    x = flat_value(m)
    n, features = x.shape
    out = m.between(1, 6)
    weight = m.normal(features, out, scale=1 / math.sqrt(features))
    if m.chance(0.2):
        y = m.node("MatMul", [x.name, m.parameter(weight)])
        if m.chance(0.7):
            y = m.node("Add", [y, m.parameter(m.normal(out))])
    else:
        attributes = {}
        if m.chance(0.6):
            weight, attributes["transB"] = weight.T.copy(), 1
        if m.chance(0.15):
            attributes[m.pick(["alpha", "beta"])] = 0.5
        bias = m.pick([(out,), (out,), (1, out), (), None])
        inputs = [x.name, m.parameter(weight)]
        if bias is not None or m.opset < 11:
            inputs.append(m.parameter(m.normal(*(bias if bias is not None else (out,)))))
        y = m.node("Gemm", inputs, **attributes)
    y = m.give(y, (n, out))
    if m.chance(0.6):
        y = batch_norm(m, y)
    if m.chance(0.6):
        activation(m, y)


# ---- What nnfuse cannot see into ----


def custom(m):
    """A node of a type that is only in this file, where its function is in the file at all."""
    m.runnable = False
    x = m.value()
    if not m.functions:
        body = [helper.make_node("Add", ["x", "x"], ["two"]), helper.make_node("Neg", ["two"], ["y"])]
        m.functions.append(helper.make_function(CUSTOM, "MinusTwice", ["x"], ["y"], body,
                                                [helper.make_opsetid("", m.opset)]))
    m.give(m.node("MinusTwice", [x.name], domain=CUSTOM), x.shape)


def body_value(m, x, captures):
    """Nodes of a body that computes something of x's shape from values outside, and their result."""
    nodes, y = [], x.name
    for other in captures:
        name = m.name("inner")
        nodes.append(helper.make_node("Add", [y, other.name], [name]))
        y = name
    if len(x.shape) > 2 and m.chance(0.5):  # a layer that stays as it is
        weight = m.constant(m.normal(x.shape[1], 1, *[1] * (len(x.shape) - 2)))
        name = m.name("inner")
        nodes.append(helper.make_node("Conv", [y, weight], [name], group=x.shape[1]))
        y = name
    name = m.name("inner")
    nodes.append(helper.make_node("Neg", [y], [name]))
    return nodes, name


def branch(m):
    m.runnable = False
    x = m.value()
    same = [v for v in m.pool if v.shape == x.shape]
    bodies = {}
    for which in ("then_branch", "else_branch"):
        nodes, y = body_value(m, x, [m.pick(same) for _ in range(m.between(0, 2))])
        if m.chance(0.3):  # a body in the body
            inner = helper.make_graph(nodes, "inner", [], [m.info(Value(y, x.shape))])
            other, z = body_value(m, x, [m.pick(same)])
            inner_else = helper.make_graph(other, "inner", [], [m.info(Value(z, x.shape))])
            y = m.name("inner")
            nodes = [helper.make_node("If", [m.condition()], [y], then_branch=inner,
                                      else_branch=inner_else)]
        bodies[which] = helper.make_graph(nodes, which, [], [m.info(Value(y, x.shape))])
    m.give(m.node("If", [m.condition()], **bodies), x.shape)


def condition(m):
    if m.chance(0.5):
        return m.constant(np.array(m.chance(0.5)))
    name = m.name("cond")
    m.inputs.append(helper.make_tensor_value_info(name, TensorProto.BOOL, []))
    m.feeds[name] = np.array(m.chance(0.5))
    return name


Maker.condition = condition


def loop(m):
    m.runnable = False
    x = m.value()
    same = [v for v in m.pool if v.shape == x.shape]
    carried = Value(m.name("carried"), x.shape)
    nodes, y = body_value(m, carried, [m.pick(same)])
    i, go, still = m.name("i"), m.name("go"), m.name("still")
    nodes.append(helper.make_node("Identity", [go], [still]))
    scalar = lambda name, type_: helper.make_tensor_value_info(name, type_, [])
    body = helper.make_graph(
        nodes, "body", [scalar(i, TensorProto.INT64), scalar(go, TensorProto.BOOL), m.info(carried)],
        [scalar(still, TensorProto.BOOL), m.info(Value(y, x.shape))])
    trips = m.constant(np.array(m.between(1, 3), np.int64))
    m.give(m.node("Loop", [trips, "", x.name], body=body), x.shape)


# ---- What cleaning takes out ----


def dropout(m, x):
    if m.opset < 12 or m.chance(0.5):
        return m.node("Dropout", [x.name], **({"ratio": 0.3} if m.opset < 12 else {}))
    return m.node("Dropout", [x.name, m.constant(np.array(0.3, np.float32))])


def reshape_to_itself(m, x):
    rest = m.constant(np.array(x.shape[1:], np.int64))
    if m.chance(0.4):
        shape = m.constant(np.array([-1, *x.shape[1:]], np.int64))
    elif m.opset < 13 or m.chance(0.5):
        first = m.node("Gather", [m.node("Shape", [x.name]), m.constant(np.array([0], np.int64))])
        shape = m.node("Concat", [first, rest], axis=0)
    else:
        first = m.node("Gather", [m.node("Shape", [x.name]), m.constant(np.array(0, np.int64))])
        first = m.node("Unsqueeze", [first, m.constant(np.array([0], np.int64))])
        shape = m.node("Concat", [first, rest], axis=0)
    return m.node("Reshape", [x.name, shape])


def slice_all(m, x):
    if m.opset < 10:
        return m.node("Slice", [x.name], starts=[0], ends=[2**31 - 1], axes=[1])
    ends = [np.array([v], np.int64) for v in (0, 2**63 - 1, 1)]
    return m.node("Slice", [x.name, *(m.constant(v) for v in ends)])


def pad_nothing(m, x):
    pads = [0] * (2 * len(x.shape))
    if m.opset < 11:
        return m.node("Pad", [x.name], pads=pads)
    return m.node("Pad", [x.name, m.constant(np.array(pads, np.int64))])


def there_and_back(m, x):
    perm = [0, *range(2, len(x.shape)), 1]
    there = m.node("Transpose", [x.name], perm=perm)
    return m.node("Transpose", [there], perm=[perm.index(i) for i in range(len(perm))])


def unsqueeze_squeeze(m, x):
    if m.opset < 13:
        return m.node("Squeeze", [m.node("Unsqueeze", [x.name], axes=[1])], axes=[1])
    axes = m.constant(np.array([1], np.int64))
    return m.node("Squeeze", [m.node("Unsqueeze", [x.name, axes]), axes])


NOTHINGS = [
    lambda m, x: m.node("Identity", [x.name]), dropout, reshape_to_itself, slice_all, pad_nothing,
    there_and_back, unsqueeze_squeeze, lambda m, x: m.node("Cast", [x.name], to=F32),
    lambda m, x: m.node("Concat", [x.name], axis=1),
]


def nothing(m):
    """What gives its input back."""
    x = m.value()
    m.give(m.pick(NOTHINGS)(m, x), x.shape)


def twins(m):
    """The same computed twice."""
    x, op = m.value(), m.pick(["Relu", "Tanh", "Sigmoid"])
    y = m.node("Add", [m.node(op, [x.name]), m.node(op, [x.name])])
    m.give(y, x.shape)


def dead(m):
    """What nobody reads."""
    m.node("Relu", [m.node("Sigmoid", [m.value().name])])


# ---- All together ----

STEPS = [(14, conv_stack), (3, conv), (5, batch_norm), (5, activation), (5, add), (3, concat),
         (2, pool), (4, linear), (1.5, custom), (1.5, branch), (1, loop), (4, nothing), (1, twins),
         (1, dead)]


def in_some_order(rng, nodes):
    """One of the orders in which every node comes after those that it reads."""
    producer = {name: i for i, node in enumerate(nodes) for name in node.output}
    waits = [{producer[name] for name in reads(node) if name in producer} for node in nodes]
    ready = [i for i, wait in enumerate(waits) if not wait]
    order = []
    while ready:
        done = ready.pop(int(rng.integers(len(ready))))
        order.append(nodes[done])
        for i, wait in enumerate(waits):
            if done in wait:
                wait.discard(done)
                if not wait:
                    ready.append(i)
    return order


def reads(node):
    """The names that a node and the bodies in it read, those of the bodies' own values among them."""
    names = list(node.input)
    for attribute in node.attribute:
        for graph in [attribute.g, *attribute.graphs]:
            names += [output.name for output in graph.output]
            for inner in graph.node:
                names += reads(inner)
    return names


def make(seed):
    m = Maker(seed)
    m.image()
    weights = np.array([weight for weight, _ in STEPS])
    for step in m.rng.choice(len(STEPS), m.between(1, 8), p=weights / weights.sum()):
        STEPS[step][1](m)
    return m.finish()
