"""What random ONNX models are made with: a pool of values, names, parameters, and all that a file can
say in more than one way."""
import dataclasses

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
        tensor = numpy_helper.from_array(array, name)
        if array.size <= TYPED_ELEMENTS and self.chance(0.3):
            tensor = helper.make_tensor(name, tensor.data_type, array.shape, array.ravel().tolist())
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
