#!/usr/bin/env python3
"""Time and memory of `nnfuse fuse --no-verify` on graphs of 1,000 to 1,000,000 nodes.

    long_graphs.py NNFUSE [--verify] [--nodes N ...] [--kind KIND ...] [--folder DIR] [--keep]

Prints a table for docs/benchmarks.md: seconds, microseconds and bytes of anonymous memory for each
node. Linear is where a kind's columns hold as the graph grows.
"""
import argparse
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import time

SIZES = [10**3, 10**4, 10**5, 10**6]
RUNS = {10**3: 9, 10**4: 9, 10**5: 3, 10**6: 3}  # the least time counts
CHANNELS = 2

# ---- The file, in protobuf's wire format: a million nodes through the onnx package take minutes ----


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, payload):
    if isinstance(payload, int):
        return varint(number << 3) + varint(payload)
    payload = payload if isinstance(payload, bytes) else payload.encode()
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def node(op, inputs, output):
    return field(1, b"".join(field(1, name) for name in inputs) + field(2, output) +
                 field(3, f"{op}_{output}") + field(4, op))


def tensor(name, dims, values):
    return field(5, b"".join(field(1, d) for d in dims) + field(2, 1) + field(8, name) +
                 field(9, struct.pack(f"<{len(values)}f", *values)))


def value(number, name):
    dims = b"".join(field(1, field(1, d)) for d in (1, CHANNELS, 2, 2))
    return field(number, field(1, name) + field(2, field(1, field(1, 1) + field(2, dims))))


# ---- The kinds of graph: each yields nodes and initializers, one step of a few nodes at a time ----


def conv_bn(i, x, y):
    """A rotation, so that a million of them in a row neither vanish nor grow."""
    names = [f"{part}{i}" for part in ("w", "b", "scale", "shift", "mean", "var")]
    yield tensor(names[0], [CHANNELS, CHANNELS, 1, 1], [0.6, 0.8, -0.8, 0.6])
    for name, number in zip(names[1:], (0.25, 1.0, 0.125, 0.0, 1.0)):
        yield tensor(name, [CHANNELS], [number] * CHANNELS)
    yield node("Conv", [x, *names[:2]], f"c{i}")
    yield node("BatchNormalization", [f"c{i}", *names[2:]], y)


def chain(n):
    """Conv, BatchNormalization, Relu, again and again."""
    x = "x"
    for i in range(n // 3):
        yield from conv_bn(i, x, f"n{i}")
        yield node("Relu", [f"n{i}"], f"r{i}")
        x = f"r{i}"
    yield x


def elementwise(n):
    """Nothing that fuses."""
    x = "x"
    for i in range(n):
        yield node(("Tanh", "Sigmoid", "Relu")[i % 3], [x], f"r{i}")
        x = f"r{i}"
    yield x


def shared(n):
    """One value that every second node reads."""
    x = "x"
    for i in range(n // 2):
        yield node("Add", [x, "x"], f"a{i}")
        yield node("Tanh", [f"a{i}"], f"r{i}")
        x = f"r{i}"
    yield x


def residual(n):
    """ResNet's basic block: seven nodes, two of them convolutions, around them what is added."""
    x = "x"
    for i in range(0, n // 7 * 2, 2):
        yield from conv_bn(i, x, f"n{i}")
        yield node("Relu", [f"n{i}"], f"r{i}")
        yield from conv_bn(i + 1, f"r{i}", f"n{i + 1}")
        yield node("Add", [f"n{i + 1}", x], f"a{i}")
        yield node("Relu", [f"a{i}"], f"s{i}")
        x = f"s{i}"
    yield x


KINDS = {"chain": chain, "elementwise": elementwise, "shared": shared, "residual": residual}


def make(path, kind, n):
    parts = list(KINDS[kind](n))
    output = parts.pop()
    parts += [field(2, kind), value(11, "x"), value(12, output)]
    graph = b"".join(parts)
    path.write_bytes(field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 17)))


# ---- Measuring ----


def anonymous_peak(process):
    """RssAnon in bytes, looked at again and again until the process ends."""
    peak, status = 0, pathlib.Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        found = re.search(r"RssAnon:\s+(\d+) kB", status.read_text(encoding="ascii"))
        peak = max(peak, int(found.group(1)) * 1024 if found else 0)
        time.sleep(0.002)
    return peak


def run(command):
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        process.wait()
        seconds = time.perf_counter() - start
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    return seconds


def measure(arguments, kind, n, folder):
    model, fused = folder / f"{kind}-{n}.onnx", folder / f"{kind}-{n}.fused.onnx"
    if not model.exists():
        make(model, kind, n)
    command = [arguments.nnfuse, "fuse", str(model), "-o", str(fused)]
    command += [] if arguments.verify else ["--no-verify"]
    seconds = min(run(command) for _ in range(RUNS.get(n, 3)))
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        peak = anonymous_peak(process)
    size = model.stat().st_size
    if not arguments.keep:
        model.unlink()
        fused.unlink()
    return seconds, peak, size


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("nnfuse")
    parser.add_argument("--verify", action="store_true")
    parser.add_argument("--nodes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--kind", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument("--folder", type=pathlib.Path)
    parser.add_argument("--keep", action="store_true")
    arguments = parser.parse_args()
    print("| graph | nodes | file, MB | s | µs for each node | memory, MB | bytes for each node |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or pathlib.Path(temporary)
        for kind in arguments.kind:
            for n in arguments.nodes:
                seconds, peak, size = measure(arguments, kind, n, folder)
                print(f"| {kind} | {n:,} | {size / 1e6:.1f} | {seconds:.3f} | {seconds / n * 1e6:.2f}"
                      f" | {peak / 1e6:.1f} | {peak / n:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
