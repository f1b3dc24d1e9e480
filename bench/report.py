#!/usr/bin/env python3
"""Write docs/benchmarks.md and its pictures from what bench/engines.py, bench/fuse_modules.py,
bench/files.py and bench/long_graphs.py measured.

    report.py RESULTS.json FUSE_MODULES.md FILES.md LONG_GRAPHS.json DOCS
"""
import json
import math
import pathlib
import sys

import files
import long_graphs

TITLES = {
    "nnfuse": "nnfuse, fused", "nnfuse-strict": "nnfuse, --strict",
    "nnfuse-unfused": "nnfuse, unfused", "onnxruntime": "ONNX Runtime",
    "onnxruntime-plain": "ONNX Runtime, optimizations disabled", "openvino": "OpenVINO",
    "ncnn": "ncnn", "pytorch": "PyTorch",
}
COLORS = {
    "nnfuse": "#1b6ca8", "nnfuse-strict": "#5493c2", "nnfuse-unfused": "#8fbbdb",
    "onnxruntime": "#c8553d",
    "onnxruntime-plain": "#e6b3a6", "openvino": "#588b5e", "ncnn": "#9a6fb0", "pytorch": "#b8a13a",
}

LEFT = "\n## What is left of a network"  # the end of the page, by tools/compare_fusers.py
PAGE = """# Benchmarks

`./x bench` makes the networks, measures, and writes this page, one part after the other, on a machine that may be
shared: the ratios say more than the times.

Machine: {processor}, {cores} cores, {instructions}. {versions}.

## Networks

Milliseconds for one run, the median. {threads} threads, float32, torchvision's networks with batch
norms in place as `tools/export_models.py` writes them. Each engine is a process of its own and gets
the same fresh inputs; reading the result belongs to the run. The engines take turns in bursts, in
another order each time, with {pause} s between them so that one's spinning threads do not slow the next
one down; the first turn and the first run of each burst are left out. "nnfuse, fused" runs the file
that `nnfuse fuse` wrote as `nnfuse run` does; "--strict" does likewise with PyTorch's fusions alone;
all others run the original file. ncnn's Python package takes one image at a time.
{tables}
![Times relative to ONNX Runtime's]({picture})

## Memory

Peak anonymous memory (RssAnon) of the engine's process at batch 1 in MB, and behind the "+" what of
it was there before the model was loaded (Python and its modules; nnfuse is a C program).

{memory}

## Agreement

The largest difference from ONNX Runtime's output, relative to the output's largest value, over all
networks and batch sizes, and where it was found:

{agreement}

## Fusing

Fusing the convolution and batch norm pairs of a ResNet-50, `nnf_fuse_modules` beside PyTorch's
`fuse_modules` (`bench/fuse_modules.py`), until every folded weight and bias has been read:

{fusing}

## Files

`nnfuse fuse` beside `cp`, files in memory: from the start of the program to its end, the median of
{turns} turns (`bench/files.py`). The check reads the written file again, and runs it and the original.

{files}

## Long graphs

`nnfuse fuse --no-verify`, from the file to the file, both in memory (`bench/long_graphs.py`): chains
of Conv, BatchNormalization and Relu with 2 channels; elementwise nodes, of which none fuses; one value
that half of the nodes read; residual blocks. The least time of several runs, and the peak of
anonymous memory (RssAnon).

{long}

![Seconds over nodes]({long_picture})
"""


def table(head, rows):
    lines = [head, ["---"] + ["---:"] * (len(head) - 1)] + rows
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def engines_of(rows):
    there = {name for row in rows.values() for name in row}
    return [name for name in TITLES if name in there]


def geometric_mean(numbers):
    return math.exp(sum(map(math.log, numbers)) / len(numbers))


def ratios(rows, over, under):
    return [row[over]["median_ms"] / row[under]["median_ms"] for row in rows.values()
            if over in row and under in row]


def times(rows):
    names = engines_of(rows)
    return table(["", *(TITLES[n] for n in names)], [
        [network, *(f"{row[n]['median_ms']:.2f}" if n in row else "" for n in names)]
        for network, row in rows.items()])


def compared(rows):
    """How many times nnfuse's time each engine takes, and what fusing saves."""
    names = [n for n in engines_of(rows) if n != "nnfuse"]
    lines = [[network, *(f"{row[n]['median_ms'] / row['nnfuse']['median_ms']:.2f}"
                         if n in row else "" for n in names)] for network, row in rows.items()]
    lines.append(["geometric mean", *(f"{geometric_mean(ratios(rows, n, 'nnfuse')):.2f}"
                                      for n in names)])
    return table(["", *(TITLES[n] for n in names)], lines)


