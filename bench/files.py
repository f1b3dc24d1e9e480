#!/usr/bin/env python3
"""`nnfuse fuse` beside copying the file: files in memory, the programs take turns.

    files.py NNFUSE MODELS NAME ... > TABLE.md      (`./x bench` does it all)
"""
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

TURNS = 9


def run(command):
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def measure(nnfuse, model, folder):
    """Medians of cp, fuse and fuse --no-verify."""
    source, copy, fused = folder / "model.onnx", folder / "copy.onnx", folder / "fused.onnx"
    source.write_bytes(model.read_bytes())
    fuse = [nnfuse, "fuse", source, "-o", fused, "--quiet"]
    commands = (["cp", source, copy], fuse, [*fuse, "--no-verify"])
    times = [[] for _ in commands]
    for _ in range(TURNS):
        for command, taken in zip(commands, times):
            copy.unlink(missing_ok=True)
            fused.unlink(missing_ok=True)
            taken.append(run(command))
    return [statistics.median(taken) for taken in times]


def main():
    nnfuse, models, *names = sys.argv[1:]
    shared_memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    print("| | file, MB | cp | fuse | of cp's time | fuse --no-verify | of cp's time |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name in names:
        model = pathlib.Path(models) / f"{name}.onnx"
        with tempfile.TemporaryDirectory(dir=shared_memory) as folder:
            copy, fuse, unchecked = measure(nnfuse, model, pathlib.Path(folder))
        print(f"| {name} | {model.stat().st_size / 1e6:.0f} | {copy * 1e3:.0f} ms "
              f"| {fuse * 1e3:.0f} ms | {fuse / copy:.1f} | {unchecked * 1e3:.0f} ms "
              f"| {unchecked / copy:.1f} |", flush=True)


if __name__ == "__main__":
    main()
