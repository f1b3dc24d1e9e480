#!/usr/bin/env python3
"""What is left of a network after fusing: nnfuse beside onnxsim, onnxslim, onnxoptimizer (all its
passes) and ONNX Runtime (graph optimization level "basic").

For each model and tool: the nodes that are left (Constant nodes, which compute nothing, are not
counted), the multiplications of one run, and whether ONNX Runtime, which then runs it as it stands,
still gets what it gets from the original, within 1e-4 of the largest output. Writes the last
section of PAGE, and to standard error what the best of the others takes out that nnfuse leaves.

    compare_fusers.py NNFUSE PAGE MODEL.onnx ...      (`./x fusers` makes what it needs)
"""
import collections
import importlib.metadata
import math
import multiprocessing
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime

TOLERANCE = 1e-4
MOST_SECONDS = 300
TITLE = "## What is left of a network"
TEXT = """
Nodes, and millions of multiplications of one run at batch 1, that are left (`./x fusers`): of convolutions, matrix products, Mul,
Div and batch norms. Constant nodes are not counted. The first networks are `tools/make_networks.py`'s, then torchvision's by
`tools/export_models.py`; all weights are random but resnet20-cifar10's. Beside nnfuse: {versions} (onnxoptimizer with all its fuse
and elimination passes, ONNX Runtime at graph optimization level "basic"). The fewest nodes are bold. Every result was run by
ONNX Runtime without optimizations and compared with the original: "wrong" differs by more than 1e-4 of the largest output, or the
tool failed.
"""


# ---- The tools: each writes what it makes of `source` to `target` ----


def by_onnxsim(source, target):
    import onnxsim
    model, _ = onnxsim.simplify(str(source))
    onnx.save(model, target)


def by_onnxslim(source, target):
    import onnxslim
    onnx.save(onnxslim.slim(str(source)), target)


def by_onnxoptimizer(source, target):
    import onnxoptimizer
    passes = onnxoptimizer.get_fuse_and_elimination_passes()
    onnx.save(onnxoptimizer.optimize(onnx.load(source), passes, fixed_point=True), target)


def by_onnxruntime(source, target):
    options = quiet(onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC)
    options.optimized_model_filepath = str(target)
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])


def by_nnfuse(source, target):
    subprocess.run([sys.argv[1], "fuse", source, "-o", target, "--no-verify", "--quiet"],
                   stdout=subprocess.DEVNULL, check=True)


TOOLS = {"nnfuse": by_nnfuse, "onnxsim": by_onnxsim, "onnxslim": by_onnxslim,
         "onnxoptimizer": by_onnxoptimizer, "ONNX Runtime": by_onnxruntime}


def apply(tool, source, target):
    """In a process of its own: whether it came to an end, and well."""
    process = multiprocessing.get_context("fork").Process(target=TOOLS[tool],
                                                          args=(source, target))
    process.start()
    process.join(MOST_SECONDS)
    if process.is_alive():
        process.kill()
    return process.exitcode == 0 and target.exists()


# ---- What is left ----


def quiet(level):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = level
    return options


def run_as_it_stands(model, values):
    """The outputs, and the shapes of the values, at batch 1 on random numbers."""
    outputs = [output.name for output in model.graph.output]
    more = sorted(set(values) - set(outputs) - {given.name for given in model.graph.input})
    del model.graph.value_info[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in more)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), quiet(onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL),
        providers=["CPUExecutionProvider"])
    feeds = {
        given.name: np.random.default_rng(0).standard_normal(
            [size if isinstance(size, int) else 1 for size in given.shape], dtype=np.float32)
        for given in session.get_inputs()}
    results = dict(zip(outputs + more, session.run(outputs + more, feeds)))
    shapes = {name: value.shape for name, value in {**results, **feeds}.items()}
    return [results[name] for name in outputs], shapes


LAYERS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
ELEMENTWISE = {"Mul", "Div", "BatchNormalization"}


