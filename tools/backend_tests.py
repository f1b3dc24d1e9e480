#!/usr/bin/env python3
"""The onnx package's own node tests (onnx.backend.test), each through `nnfuse run`.

A test counts where every operator in its graph is one that `nnfuse operators` lists; it passes where
the command's outputs have the expected dtype and shape and are as near as the test asks for.

    backend_tests.py NNFUSE [--failures] [--others] [--out docs/operators.md] [OPERATOR ...]
"""
import argparse
import collections
import json
import pathlib
import subprocess
import tempfile
import warnings

import numpy as np
import onnx
import onnx.numpy_helper

warnings.filterwarnings("ignore")  # making the tests' data divides by zero on purpose


def operators(nnfuse):
    said = subprocess.run([nnfuse, "operators", "--json"], stdout=subprocess.PIPE, check=True)
    return {row["name"]: row for row in json.loads(said.stdout)["operators"]}


def node_tests():
    from onnx.backend.test.loader import load_model_tests  # pylint: disable=import-outside-toplevel
    return load_model_tests(kind="node")


def as_array(value):
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def as_saved(array):
    """numpy has no bfloat16: `nnfuse run` writes it as float32."""
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def complaint(test, outputs, expected):
    for number, (actual, wanted) in enumerate(zip(outputs, expected)):
        wanted = as_saved(wanted)
        if actual.dtype != wanted.dtype or actual.shape != wanted.shape:
            return (f"output {number} is {actual.dtype} {list(actual.shape)}, "
                    f"not {wanted.dtype} {list(wanted.shape)}")
        if not np.allclose(actual.astype(np.float64), wanted.astype(np.float64), test.rtol,
                           test.atol, equal_nan=True):
            return f"output {number} differs"
    return None


def run(nnfuse, test, folder):
    """None where the test passes, else why it does not."""
    model, arguments = folder / "model.onnx", []
    onnx.save(test.model, model)
    for inputs, expected in test.data_sets:
        inputs, expected = [as_array(x) for x in inputs], [as_array(x) for x in expected]
        everything = inputs + expected
        if not all(isinstance(x, (np.ndarray, np.generic)) for x in everything):
            return "a sequence or an optional value"
        names = [value.name for value in test.model.graph.input]
        arguments = []
        for number, (name, array) in enumerate(zip(names, inputs)):
            np.save(folder / f"in{number}.npy", as_saved(np.asarray(array)))
            arguments += ["--input", f"{name}={folder}/in{number}.npy"]
        for number, value in enumerate(test.model.graph.output):
            arguments += ["--output", f"{value.name}={folder}/out{number}.npy"]
        done = subprocess.run([nnfuse, "run", model, "--quiet", *arguments], text=True,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            return f"exit status {done.returncode}: {done.stderr.strip()}"
        outputs = [np.load(folder / f"out{number}.npy") for number in range(len(expected))]
        why = complaint(test, outputs, [np.asarray(x) for x in expected])
        if why:
            return why
    return None


def table(known, passed, counted):
    lines = ["| operator | opsets | node tests that pass |", "| --- | --- | --- |"]
    for name, row in known.items():
        tests = f"{passed[name]} of {counted[name]}" if counted[name] else "none of its own"
        lines.append(f"| {name} | {row['first_opset']} to {row['last_opset']} | {tests} |")
    return lines


def page(known, passed, counted, summary):
    return "\n".join([
        "# Operators", "",
        "What `nnfuse run`, `verify` and `bench` compute; nodes of any other operator go through",
        "`nnfuse fuse` untouched. `nnfuse operators` prints the list. Tests are the node tests of the",
        f"onnx package ({onnx.__version__}), run through `nnfuse run` by `tools/backend_tests.py`;",
        "a test stands in the row of its operator where that is its only node.", "",
        summary, "", *table(known, passed, counted), ""])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("nnfuse")
    parser.add_argument("--failures", action="store_true", help="say why tests fail")
    parser.add_argument("--others", action="store_true", help="count the operators that are missing")
    parser.add_argument("--out", help="write the table there, as Markdown")
    parser.add_argument("operators", nargs="*", help="only tests with one of these operators")
    options = parser.parse_args()
    known = operators(options.nnfuse)
    passed, counted, missing = (collections.Counter() for _ in range(3))
    with tempfile.TemporaryDirectory() as folder:
        for test in node_tests():
            used = {(node.domain, node.op_type) for node in test.model.graph.node}
            if options.operators and not {name for _, name in used} & set(options.operators):
                continue
            unknown = {name for domain, name in used if domain or name not in known}
            if unknown:
                missing.update(unknown)
                missing["tests"] += 1
                continue
            own = [next(iter(used))[1]] if len(test.model.graph.node) == 1 else []
            why = run(options.nnfuse, test, pathlib.Path(folder))
            for name in own + ["tests"]:
                counted[name] += 1
                passed[name] += why is None
            if why and options.failures:
                print(f"{test.name}: {why}", flush=True)
    summary = (f"{passed['tests']} of the {counted['tests']} node tests whose operators nnfuse "
               f"knows pass ({missing['tests']} more have an operator that it does not).")
    print(summary)
    if options.others:
        print(", ".join(f"{name} {n}" for name, n in missing.most_common() if name != "tests"))
    if options.out:
        pathlib.Path(options.out).write_text(page(known, passed, counted, summary), "utf-8")


if __name__ == "__main__":
    main()
