#!/usr/bin/env python3
"""Clean random graphs with the nnfuse command and ask ONNX Runtime whether they still are the same.

The graphs are made of what cleaning looks for: constants behind Identity, Cast, Reshape, Transpose
and Unsqueeze, shape arithmetic on a batch that is not known, Pads by nothing, Transposes that undo
each other, equal nodes and equal initializers, nodes that nobody reads; and of what it must leave
alone: graph outputs in the middle, initializers that are inputs too, values that bodies of Ifs and
Loops read, random numbers. Each is run before and after with three batch sizes; and what was
cleaned once must stay the same file when it is cleaned again.

    random_cleaning.py NNFUSE [COUNT [SEED]]
"""
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

C, H, W = 4, 6, 5


class Graph:
    def __init__(self, rng):
        self.rng, self.nodes, self.initializers, self.n = rng, [], [], 0
        self.inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", C, H, W])]
        self.outputs, self.defaults = [], {}

    def name(self):
        self.n += 1
        return f"v{self.n}"

    def node(self, op, inputs, outputs=1, **attributes):
        names = [self.name() for _ in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, name=f"n_{names[0]}", **attributes))
        return names[0]

    def constant(self, array):
        """An initializer, an overridable one, or a Constant node; perhaps in disguise."""
        array = np.asarray(array)
        kind = self.rng.integers(4)
        if kind == 0:
            return self.node("Constant", [], value=numpy_helper.from_array(array))
        name = self.name()
        self.initializers.append(numpy_helper.from_array(array, name))
        if kind == 1 and array.dtype == np.float32 and self.rng.integers(3) == 0:
            dtype = helper.np_dtype_to_tensor_dtype(array.dtype)
            self.inputs.append(helper.make_tensor_value_info(name, dtype, array.shape))
            self.defaults[name] = array
        return name if self.rng.integers(2) else self.node("Identity", [name])

    def weight(self, *shape):
        """A tensor of that shape, which takes some steps to make."""
        array = self.rng.choice([-1, -.5, .5, 1], shape).astype(np.float32)
        match self.rng.integers(5):
            case 0:
                order = self.rng.permutation(len(shape))
                return self.node("Transpose", [self.constant(array.transpose(order))],
                                 perm=np.argsort(order).tolist())
            case 1:
                flat = self.constant(array.reshape(-1))
                return self.node("Reshape", [flat, self.ints(*shape)])
            case 2:
                return self.node("Cast", [self.constant(array.astype(np.float64))],
                                 to=TensorProto.FLOAT)
            case 3:
                return self.node("Mul", [self.constant(array), self.constant(np.float32(.5))])
        return self.constant(array)

    def ints(self, *values):
        return self.constant(np.array(values, np.int64))

    def dim(self, value, axis):
        """A dimension of a value as exporters compute it, as a vector of one element."""
        shape = self.node("Shape", [value])
        if self.rng.integers(2):
            return self.node("Slice", [shape, self.ints(axis), self.ints(axis + 1), self.ints(0)])
        scalar = self.node("Gather", [shape, self.constant(np.int64(axis))], axis=0)
        return self.node("Unsqueeze", [scalar, self.ints(0)])

    def around(self, x):
        """[batch, C, H, W] in another shape and back."""
        rng = self.rng
        two = self.ints(2)
        half = self.node("Div", [self.dim(x, 1), two])
        parts = [self.dim(x, 0), two, half, self.dim(x, 2), self.dim(x, 3)]
        y = self.node("Reshape", [x, self.node("Concat", parts, axis=0)])
        if rng.integers(2):
            y = self.node("Transpose", [y], perm=[0, 2, 1, 3, 4])
        ends = [self.dim(x, 0), self.ints(-1) if rng.integers(2) else self.dim(x, 1),
                self.dim(x, 2), self.dim(x, 3)]
        return self.node("Reshape", [y, self.node("Concat", ends, axis=0)])

    def filled(self, x):
        shape = self.node("Concat", [self.ints(1), self.dim(x, 1), self.ints(1, 1)], axis=0)
        one = numpy_helper.from_array(np.array([self.rng.integers(3)], np.float32))
        return self.node("Add", [x, self.node("ConstantOfShape", [shape], value=one)])

    def branch(self, x):
        """An If whose bodies read values of the graph around them."""
        kept = self.weight(C, 1, 1)
        bodies = []
        for op in ("Add", "Mul"):
            out = helper.make_tensor_value_info(self.name(), TensorProto.FLOAT, [None] * 4)
            node = helper.make_node(op, [x, kept], [out.name])
            bodies.append(helper.make_graph([node], "body", [], [out]))
        condition = self.constant(np.array(bool(self.rng.integers(2))))
        return self.node("If", [condition], then_branch=bodies[0], else_branch=bodies[1])

    def loop(self, x):
        """A Loop of two turns, in which an If reads values of the graph around both."""
        kept, state = self.weight(C, 1, 1), self.name()
        bodies = []
        for op in ("Add", "Mul"):
            out = helper.make_tensor_value_info(self.name(), TensorProto.FLOAT, [None] * 4)
            node = helper.make_node(op, [state if op == "Add" else x, kept], [out.name])
            bodies.append(helper.make_graph([node], "body", [], [out]))
        go, goes, result = self.name(), self.name(), self.name()
        nodes = [helper.make_node("Identity", [go], [goes]),
                 helper.make_node("If", [go], [result], then_branch=bodies[0],
                                  else_branch=bodies[1])]
        info = helper.make_tensor_value_info
        body = helper.make_graph(
            nodes, "loop", [info(self.name(), TensorProto.INT64, []),
                            info(go, TensorProto.BOOL, []),
                            info(state, TensorProto.FLOAT, [None] * 4)],
            [info(goes, TensorProto.BOOL, []), info(result, TensorProto.FLOAT, [None] * 4)])
        condition = self.constant(np.array(bool(self.rng.integers(2))))
        return self.node("Loop", [self.constant(np.int64(2)), condition, x], body=body)

    def noise(self, x):
        """Random numbers, of which the result shows only whether two nodes became one."""
        draws = [self.node("RandomUniformLike", [x], low=1.0, high=2.0) for _ in range(2)]
        differ = self.node("Not", [self.node("Equal", draws)])
        return self.node("Add", [x, self.node("Cast", [differ], to=TensorProto.FLOAT)])

    def step(self, x):
        conv = {"kernel_shape": [1, 1]}
        transposed = [0, 2, 3, 1], [0, 3, 1, 2]
        steps = [
            lambda: self.node("Identity", [x]),
            lambda: self.node("Dropout", [x]),
            lambda: self.node("Cast", [x], to=TensorProto.FLOAT),
            lambda: self.node("Pad", [x, self.ints(*[0] * 8)]),
            lambda: self.node("Pad", [x, self.ints(0, 0, 1, -1, 0, 0, -1, 1)]),
            lambda: self.node("Slice", [x, self.ints(0), self.ints(2**31 - 1), self.ints(2)]),
            lambda: self.node("Slice", [x, self.ints(-1), self.ints(-100), self.ints(3),
                                        self.ints(-1)]),
            lambda: self.node("Concat", [x], axis=1),
            lambda: self.node("Transpose", [self.node("Transpose", [x], perm=transposed[0])],
                              perm=transposed[self.rng.integers(2)])
            if H == C == W else self.node("Transpose", [self.node(
                "Transpose", [x], perm=transposed[0])], perm=transposed[1]),
            lambda: self.node("Squeeze", [self.node("Unsqueeze", [x, self.ints(1)]), self.ints(1)]),
            lambda: self.node("Reshape", [x, self.ints(0, C, -1, W)]),
            lambda: self.node("Reshape", [self.node("Flatten", [x]), self.ints(-1, C, H, W)]),
            lambda: self.around(x),
            lambda: self.around(x),
            lambda: self.filled(x),
            lambda: self.branch(x),
            lambda: self.loop(x),
            lambda: self.node("Conv", [x, self.weight(C, C, 1, 1), self.weight(C)], **conv),
            lambda: self.node("Relu", [x]),
            lambda: self.node("Clip", [x, self.constant(np.float32(-3)),
                                       self.constant(np.float32(3))]),
            lambda: self.node("Add", [self.node("Sigmoid", [x]), self.node("Sigmoid", [x])]),
            lambda: self.node("Mul", [x, self.weight(C, 1, 1)]),
            lambda: self.noise(x),
            lambda: self.node("BatchNormalization", [x, *(self.weight(C) for _ in range(3)),
                                                     self.constant(np.ones(C, np.float32))]),
        ]
        return steps[self.rng.integers(len(steps))]()


