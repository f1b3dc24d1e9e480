"""Random ONNX models of what nnfuse has rules for, and of what could confuse it: one for each seed.

A model is a handful of steps on a pool of values, each of them [batch, channels, ...]. Steps go on
from the last value or, more rarely, from an earlier one, which then has several readers. All that a
file can say in more than one way (opset, IR version, where a parameter comes from, names, the order
of nodes, symbolic dimensions) is drawn too.
"""
import math

import numpy as np
from onnx import TensorProto, helper

from random_maker import CUSTOM, F32, Maker, Value

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


def several_readers(m):
    """A norm, a scale or a shift over the last axis, and linear layers that read it."""
    x = m.value(lambda v: len(v.shape) >= 2)
    features = x.shape[-1]
    scale = m.parameter(m.rng.uniform(0.5, 1.5, features).astype(np.float32))
    if m.opset >= 17 and m.chance(0.6):
        inputs = [x.name, scale] + ([m.parameter(m.normal(features))] if m.chance(0.7) else [])
        y = m.node("LayerNormalization", inputs, axis=-1)
    else:
        y = m.node(m.pick(["Mul", "Div", "Add", "Sub"]), [x.name, scale])
    y = m.give(y, x.shape)
    for _ in range(m.between(1, 3)):
        out = m.between(1, 5)
        z = m.node("MatMul", [y.name, m.parameter(m.normal(features, out))])
        if m.chance(0.6):
            z = m.node("Add", m.rng.permutation([z, m.parameter(m.normal(out))]).tolist())
        m.give(z, (*x.shape[:-1], out))
    if m.chance(0.1):
        m.give(m.node("Relu", [y.name]), y.shape)


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
         (2, pool), (4, linear), (2, several_readers), (1.5, custom), (1.5, branch), (1, loop), (4, nothing), (1, twins),
         (1, dead)]


def make(seed):
    m = Maker(seed)
    m.image()
    weights = np.array([weight for weight, _ in STEPS])
    for step in m.rng.choice(len(STEPS), m.between(1, 8), p=weights / weights.sum()):
        STEPS[step][1](m)
    return m.finish()
