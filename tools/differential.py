#!/usr/bin/env python3
"""Fuse random networks with the nnfuse command and ask ONNX Runtime whether they still are the same.

For each seed (random_graphs.py): `nnfuse fuse` succeeds; onnx.checker takes the result; it has the
inputs, outputs, opsets, IR version, functions and properties of the original; ONNX Runtime gives the
same for both, to 1e-4 of each output's largest value; no chain that could be folded is left, by rules
that are written here once more; fusing the result again changes nothing but that initializers which
folding made equal become one; and `nnfuse run` gives what ONNX Runtime gives, where nnfuse knows every
node.

    differential.py NNFUSE [--count N] [--first SEED]      (`./x peers` makes what it needs)

Prints what went wrong with the seed; `--count 1 --first SEED --keep FOLDER` is that one again.
"""
import argparse
import collections
import multiprocessing
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

import random_graphs
import random_maker

TOLERANCE = 1e-4
LIMIT = 60  # seconds for a command


class Wrong(Exception):
    pass


def expect(condition, what):
    if not condition:
        raise Wrong(what)


# ---- Commands ----


def nnfuse(program, *arguments):
    done = subprocess.run([program, *map(str, arguments)], text=True, timeout=LIMIT, check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env={**os.environ, "OMP_NUM_THREADS": "1"})
    return done.returncode, done.stderr.strip()


def run_by_nnfuse(program, path, case, outputs, folder):
    """None where nnfuse does not know a node."""
    arguments = []
    for i, (name, array) in enumerate(case.feeds.items()):
        np.save(folder / f"in{i}.npy", array)
        arguments += ["--input", f"{name}={folder / f'in{i}.npy'}"]
    for i, name in enumerate(outputs):
        arguments += ["--output", f"{name}={folder / f'out{i}.npy'}"]
    status, message = nnfuse(program, "run", path, "--quiet", *arguments)
    if not case.runnable and status == 2:
        return None
    expect(status == 0, f"nnfuse run gives {status}: {message}")
    return [np.load(folder / f"out{i}.npy") for i in range(len(outputs))]


def run_by_onnxruntime(model, case):
    """With what the custom nodes compute, and without node names, of which it wants no two the same."""
    full = onnx.ModelProto()
    full.CopyFrom(model)
    full.functions.extend(case.functions)
    if case.functions:
        full.ir_version = max(full.ir_version, 8)
    for node in full.graph.node:
        node.name = ""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(full.SerializeToString(), options,
                                           providers=["CPUExecutionProvider"])
    given = {i.name for i in session.get_inputs() + session.get_overridable_initializers()}
    return session.run(None, {k: v for k, v in case.feeds.items() if k in given})


# ---- Checks ----


def expect_same(expected, actual, names, who):
    for name, a, b in zip(names, expected, actual):
        expect(a.shape == b.shape and a.dtype == b.dtype,
               f"{who}: '{name}' is {b.dtype} {b.shape}, not {a.dtype} {a.shape}")
        expect(np.isfinite(a).all(), f"'{name}' of the original is not finite")
        apart = float(np.abs(a - b).max(initial=0) / max(np.abs(a).max(initial=0), 1e-30))
        expect(apart <= TOLERANCE, f"{who}: '{name}' differs by {apart:.1e}")


def real_inputs(model):
    initializers = {tensor.name for tensor in model.graph.initializer}
    return [i for i in model.graph.input if i.name not in initializers]


def expect_kept(before, after):
    """What no fusion may change."""
    expect(before.ir_version == after.ir_version, "the IR version changed")
    for field in ("opset_import", "functions", "metadata_props"):
        expect(list(getattr(before, field)) == list(getattr(after, field)), f"{field} changed")
    expect(list(before.graph.output) == list(after.graph.output), "the outputs changed")
    expect(real_inputs(before) == real_inputs(after), "the inputs changed")


def attribute(node, name, default):
    for found in node.attribute:
        if found.name == name:
            return onnx.helper.get_attribute_value(found)
    return default