def multiplications(node, shapes):
    """Of a layer, and of arithmetic with an element each; other nodes do them the same for all."""
    y = math.prod(shapes[node.output[0]])
    if node.op_type in ELEMENTWISE:
        return y
    a, b = shapes[node.input[0]], shapes[node.input[1]]
    if node.op_type == "Conv":
        return y * math.prod(b[1:])
    if node.op_type == "ConvTranspose":
        return math.prod(a) * math.prod(b[1:])
    transposed = any(x.name == "transA" and x.i for x in node.attribute)
    return y * a[0 if transposed else -1]


def look_at(path):
    """The node types, the multiplications, the outputs."""
    model = onnx.load(path)
    nodes = [node for node in model.graph.node if node.op_type != "Constant"]
    counted = [node for node in nodes if node.op_type in LAYERS | ELEMENTWISE]
    known = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    values = {name for node in counted for name in [*node.input[:2], node.output[0]]}
    outputs, shapes = run_as_it_stands(model, values - known.keys())
    shapes.update(known)
    return (collections.Counter(node.op_type for node in nodes),
            sum(multiplications(node, shapes) for node in counted), outputs)


def difference(expected, actual):
    return max(float(np.abs(a - b).max() / max(np.abs(a).max(), np.finfo(a.dtype).tiny))
               for a, b in zip(expected, actual))


# ---- The table ----


def compare(source, folder):
    """For each tool: the node types and multiplications left, or None where it failed."""
    types, products, expected = look_at(source)
    rows = {"original": (types, products)}
    for tool in TOOLS:
        target = folder / "result.onnx"
        target.unlink(missing_ok=True)
        rows[tool] = None
        if not apply(tool, source, target):
            print(f"{source.stem}: {tool} failed", file=sys.stderr)
            continue
        types, products, outputs = look_at(target)
        off = difference(expected, outputs)
        if off <= TOLERANCE:
            rows[tool] = types, products
        else:
            print(f"{source.stem}: {tool}'s result differs by {off:.1e}", file=sys.stderr)
    return rows


def cell(row, best):
    if row is None:
        return "wrong"
    text = f"{row[0].total()}, {row[1] / 1e6:.2f}"
    return f"**{text}**" if row[0].total() == best else text


def line(name, rows):
    best = min(row[0].total() for row in rows.values() if row)
    return f"| {name} | " + " | ".join(cell(row, best) for row in rows.values()) + " |"


def show_gap(name, rows):
    """Says what nnfuse leaves that the best of the others doesn't."""
    tool, (types, _) = min(((t, r) for t, r in rows.items() if r and t not in ("nnfuse", "original")),
                           key=lambda item: item[1][0].total())
    mine = rows["nnfuse"][0] if rows["nnfuse"] else rows["original"][0]
    if mine.total() <= types.total():
        return mine.total() < types.total(), True
    print(f"{name}: nnfuse leaves {mine.total()} nodes, {tool} {types.total()}; more: "
          f"{dict(mine - types)}, fewer: {dict(types - mine)}", file=sys.stderr)
    return False, False


def write_section(path, lines):
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}"
                         for name in ("onnxsim", "onnxslim", "onnxoptimizer", "onnxruntime"))
    head = ["", "original", *TOOLS]
    text = "\n".join([TITLE, TEXT.format(versions=versions), f"| {' | '.join(head)} |",
                      "| --- |" + " ---: |" * (len(head) - 1), *lines, ""])
    page = path.read_text(encoding="utf-8") if path.exists() else ""
    before = page[:page.find(TITLE)] if TITLE in page else page + "\n"
    path.write_text(before + text, encoding="utf-8")


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    lines, fewer, missed = [], 0, []
    with tempfile.TemporaryDirectory() as folder:
        for source in map(pathlib.Path, sys.argv[3:]):
            rows = compare(source, pathlib.Path(folder))
            lines.append(line(source.stem, rows))
            print(lines[-1], flush=True)
            is_fewer, is_good = show_gap(source.stem, rows)
            fewer += is_fewer
            if not is_good:
                missed.append(source.stem)
    write_section(pathlib.Path(sys.argv[2]), lines)
    print(f"{len(lines)} networks; nnfuse leaves fewer nodes than every other tool on {fewer}")
    if missed or 2 * fewer < len(lines):
        sys.exit(f"missed: {', '.join(missed) or 'half of the networks'}")


if __name__ == "__main__":
    main()