def memory(rows):
    names = engines_of(rows)

    def cell(row):
        before = row["before_kb"] * 1.024e-3
        return f"{row['anonymous_kb'] * 1.024e-3 - before:.0f} + {before:.0f}"
    return table(["", *(TITLES[n] for n in names)], [
        [network, *(cell(row[n]) if n in row else "" for n in names)]
        for network, row in rows.items()])


def agreement(batches):
    worst = {}
    for batch, rows in batches.items():
        for network, row in rows.items():
            for name, result in row.items():
                found = result["difference"], f"{network}, batch {batch}"
                worst[name] = max(worst.get(name, found), found)
    return table(["", "difference", "on"], [
        [TITLES[n], f"{worst[n][0]:.1e}", worst[n][1]] for n in TITLES
        if n in worst and n != "onnxruntime"])


def versions(batches):
    found = {}
    for rows in batches.values():
        for row in rows.values():
            for name, result in row.items():
                found.setdefault(TITLES[name].split(",")[0], result["version"].split("-")[0])
    return ", ".join(f"{title} {version}" for title, version in found.items())


def picture(rows):
    """Bars for each network: time relative to ONNX Runtime's; those above twice it are cut off."""
    names, bar, gap, left, top, height, most = engines_of(rows), 11, 24, 40, 46, 240, 2.0
    group = bar * len(names) + gap
    width = left + group * len(rows) + 10
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{top + height + 30}"'
             ' font-family="sans-serif" font-size="11">',
             '<rect width="100%" height="100%" fill="white"/>']
    for i, name in enumerate(names):
        x, y = left + i % 4 * 165, 6 + i // 4 * 16
        parts.append(f'<rect x="{x}" y="{y}" width="10" height="10" fill="{COLORS[name]}"/>'
                     f'<text x="{x + 14}" y="{y + 9}">'
                     f'{TITLES[name].replace("optimizations disabled", "unoptimized")}</text>')
    for tick in (0.0, 0.5, 1.0, 1.5, 2.0):
        y = top + height * (1 - tick / most)
        parts.append(f'<line x1="{left}" x2="{width - 10}" y1="{y:.1f}" y2="{y:.1f}" '
                     f'stroke="{"#555" if tick == 1.0 else "#ddd"}"/>'
                     f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:.1f}</text>')
    for g, (network, row) in enumerate(rows.items()):
        for i, name in enumerate(names):
            if name not in row:
                continue
            ratio = row[name]["median_ms"] / row["onnxruntime"]["median_ms"]
            h, x = height * min(ratio, most) / most, left + gap / 2 + g * group + i * bar
            parts.append(f'<rect x="{x:.1f}" y="{top + height - h:.1f}" width="{bar - 1}" '
                         f'height="{h:.1f}" fill="{COLORS[name]}"><title>{network}, {TITLES[name]}: '
                         f'{row[name]["median_ms"]:.2f} ms</title></rect>')
            if ratio > most:
                parts.append(f'<text x="{x + 5:.1f}" y="{top + height - h + 10:.1f}" font-size="8" '
                             f'text-anchor="middle">{ratio:.1f}</text>')
        parts.append(f'<text x="{left + group * (g + 0.5):.1f}" y="{top + height + 16}" '
                     f'text-anchor="middle">{network}</text>')
    return "\n".join(parts + ["</svg>", ""])


def main():
    results = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    fusing = pathlib.Path(sys.argv[2]).read_text(encoding="utf-8").strip()
    filing = pathlib.Path(sys.argv[3]).read_text(encoding="utf-8").strip()
    rows = json.loads(pathlib.Path(sys.argv[4]).read_text(encoding="utf-8"))
    docs, batches = pathlib.Path(sys.argv[5]), results["batches"]
    tables = "".join(
        f"\n### Batch {batch}\n\n{times(rows)}\n\nDivided by nnfuse's time, fused: above 1, nnfuse "
        f"is faster.\n\n{compared(rows)}\n" for batch, rows in batches.items())
    (docs / "benchmarks.svg").write_text(picture(batches["1"]), encoding="utf-8")
    (docs / "long_graphs.svg").write_text(long_graphs.picture(rows), encoding="utf-8")
    page = docs / "benchmarks.md"
    old = page.read_text(encoding="utf-8") if page.exists() else ""
    left = old[old.find(LEFT):] if LEFT in old else ""
    page.write_text(PAGE.format(
        **results, versions=versions(batches), tables=tables, memory=memory(batches["1"]),
        agreement=agreement(batches), fusing=fusing, files=filing, turns=files.TURNS,
        picture="benchmarks.svg", long=long_graphs.table(rows), long_picture="long_graphs.svg") +
                    left, encoding="utf-8")


if __name__ == "__main__":
    main()