def constants(model):
    """The arrays of values that nobody can override."""
    graph = model.graph
    given = {i.name for i in graph.input} if model.ir_version >= 4 else set()
    known = {t.name: numpy_helper.to_array(t) for t in graph.initializer if t.name not in given}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            known[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        elif node.op_type == "Identity" and node.input[0] in known:
            known[node.output[0]] = known[node.input[0]]
    return known


def folds(node, norm, known, opset):
    """Whether the batch norm could go into the node before it."""
    parameters = [known.get(name) for name in norm.input[1:]]
    if len(norm.output) != 1 or any(p is None for p in parameters):
        return False
    if attribute(norm, "training_mode", 0) or (opset < 9 and attribute(norm, "spatial", 1) != 1):
        return False
    weight = known.get(node.input[1]) if len(node.input) > 1 else None
    bias = known.get(node.input[2]) if len(node.input) > 2 and node.input[2] else ()
    if weight is None or bias is None or parameters[3].min() + attribute(norm, "epsilon", 1e-5) <= 0:
        return False
    if node.op_type == "Gemm":
        plain = all(attribute(node, n, d) == d for n, d in (("alpha", 1), ("beta", 1), ("transA", 0)))
        return plain and (isinstance(bias, tuple) or bias.ndim == 1)
    return node.op_type in ("Conv", "ConvTranspose") and 3 <= weight.ndim <= 5


def left_over(model):
    """The batch norms that should be in the layer before them, by their outputs' names."""
    opset = next(o.version for o in model.opset_import if not o.domain)
    known, graph = constants(model), model.graph
    readers = collections.Counter(name for node in graph.node for name in random_maker.reads(node))
    readers.update(output.name for output in graph.output)
    producers = {node.output[0]: node for node in graph.node if node.output and not node.domain}
    return [norm.output[0] for norm in graph.node
            if norm.op_type == "BatchNormalization" and norm.input[0] in producers
            and readers[norm.input[0]] == 1 and folds(producers[norm.input[0]], norm, known, opset)]


def by_contents(model):
    """The nodes, with initializers called by what they hold."""
    names = {tensor.name: (tensor.data_type, tuple(tensor.dims), numpy_helper.to_array(tensor).tobytes())
             for tensor in model.graph.initializer}
    return [(node.op_type, node.domain, [names.get(name, name) for name in node.input],
             list(node.output), list(node.attribute)) for node in model.graph.node]


def expect_stable(program, target, fused, folder):
    """Fusing what is fused."""
    again, third = folder / "again.onnx", folder / "third.onnx"
    for source, result in ((target, again), (again, third)):
        status, message = nnfuse(program, "fuse", source, "-o", result, "--quiet", "--no-verify")
        expect(status == 0, f"nnfuse fuse on the fused file gives {status}: {message}")
    expect(by_contents(onnx.load(again)) == by_contents(fused), "fusing again changes a node")
    expect(again.read_bytes() == third.read_bytes(), "fusing a third time changes the file")


# ---- One seed ----


def check(program, seed, folder):
    case = random_graphs.make(seed)
    source, target = folder / "model.onnx", folder / "fused.onnx"
    # with the shapes of values written down, as many exporters do, or without
    model = onnx.shape_inference.infer_shapes(case.model) if seed % 3 else case.model
    source.write_bytes(model.SerializeToString())
    verify = ["--no-verify"]
    if seed % 4 == 0:
        verify = [f"--shape={name}={','.join(map(str, array.shape))}"
                  for name, array in case.feeds.items() if array.ndim > 2]
    status, message = nnfuse(program, "fuse", source, "-o", target, "--quiet", *verify)
    expect(status == 0, f"nnfuse fuse gives {status}: {message}")
    fused = onnx.load(target)
    onnx.checker.check_model(fused, full_check=True)
    expect_kept(model, fused)
    names = [output.name for output in case.model.graph.output]
    expected = run_by_onnxruntime(case.model, case)
    expect_same(expected, run_by_onnxruntime(fused, case), names, "fused, in ONNX Runtime")
    left = left_over(fused)
    expect(not left, f"not folded: {left}")
    expect_stable(program, target, fused, folder)
    answers = run_by_nnfuse(program, source, case, names, folder)
    if answers:
        expect_same(expected, answers, names, "nnfuse run")
    return len(left_over(case.model)), answers is not None


def checked(arguments):
    program, seed, keep = arguments
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(keep or folder)
        try:
            return seed, None, *check(program, seed, folder)
        except (Wrong, onnx.checker.ValidationError, onnx.shape_inference.InferenceError,
                subprocess.TimeoutExpired) as error:
            return seed, str(error), 0, False


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nnfuse")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--keep", metavar="FOLDER", help="leave the models of the last seed there")
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.count)
    wrong = folded = ran = 0
    with multiprocessing.Pool(1 if options.keep else None) as pool:
        jobs = ((options.nnfuse, seed, options.keep) for seed in seeds)
        for seed, error, n_folded, has_run in pool.imap_unordered(checked, jobs, chunksize=8):
            folded += n_folded
            ran += has_run
            if error is not None:
                wrong += 1
                print(f"  MISSED: seed {seed}: {error}", flush=True)
    print(f"{len(seeds)} random networks, seeds {seeds[0]} to {seeds[-1]}: {folded} batch norms folded, "
          f"{ran} networks run by nnfuse too, {wrong} wrong")
    if wrong:
        sys.exit(f"{sys.argv[0]} {options.nnfuse} --count 1 --first SEED --keep FOLDER leaves the files "
                 "of one seed there")


if __name__ == "__main__":
    main()
