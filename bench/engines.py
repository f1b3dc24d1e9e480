#!/usr/bin/env python3
"""The same networks on nnfuse and on other engines, on one machine: `./x bench` prepares all of it.

    engines.py --programs BUILD --models MODELS --out RESULTS.json [--engine NAME ...] [NAME ...]

Each engine is a process of its own, with the same number of threads. They take turns, in another
order each time: an engine runs a burst of fresh inputs, the others run the same ones after a pause,
since an engine's threads go on spinning for a while after a run and take the processors from the
next one. The first turn and the first run of each burst do not count. Outputs are compared with
ONNX Runtime's: what differs by more than 1e-3 is told, and the exit status is 1 where that is
nnfuse.
"""
import argparse
import contextlib
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

NETWORKS = ["resnet18", "resnet50", "mobilenet_v2", "vgg16_bn", "densenet121", "efficientnet_b0",
            "regnet_y_400mf", "mobilenet_v3_small"]
ENGINES = ["nnfuse", "nnfuse-strict", "nnfuse-unfused", "onnxruntime", "onnxruntime-plain",
           "openvino", "ncnn", "pytorch"]
BATCHES = {1: (10, 5), 8: (4, 3)}  # turns, and runs of a burst
PAUSE, PAUSES = 0.1, 12
TOLERANCE = 1e-3
HERE = pathlib.Path(__file__).resolve().parent
# Debian's Python has PyTorch, this one, of a virtual environment, has the others.
PYTHON = {"pytorch": "/usr/bin/python3"}


