#!/usr/bin/env python3
"""Time and memory of `nnfuse fuse --no-verify` on graphs of 1,000 to 1,000,000 nodes.

    long_graphs.py NNFUSE [--out ROWS.json] [--verify] [--nodes N ...] [--kind KIND ...]
                          [--folder DIR] [--keep]

Prints the table of docs/benchmarks.md; bench/report.py takes table and picture from here. Time and
memory grow linearly where what one node takes stays the same as the graph grows.
"""
import argparse
import json
import math
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
    row = {"kind": kind, "nodes": n, "bytes": model.stat().st_size,
           "seconds": min(run(command) for _ in range(RUNS.get(n, 3)))}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        row["memory"] = anonymous_peak(process)
    if not arguments.keep:
        model.unlink()
        fused.unlink()
    return row


# ---- Telling ----

HEAD = """| graph | nodes | file, MB | seconds | µs for each node | memory, MB | bytes for each node |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |"""


def line(row):
    n, seconds, memory = row["nodes"], row["seconds"], row["memory"]
    return (f"| {row['kind']} | {n:,} | {row['bytes'] / 1e6:.1f} | {seconds:.3f} | "
            f"{seconds / n * 1e6:.1f} | {memory / 1e6:.0f} | {memory / n:,.0f} |")


def table(rows):
    return "\n".join([HEAD, *map(line, rows)])


def picture(rows):
    """Seconds over nodes, both axes logarithmic: what grows linearly rises like the grey lines."""
    colors = dict(zip(KINDS, ("#1b6ca8", "#c8553d", "#588b5e", "#9a6fb0")))
    width, height, left, top = 520, 360, 60, 20
    powers_x, powers_y = (3, 6), (-3, 2)

    def at(nodes, seconds):
        x = (math.log10(nodes) - powers_x[0]) / (powers_x[1] - powers_x[0])
        y = (math.log10(seconds) - powers_y[0]) / (powers_y[1] - powers_y[0])
        return left + x * width, top + (1 - y) * height

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 110}" '
             f'height="{top + height + 50}" font-family="sans-serif" font-size="11">',
             '<rect width="100%" height="100%" fill="white"/>']

    def stroke(points, color, dash=""):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}"{dash}/>')

    def text(x, y, words, anchor="start", color="black"):
        parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}">'
                     f'{words}</text>')

    for power in range(powers_y[0], powers_y[1] + 1):
        x, y = at(10 ** powers_x[0], 10.0 ** power)
        stroke([(x, y), (x + width, y)], "#eee")
        text(x - 6, y + 4, f"{10.0 ** power:g} s", "end")
    for power in range(powers_x[0], powers_x[1] + 1):
        x, y = at(10 ** power, 10.0 ** powers_y[0])
        text(x, y + 18, f"{10 ** power:,}", "middle")
    text(left + width / 2, top + height + 40, "nodes", "middle")
    for micro in (1, 10):  # seconds for each million nodes
        stroke([at(10 ** p, 10.0 ** p * micro * 1e-6) for p in powers_x], "#bbb",
               ' stroke-dasharray="4 4"')
        text(*at(1.1e6, micro), f"{micro} µs a node", color="#888")
    for kind, color in colors.items():
        own = [row for row in rows if row["kind"] == kind]
        points = [at(row["nodes"], row["seconds"]) for row in own]
        if not points:
            continue
        stroke(points, color)
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for x, y in points]
        place = list(colors).index(kind)
        text(left + 12, top + 16 + 16 * place, kind, color=color)
    return "\n".join(parts + ["</svg>", ""])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("nnfuse")
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--verify", action="store_true")
    parser.add_argument("--nodes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--kind", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument("--folder", type=pathlib.Path)
    parser.add_argument("--keep", action="store_true")
    arguments = parser.parse_args()
    rows = []
    print(HEAD)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or pathlib.Path(temporary)
        for kind in arguments.kind:
            for n in arguments.nodes:
                rows.append(measure(arguments, kind, n, folder))
                print(line(rows[-1]), flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
