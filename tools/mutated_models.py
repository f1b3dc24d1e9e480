#!/usr/bin/env python3
"""Writes models that are wrong in the ways graphs can be wrong, which random bytes seldom are.

    mutated_models.py FOLDER [--count N] [--seed N] [MODEL.onnx or FOLDER ...]

Starts from the given models of up to 12 KB and from random ones, and changes a few things of each:
inputs left out, more or fewer inputs and outputs, other operators, attributes and dimensions; also
two models in one. `./x fuzz` gives them to two of the fuzzers: nnfuse must take each or refuse it.
"""
import argparse
import copy
import pathlib
import random
import warnings

import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto

import random_graphs

MOST_BYTES = 12000
RANDOM_GRAPHS = 300
INTEGERS = [-1, 0, 1, 2, 3, 4, 7, 2**31, -2**31, 2**63 - 1, -2**63]
DIMENSIONS = [0, 1, 2, 3, 5, 2**40]


def read(path):
    """A small model that can be read and written; None for what is not one."""
    if path.stat().st_size > MOST_BYTES:
        return None
    try:
        model = onnx.load(str(path), load_external_data=False)
    except (DecodeError, UnicodeDecodeError):
        return None
    return model if all(isinstance(n.op_type, str) for n in model.graph.node) else None


def graphs(graph):
    """The graph and those inside it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from graphs(attribute.g)


class Mutator:
    def __init__(self, seed, bases):
        self.random = random.Random(seed)
        self.bases = bases
        self.operators = sorted({n.op_type for m in bases for n in m.graph.node})
        self.ways = [getattr(self, name) for name in sorted(dir(self)) if name.startswith("way_")]

    def name(self, graph):
        """Of any value, or none."""
        return self.random.choice(
            [""] + [v.name for v in graph.input] + [t.name for t in graph.initializer] +
            [name for node in graph.node for name in node.output])

    def place(self, values):
        return self.random.randrange(len(values))

    def way_nothing_read(self, graph, node):
        del node.input[:]

    def way_input_left_out(self, graph, node):
        node.input[self.place(node.input)] = ""

    def way_input_fewer(self, graph, node):
        del node.input[-1]

    def way_input_more(self, graph, node):
        node.input.append(self.name(graph))

    def way_input_other(self, graph, node):
        node.input[self.place(node.input)] = self.name(graph)

    def way_output_more(self, graph, node):
        node.output.append(f"extra{self.random.randrange(1000)}")

    def way_output_fewer(self, graph, node):
        del node.output[-1]

    def way_operator(self, graph, node):
        node.op_type = self.random.choice(self.operators)

    def way_attribute(self, graph, node):
        attribute, number = self.random.choice(node.attribute), self.random.choice(INTEGERS)
        if attribute.type == AttributeProto.INT:
            attribute.i = number
        elif attribute.type == AttributeProto.INTS:
            attribute.ints[self.place(attribute.ints)] = number

    def way_attribute_gone(self, graph, node):
        node.attribute.remove(self.random.choice(node.attribute))

    def way_dimension(self, graph, node):
        dims = self.random.choice(graph.initializer).dims
        if dims:
            dims[self.place(dims)] = self.random.choice(DIMENSIONS)
        else:
            dims.append(self.random.choice(DIMENSIONS))

    def way_dtype(self, graph, node):
        self.random.choice(graph.initializer).data_type = self.random.randrange(24)

    def way_declared(self, graph, node):
        """Another shape or dtype of what the graph says of a value."""
        values = [*graph.input, *graph.output, *graph.value_info]
        tensor = self.random.choice(values).type.tensor_type
        dim = self.random.choice([None, *tensor.shape.dim])
        if dim:
            dim.dim_value = self.random.choice(DIMENSIONS)
        else:
            tensor.elem_type = self.random.randrange(24)

    def way_result(self, graph, node):
        graph.output.add().name = self.name(graph)

    def way_twin(self, graph, node):
        """The same node again, which some of its readers read instead."""
        nodes = list(graph.node)
        at, twin = nodes.index(node), copy.deepcopy(node)
        twin.name += "_twin"
        for k, name in enumerate(node.output):
            twin.output[k] = f"{name}_twin{self.random.randrange(100)}"
        for reader in nodes[at + 1:]:
            for k, name in enumerate(reader.input):
                if name in node.output and self.random.random() < 0.5:
                    reader.input[k] = twin.output[list(node.output).index(name)]
        del graph.node[:]
        graph.node.extend(nodes[:at + 1] + [twin] + nodes[at + 1:])

    def join(self, model, other):
        there = {name for node in model.graph.node for name in node.output}
        there |= {t.name for t in model.graph.initializer}
        model.graph.node.extend(n for n in other.graph.node if not there.intersection(n.output))
        model.graph.initializer.extend(t for t in other.graph.initializer if t.name not in there)

    def make(self):
        model = copy.deepcopy(self.random.choice(self.bases))
        if self.random.random() < 0.3:
            self.join(model, self.random.choice(self.bases))
        if self.random.random() < 0.1 and model.opset_import:
            model.opset_import[0].version = self.random.randrange(1, 30)
        for _ in range(self.random.choice([1, 1, 2, 2, 3, 5])):
            graph = self.random.choice(list(graphs(model.graph)))
            try:
                self.random.choice(self.ways)(graph, self.random.choice(graph.node))
            except (IndexError, ValueError, TypeError):
                pass  # there is nothing of that kind here, or a name is no text
        return model


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("models", nargs="*", type=pathlib.Path)
    options = parser.parse_intermixed_args()
    paths = [p for given in options.models for p in
             (sorted(q for q in given.iterdir() if q.is_file()) if given.is_dir() else [given])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about files that are hardly models
        bases = [model for model in map(read, paths) if model]
    made = (random_graphs.make(options.seed * 1000003 + i).model for i in range(RANDOM_GRAPHS))
    bases += [model for model in made if model.ByteSize() <= MOST_BYTES]
    mutator = Mutator(options.seed, bases)
    options.folder.mkdir(parents=True, exist_ok=True)
    for i in range(options.count):
        (options.folder / f"{options.seed}-{i}.onnx").write_bytes(mutator.make().SerializeToString())


if __name__ == "__main__":
    main()
