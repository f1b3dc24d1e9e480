#!/usr/bin/env python3
"""Fuse real networks with the nnfuse command and ask ONNX Runtime whether they still are the same.

For each network: fuse it, let onnx.checker read the result, count its nodes and the batch norms
that are left, run both files in ONNX Runtime, with batches of 1 and 2, and print the largest
difference relative to the largest output. No node may be there that ONNX Runtime's own "basic"
optimization would have taken out.
For the ResNet-20 in ../shared (where that folder is there) also: the chains that were fused, and
the answers on 1,000 CIFAR-10 images, by ONNX Runtime and by `nnfuse run`.

    peers.py NNFUSE MODELDIR [NAME ...]      (`./x peers` makes what it needs)
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
import onnxruntime

SHARED = pathlib.Path(__file__).resolve().parents[2] / "shared"
TOLERANCE = 1e-4
BATCH_NORMS_LEFT = {"densenet121": 62}  # a batch norm behind a Concat has no convolution to go to
# What ONNX Runtime 1.30 leaves at optimization level "basic"; it folds inception_v3's 9 Pads into the
# AveragePools behind them and moves 10 of convnext_tiny's Transposes, which nnfuse does not.
MOST_NODES = {
    "resnet18": 49, "resnet50": 122, "resnet152": 360, "vgg16_bn": 38, "mobilenet_v2": 100,
    "mobilenet_v3_small": 141, "densenet121": 372, "inception_v3": 215 + 9, "googlenet": 139,
    "efficientnet_b0": 239, "regnet_y_400mf": 217, "shufflenet_v2_x1_0": 443, "mnasnet1_0": 99,
    "resnext50_32x4d": 122, "squeezenet1_1": 65, "convnext_tiny": 466 + 10}
RIGHT_ANSWERS = 804
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

failures = []


def expect(condition, what):
    if not condition:
        failures.append(what)
        print(f"  MISSED: {what}")


def session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(path, image):
    model = session(path)
    return model.run(None, {model.get_inputs()[0].name: image})


def difference(expected, actual):
    """The largest one of any output, relative to that output's largest value."""
    return max(
        float(np.abs(a - b).max() / max(np.abs(a).max(), np.finfo(a.dtype).tiny))
        if np.isfinite(a).all() and np.isfinite(b).all() else float("inf")
        for a, b in zip(expected, actual))


def count(model, op_type):
    return sum(node.op_type == op_type for node in model.graph.node)


def fuse(nnfuse, source, target, *options):
    """Seconds that it took, or None where it failed."""
    start = time.perf_counter()
    done = subprocess.run(
        [nnfuse, "fuse", source, "-o", target, "--quiet", *options], text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    expect(done.returncode == 0, f"{source.name}: exit status {done.returncode}: {done.stderr}")
    return time.perf_counter() - start if done.returncode == 0 else None


def network(nnfuse, source, folder):
    target = folder / source.name
    if fuse(nnfuse, source, target) is None:  # verified by nnfuse itself
        return
    target.unlink()
    seconds = fuse(nnfuse, source, target, "--no-verify")
    before, after = onnx.load(source), onnx.load(target)
    onnx.checker.check_model(after, full_check=True)
    for field in ("opset_import", "ir_version", "functions"):
        expect(getattr(before, field) == getattr(after, field), f"{source.name}: {field} changed")
    expect({n.domain for n in after.graph.node} <= {n.domain for n in before.graph.node},
           f"{source.name}: nodes of another domain")
    relative = 0
    for batch in (1, 2):
        shape = [d.dim_value or batch for d in before.graph.input[0].type.tensor_type.shape.dim]
        image = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
        relative = max(relative, difference(run(source, image), run(target, image)))
    left = count(after, "BatchNormalization")
    print(f"{source.stem:20} {len(before.graph.node):5} {len(after.graph.node):5} "
          f"{count(before, 'BatchNormalization'):5} {left:5} {relative:11.1e} "
          f"{seconds * 1e3:7.0f} ms", flush=True)
    most = MOST_NODES.get(source.stem, len(before.graph.node))
    expect(len(after.graph.node) <= most,
           f"{source.name}: {len(after.graph.node)} nodes, and ONNX Runtime leaves {most}")
    expect(left <= BATCH_NORMS_LEFT.get(source.stem, 0), f"{source.name}: {left} batch norms left")
    expect(relative <= TOLERANCE, f"{source.name}: differs by {relative:.1e}")
    target.unlink()


def cifar10():
    data = np.load(SHARED / "data" / "cifar10-test-1000.npz")
    images = (data["x"] / np.float32(255) - np.float32(MEAN)) / np.float32(STD)
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32), data["y"]


