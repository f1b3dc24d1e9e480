#!/usr/bin/env python3
"""Time and memory of `nnfuse fuse` on a model of many gigabytes with external data, beside `cp`.

    large_model.py NNFUSE [--gigabytes 6] [--turns 3] [--verify] > TABLE.md

The files, the model, its copy and the result, are in the folder of temporary files: TMPDIR says
where, and twice the model's size has to be free there.
"""
import argparse
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

from long_graphs import anonymous_peak, field, node

WIDTH = 4096  # channels and features: a layer's weight has 64 MB
ALIGNMENT = 4096


class Data:
    """The file of external data, written as tensors come; no weight stays in memory."""

    def __init__(self, path):
        self.name, self.file, self.at = path.name, open(path, "wb"), 0

    def tensor(self, name, dims, array):
        begin = -(-self.at // ALIGNMENT) * ALIGNMENT
        self.file.seek(begin)
        self.file.write(array.data)
        self.at = begin + array.nbytes
        entries = {"location": self.name, "offset": begin, "length": array.nbytes}
        return field(5, b"".join(field(1, d) for d in dims) + field(2, 1) + field(8, name) +
                     b"".join(field(13, field(1, key) + field(2, str(value)))
                              for key, value in entries.items()) + field(14, 1))


def layers(data, n):
    """Convolutions, then linear layers, each with a batch norm and a Relu."""
    random = np.random.default_rng(0)
    weight = random.standard_normal(WIDTH * WIDTH, dtype=np.float32) * np.float32((2 / WIDTH) ** 0.5)
    x = "x"
    for i in range(n):
        linear = i >= 2 * n // 3
        if linear and not i - 1 >= 2 * n // 3:
            yield node("GlobalAveragePool", [x], "pooled")
            yield node("Flatten", ["pooled"], "flat")
            x = "flat"
        dims = [WIDTH, WIDTH] if linear else [WIDTH, WIDTH, 1, 1]
        yield data.tensor(f"w{i}", dims, weight)
        weight = np.roll(weight, 4099)
        for name in ("scale", "shift", "mean", "var"):
            values = random.uniform(.75, 1.25, WIDTH) - (name in ("shift", "mean"))
            yield data.tensor(f"{name}{i}", [WIDTH], values.astype(np.float32))
        yield node("MatMul" if linear else "Conv", [x, f"w{i}"], f"c{i}")
        names = [f"{name}{i}" for name in ("scale", "shift", "mean", "var")]
        yield node("BatchNormalization", [f"c{i}", *names], f"n{i}")
        yield node("Relu", [f"n{i}"], f"r{i}")
        x = f"r{i}"


def value(number, name, dims):
    shape = b"".join(field(1, field(1, d)) for d in dims)
    return field(number, field(1, name) + field(2, field(1, field(1, 1) + field(2, shape))))


def make(path, n):
    data = Data(path.with_suffix(".data"))
    parts = list(layers(data, n))
    parts += [field(2, "large"), value(11, "x", (1, WIDTH, 2, 2)),
              value(12, f"r{n - 1}", (1, WIDTH))]
    data.file.close()
    path.write_bytes(field(1, 8) + field(7, b"".join(parts)) + field(8, field(1, "") +
                                                                     field(2, 17)))


def run(command):
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        peak = anonymous_peak(process)
        seconds = time.perf_counter() - start
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    return seconds, peak


def measure(arguments, folder):
    model, out = folder / "large.onnx", folder / "out"
    make(model, round(arguments.gigabytes * 1e9 / (4 * WIDTH * WIDTH)))
    files = [str(model), str(model.with_suffix(".data"))]
    fuse = [arguments.nnfuse, "fuse", str(model), "-o", str(out / "large.onnx")]
    fuse += [] if arguments.verify else ["--no-verify"]
    copies, fuses, peak = [], [], 0
    for _ in range(arguments.turns):
        out.mkdir()
        copies.append(run(["cp", *files, str(out)])[0])
        shutil.rmtree(out)
        out.mkdir()
        seconds, memory = run(fuse)
        fuses.append(seconds)
        peak = max(peak, memory)
        shutil.rmtree(out)
    return {"bytes": sum(pathlib.Path(file).stat().st_size for file in files),
            "verified": arguments.verify, "copy": statistics.median(copies),
            "fuse": statistics.median(fuses), "memory": peak}


def print_table(row):
    what = "fuse" if row["verified"] else "fuse --no-verify"
    print(f"""
A model with external data, {WIDTH} channels and features in each of its layers, in memory
(`bench/large_model.py`); the memory is anonymous (RssAnon).

| model, GB | cp, s | `{what}`, s | over cp | peak memory, MB |
| ---: | ---: | ---: | ---: | ---: |
| {row['bytes'] / 1e9:.2f} | {row['copy']:.2f} | {row['fuse']:.2f} | {row['fuse'] / row['copy']:.2f} \
| {row['memory'] / 1e6:.1f} |""")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("nnfuse")
    parser.add_argument("--gigabytes", type=float, default=6)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--verify", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if shutil.disk_usage(folder).free < 2.1e9 * arguments.gigabytes:
            sys.exit(f"{folder} has no room for twice {arguments.gigabytes} GB")
        print_table(measure(arguments, pathlib.Path(folder)))


if __name__ == "__main__":
    main()
