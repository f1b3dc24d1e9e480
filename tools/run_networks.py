#!/usr/bin/env python3
"""Run networks by `nnfuse run`, fused and as they stand, and ask ONNX Runtime for the same.

Prints the largest difference relative to the largest output of each.

    run_networks.py NNFUSE MODEL.onnx ...      (`./x peers` makes what it needs)
"""
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from peers import TOLERANCE, difference, expect, failures, session


def nnfuse_run(nnfuse, model, image, outputs, folder, *options):
    """The outputs, or None where it failed."""
    arguments = ["--input", f"{folder}/in.npy"]
    np.save(folder / "in.npy", image)
    for i, name in enumerate(outputs):
        arguments += ["--output", f"{name}={folder}/out{i}.npy"]
    done = subprocess.run([nnfuse, "run", model, "--quiet", *arguments, *options], text=True,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    expect(done.returncode == 0, f"{model.name}: exit status {done.returncode}: {done.stderr}")
    if done.returncode != 0:
        return None
    return [np.load(folder / f"out{i}.npy") for i in range(len(outputs))]


def check(nnfuse, model, folder):
    oracle = session(model)
    taken = oracle.get_inputs()[0]
    shape = [size if isinstance(size, int) else 1 for size in taken.shape]
    image = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    wanted = oracle.run(None, {taken.name: image})
    names = [output.name for output in oracle.get_outputs()]
    apart = []
    for options in ((), ("--no-fuse",)):
        actual = nnfuse_run(nnfuse, model, image, names, folder, *options)
        if actual is None:
            return
        alike = all(a.shape == b.shape for a, b in zip(wanted, actual))
        apart.append(difference(wanted, actual) if alike else float("inf"))
    print(f"{model.stem:30} {apart[0]:10.1e} {apart[1]:10.1e}", flush=True)
    expect(max(apart) <= TOLERANCE, f"{model.name}: nnfuse run differs by {max(apart):.1e}")


def main():
    print(f"\n{'nnfuse run':30} {'fused':>10} {'not fused':>10}")
    with tempfile.TemporaryDirectory() as folder:
        for model in sys.argv[2:]:
            check(sys.argv[1], pathlib.Path(model), pathlib.Path(folder))
    if failures:
        sys.exit("\nmissed:\n  " + "\n  ".join(failures))


if __name__ == "__main__":
    main()