class Engine:
    """A process that runs one model (see engine_peer.py for what is said to it)."""

    def __init__(self, name, arguments):
        self.name, self.times, self.difference, self.peak = name, [], 0.0, 0
        self.process = subprocess.Popen(
            [str(a) for a in arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True)
        ready = self.process.stdout.readline().split()
        if ready[:1] != ["ready"]:
            raise RuntimeError("does not start")
        self.version = ready[1]
        self.before = self.anonymous()
        self.say("load")

    def say(self, line):
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise RuntimeError("has ended") from error

    def anonymous(self):
        """RssAnon in kilobytes."""
        for line in open(f"/proc/{self.process.pid}/status", encoding="ascii"):
            if line.startswith("RssAnon:"):
                return int(line.split()[1])
        return 0

    def run(self, path, shape):
        self.say(str(path))
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError("cannot run it")
        self.peak = max(self.peak, self.anonymous())
        return float(answer), np.fromfile(f"{path}.out", np.float32).reshape(shape[0], -1)

    def close(self):
        with contextlib.suppress(BrokenPipeError):  # of what has ended already
            self.process.stdin.close()
        self.process.kill()
        self.process.wait()


def ncnn_files(model):
    """ncnn's own format, which pnnx converts the file to, beside it."""
    folder = model.parent / "ncnn"
    made = folder / f"{model.stem}.ncnn.bin"
    if made.exists() and made.stat().st_mtime > model.stat().st_mtime:
        return folder / model.stem
    folder.mkdir(exist_ok=True)
    pnnx = pathlib.Path(sys.executable).parent / "pnnx"
    if not pnnx.exists():
        raise RuntimeError("pnnx is not installed")
    shutil.copy(model, folder)
    subprocess.run([pnnx, model.name, "inputshape=[1,3,224,224]"], cwd=folder, timeout=300,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    for path in folder.glob("*onnx"):
        path.unlink()
    return folder / model.stem


def command(name, options, network, folder, threads, shape):
    model = options.models / f"{network}.onnx"
    if name.startswith("nnfuse"):
        program = options.programs / "bench" / "engine_nnfuse"
        mode = {"nnfuse": "fuse", "nnfuse-strict": "strict"}.get(name, "asis")
        if mode != "asis":
            fused = folder / f"{network}.{mode}.onnx"
            strict = ["--strict"] if mode == "strict" else []
            if not fused.exists():
                subprocess.run([options.programs / "nnfuse", "fuse", model, "-o", fused, "--quiet",
                                *strict], stdout=subprocess.DEVNULL, check=True)
            model = fused
        return [program, model, threads, mode, *shape]
    if name == "ncnn":
        if shape[0] > 1:
            raise RuntimeError("takes one image at a time")
        model = ncnn_files(model)
    return [PYTHON.get(name, sys.executable), HERE / "engine_peer.py", name, model, threads, *shape]


def start(options, network, folder, shape):
    engines = []
    for name in options.engine or ENGINES:
        try:
            engines.append(Engine(name, command(
                name, options, network, folder, options.threads, shape)))
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            print(f"{network}, batch {shape[0]}: without {name}: {error}", file=sys.stderr)
    return engines


def processors_idle():
    """Idle and all time of the processors so far."""
    with open("/proc/stat", encoding="ascii") as file:
        ticks = [int(number) for number in file.readline().split()[1:]]
    return ticks[3], sum(ticks)


def pause():
    """Until the processors are idle, which another process may prevent for a while only."""
    for _ in range(PAUSES):
        idle, total = processors_idle()
        time.sleep(PAUSE)
        now_idle, now_total = processors_idle()
        if now_idle - idle >= 0.9 * (now_total - total):
            return


def burst(engine, paths, shape, counts):
    """The outputs for these inputs."""
    pause()
    outputs = []
    for i, path in enumerate(paths):
        milliseconds, y = engine.run(path, shape)
        outputs.append(y)
        if counts and i > 0:
            engine.times.append(milliseconds)
    return outputs


def difference(outputs, wanted):
    """The largest one, as a part of the largest output."""
    return max(float(np.abs(y - w).max() / np.abs(w).max()) for y, w in zip(outputs, wanted))


def measure(options, network, batch, folder):
    shape = (batch, 3, 224, 224)
    turns, runs = BATCHES[batch]
    paths = [folder / f"input{i}" for i in range(runs)]
    random = np.random.default_rng(batch)
    engines = start(options, network, folder, shape)
    for turn in range(turns):
        outputs = {}
        for path in paths:
            random.standard_normal(shape, dtype=np.float32).tofile(path)
        for engine in random.permutation(engines):  # nobody always follows the same one
            try:
                outputs[engine] = burst(engine, paths, shape, turn > 0)
            except RuntimeError as error:
                print(f"{network}, batch {batch}: without {engine.name}: {error}", file=sys.stderr)
                engines.remove(engine)
                engine.close()
        wanted = next((y for engine, y in outputs.items() if engine.name == "onnxruntime"), None)
        for engine in outputs if wanted else ():
            engine.difference = max(engine.difference, difference(outputs[engine], wanted))
    for engine in engines:
        engine.close()
    return {e.name: {
        "median_ms": statistics.median(e.times), "min_ms": min(e.times), "runs": len(e.times),
        "difference": e.difference, "anonymous_kb": e.peak, "before_kb": e.before,
        "version": e.version} for e in engines}


def processor():
    for line in open("/proc/cpuinfo", encoding="utf-8"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def instructions():
    flags = open("/proc/cpuinfo", encoding="utf-8").read().split()
    return "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "no AVX2"


def nnfuse_is_right(results, engines):
    """Tells of every engine that is far from ONNX Runtime; whether nnfuse was there and is not."""
    right = True
    for batch, rows in results["batches"].items():
        for network, row in rows.items():
            far = {name for name in row if not row[name]["difference"] <= TOLERANCE}
            for name in far:
                print(f"{network}, batch {batch}: {name} differs by {row[name]['difference']:.1e}",
                      file=sys.stderr)
            right &= not any(name.startswith("nnfuse") and (name in far or name not in row)
                             for name in engines)
    return right


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--programs", type=pathlib.Path, required=True)
    parser.add_argument("--models", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--engine", action="append", choices=ENGINES)
    parser.add_argument("networks", nargs="*")
    options = parser.parse_args()
    options.models, options.programs = options.models.resolve(), options.programs.resolve()
    results = {"processor": processor(), "instructions": instructions(), "cores": os.cpu_count(),
               "threads": options.threads, "pause": PAUSE, "batches": {}}
    shared_memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    for batch in BATCHES:
        rows = results["batches"][str(batch)] = {}
        for network in options.networks or NETWORKS:
            with tempfile.TemporaryDirectory(dir=shared_memory) as folder:
                rows[network] = measure(options, network, batch, pathlib.Path(folder))
            print(f"{network:16} batch {batch}  " + "  ".join(
                f"{name} {row['median_ms']:.2f}" for name, row in rows[network].items()),
                file=sys.stderr, flush=True)
            options.out.write_text(json.dumps(results, indent=1), encoding="utf-8")
    sys.exit(0 if nnfuse_is_right(results, options.engine or ENGINES) else 1)


if __name__ == "__main__":
    main()