def nnfuse_answers(nnfuse, model, images, folder):
    scores = folder / "scores.npy"
    subprocess.run([nnfuse, "run", model, "--quiet", "--input", images, "--output", scores],
                   stdout=subprocess.DEVNULL, check=True)
    return np.load(scores).argmax(1)


def resnet20(nnfuse, folder):
    source, target = SHARED / "models" / "resnet20-cifar10.onnx", folder / "resnet20.onnx"
    if not source.exists():
        print(f"\nresnet20-cifar10: skipped, there is no {source}")
        return
    print("\nresnet20-cifar10")
    found = json.loads(subprocess.run(
        [nnfuse, "inspect", source, "--json"], stdout=subprocess.PIPE, check=True).stdout)
    with_bn = [c for c in found["chains"] if "BatchNorm2d" in c["types"]]
    residual = [c for c in with_bn if "Add" in c["types"]]
    with_relu = [c for c in with_bn if "ReLU" in c["types"] and c not in residual]
    print(f"  {len(with_bn)} chains with a batch norm, {len(with_relu)} of them with a ReLU right "
          f"behind it, {len(residual)} with a residual")
    expect((len(with_bn), len(with_relu), len(residual)) == (19, 10, 9),
           "resnet20: 19 chains, 10 with a ReLU, 9 with a residual")
    if fuse(nnfuse, source, target) is None:
        return
    expect(count(onnx.load(target), "BatchNormalization") == 0, "resnet20: no batch norm left")
    images, labels = cifar10()
    np.save(folder / "images.npy", images)
    expected, actual = run(source, images), run(target, images)
    answers = {
        "ONNX Runtime, original": expected[0].argmax(1),
        "ONNX Runtime, fused": actual[0].argmax(1),
        "nnfuse run, original": nnfuse_answers(nnfuse, source, folder / "images.npy", folder),
        "nnfuse run, fused": nnfuse_answers(nnfuse, target, folder / "images.npy", folder),
    }
    first = next(iter(answers.values()))
    for who, answer in answers.items():
        right = int((answer == labels).sum())
        print(f"  {who:24} {right} of 1000 right, {int((answer == first).sum())} answers the same")
        expect(right == RIGHT_ANSWERS and (answer == first).all(), f"resnet20: {who}")
    relative = difference(expected, actual)
    print(f"  largest relative difference in ONNX Runtime: {relative:.1e}")
    expect(relative <= TOLERANCE, f"resnet20: differs by {relative:.1e}")


def main():
    nnfuse, models = sys.argv[1], pathlib.Path(sys.argv[2])
    print(f"ONNX Runtime {onnxruntime.__version__}, onnx {onnx.__version__}\n")
    print(f"{'':20} {'nodes':>11} {'batch norms':>11} {'difference':>11} {'fused in':>10}")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for source in sorted(models.glob("*.onnx")):
            if not sys.argv[3:] or source.stem in sys.argv[3:]:
                network(nnfuse, source, folder)
        resnet20(nnfuse, folder)
    if failures:
        sys.exit("\nmissed:\n  " + "\n  ".join(failures))
    print("\nall as it should be")


if __name__ == "__main__":
    main()
