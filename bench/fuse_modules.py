#!/usr/bin/python3
"""Fusing the 53 conv+bn pairs of a ResNet-50: nnf_fuse_modules beside PyTorch's fuse_modules.

Both sides take turns, run for run. A run ends when every folded weight and bias has been read.

    /usr/bin/python3 bench/fuse_modules.py PROGRAM      (`./x bench` does it all)
"""
import copy
import statistics
import subprocess
import sys
import time

import torch
import torchvision

WARM_UPS, RUNS = 3, 9
LIMITS = {"copy": 0.6, "inplace": 0.4}


def pairs_of(model):
    """Each convolution's path with that of the batch norm behind it."""
    names = [n for n, m in model.named_modules() if isinstance(m, torch.nn.Conv2d)]
    def norm(n):
        return n.replace("conv", "bn") if "conv" in n else n[:-1] + str(int(n[-1]) + 1)
    return [[name, norm(name)] for name in names]


def torch_run(model, pairs, mode):
    if mode == "inplace":
        model = copy.deepcopy(model)
    start = time.perf_counter()
    fused = torch.ao.quantization.fuse_modules(model, pairs, inplace=mode == "inplace")
    for name, _ in pairs:
        conv = fused.get_submodule(name)
        conv.weight.sum()
        conv.bias.sum()
    return time.perf_counter() - start


def nnfuse_run(program, mode):
    program.stdin.write(mode + "\n")
    program.stdin.flush()
    total, structure, allocated, _ = program.stdout.readline().split()
    return float(total), float(structure), int(allocated)


def start(*arguments):
    return subprocess.Popen(
        [sys.argv[1], *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def allocated_by(mode):
    """Bytes of all allocations together, from a process of its own: it times another allocator."""
    with start("count") as program:
        return nnfuse_run(program, mode)[2]


def main():
    program = start()
    torch.manual_seed(0)
    model = torchvision.models.resnet50(weights=None).eval()
    pairs = pairs_of(model)
    print(f"{len(pairs)} chains, PyTorch {torch.__version__} with {torch.get_num_threads()} threads,"
          f" median of {RUNS} after {WARM_UPS} warm-ups\n")
    print("| | PyTorch | nnfuse | of PyTorch's time | structural part | allocated by it |")
    print("| --- | --- | --- | --- | --- | --- |")
    missed = False
    with torch.no_grad():
        for mode, limit in LIMITS.items():
            theirs, ours = [], []
            for _ in range(WARM_UPS + RUNS):
                theirs.append(torch_run(model, pairs, mode))
                ours.append(nnfuse_run(program, mode))
            torch_time = statistics.median(theirs[WARM_UPS:])
            total, structure, _ = (
                statistics.median(column) for column in zip(*ours[WARM_UPS:]))
            allocated = allocated_by(mode)
            ratio = total / torch_time
            missed |= ratio > limit or (mode == "copy" and allocated >= 1e6)
            print(f"| {mode} | {torch_time * 1e3:.1f} ms | {total * 1e3:.1f} ms | {ratio:.2f} "
                  f"(at most {limit}) | {structure * 1e3:.2f} ms | {allocated / 1e3:,.0f} KB |")
    program.stdin.close()
    program.wait()
    sys.exit(1 if missed or program.returncode else 0)


if __name__ == "__main__":
    main()