def random_model(seed):
    graph = Graph(np.random.default_rng(seed))
    values = ["x"]
    for _ in range(graph.rng.integers(2, 14)):
        y = graph.step(values[-1] if graph.rng.integers(4) else str(graph.rng.choice(values)))
        values.append(y)
        if graph.rng.integers(3) == 0:
            values.append(graph.node("Add", [y, str(graph.rng.choice(values))]))
    chosen = {values[-1], *(str(v) for v in graph.rng.choice(values[1:], 2) if
                            graph.rng.integers(2))}
    for value in sorted(chosen):
        graph.outputs.append(helper.make_tensor_value_info(value, TensorProto.FLOAT, [None] * 4))
    model = helper.make_model(
        helper.make_graph(graph.nodes, "random", graph.inputs, graph.outputs, graph.initializers),
        opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model, graph.defaults


def run(path, feeds):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    model = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return [model.run(None, feed) for feed in feeds]


def fuse(nnfuse, source, target, *options):
    done = subprocess.run([nnfuse, "fuse", source, "-o", target, "-q", *options], text=True,
                          stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise AssertionError(f"exit status {done.returncode}: {done.stderr}")


def check(nnfuse, seed, folder):
    """Returns the numbers of nodes before and after."""
    source, once, twice = (folder / name for name in ("source.onnx", "once.onnx", "twice.onnx"))
    model, defaults = random_model(seed)
    onnx.save(onnx.shape_inference.infer_shapes(model) if seed % 3 else model, source)
    feeds = []
    rng = np.random.default_rng(seed)
    for batch in (1, 2, 3):
        feeds.append({"x": rng.standard_normal((batch, C, H, W), dtype=np.float32)})
        if batch == 3: # other numbers than the defaults
            feeds[-1].update({n: np.asarray(a + np.float32(.25)) for n, a in defaults.items()})
    before = run(source, feeds)
    fuse(nnfuse, source, once, "--no-verify")
    fuse(nnfuse, once, twice, "--no-verify")
    after = onnx.load(once)
    onnx.checker.check_model(after, full_check=True)
    for a, b in zip(sum(before, []), sum(run(once, feeds), [])):
        largest = max(np.abs(a).max(), 1e-30)
        if a.shape != b.shape or not np.abs(a - b).max() <= 1e-4 * largest:
            raise AssertionError(f"differs by {np.abs(a - b).max() / largest}")
    if once.read_bytes() != twice.read_bytes():
        raise AssertionError(f"a second run changes it: {len(after.graph.node)} nodes, "
                             f"then {len(onnx.load(twice).graph.node)}")
    return len(model.graph.node), len(after.graph.node)


def main():
    nnfuse = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 500
    first = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    nodes, failures = np.zeros(2, int), 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + count):
            try:
                nodes += check(nnfuse, seed, pathlib.Path(folder))
            except Exception as error:  # the next ones may say more
                failures += 1
                print(f"seed {seed}: {error}")
    print(f"{count} graphs, {nodes[0]} nodes before and {nodes[1]} after, {failures} failures")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
