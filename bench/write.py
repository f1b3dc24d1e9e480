#!/usr/bin/env python3
"""From the file to the fused file: `nnfuse fuse --no-verify`, `cp`, and other tools that fold batch
norms, all on one file system. `./x bench` prepares all of it.

    write.py NNFUSE MODELS [NETWORK ...] > TABLE.md

Files are in the folder of temporary files: TMPDIR=/dev/shm keeps the disk out of the figures. cp,
nnfuse and the others take turns. cp and nnfuse are timed as processes; the others are Python
packages, and Python's start and their import do not count, reading and writing the file do.
"""
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

NETWORKS = ["resnet50", "resnet152", "vgg16_bn"]
ROUNDS, PEER_ROUNDS = 9, 3

# ---- The peers: each imports what it needs, and returns the job ----


def onnxruntime():
    import onnxruntime as ort

    def job(source, target):
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = target
        options.add_session_config_entry("session.disable_prepacking", "1")  # for running alone
        ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return ort.__version__, job


def onnxsim():
    import onnx
    import onnxsim as sim

    def job(source, target):
        model, same = sim.simplify(onnx.load(source))
        assert same
        onnx.save(model, target)
    return sim.__version__, job


def onnxslim():
    import onnxslim as slim
    return slim.__version__, lambda source, target: slim.slim(source, target)


def onnxoptimizer():
    import onnx
    import onnxoptimizer as optimizer
    from importlib.metadata import version

    def job(source, target):
        passes = optimizer.get_fuse_and_elimination_passes()
        onnx.save(optimizer.optimize(onnx.load(source), passes), target)
    return version("onnxoptimizer"), job


PEERS = {"onnxruntime": onnxruntime, "onnxslim": onnxslim, "onnxsim": onnxsim,
         "onnxoptimizer": onnxoptimizer}
TITLES = {"cp": "`cp`", "nnfuse": "`nnfuse fuse --no-verify`",
          "onnxruntime": "ONNX Runtime (basic level)", "onnxslim": "onnxslim", "onnxsim": "onnxsim",
          "onnxoptimizer": "onnxoptimizer (fusions and eliminations)"}


def be_peer(name, source, target):
    version, job = PEERS[name]()
    start = time.perf_counter()
    job(source, target)
    print(f"\n{version} {time.perf_counter() - start}")


# ---- Measuring ----


def command(name, nnfuse, source, target):
    if name == "cp":
        return ["cp", source, target]
    if name == "nnfuse":
        return [nnfuse, "fuse", source, "-o", target, "--no-verify"]
    return [sys.executable, __file__, "--peer", name, source, target]


def run(words, name):
    """Seconds, and what the job itself said."""
    start = time.perf_counter()
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    seconds = time.perf_counter() - start
    if name not in PEERS:
        return seconds, ""
    version, seconds = done.stdout.decode().split()[-2:]
    return float(seconds), version


def memory_of(words):
    """The peaks of resident and of anonymous memory in bytes, looked at until the process ends."""
    peaks = {"VmHWM": 0, "RssAnon": 0}
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        status = pathlib.Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            text = status.read_text(encoding="ascii")
            for key in peaks:
                found = re.search(rf"{key}:\s+(\d+) kB", text)
                peaks[key] = max(peaks[key], int(found.group(1)) * 1024 if found else 0)
            time.sleep(0.001)
    return peaks["VmHWM"], peaks["RssAnon"]


def n_nodes(path):
    import onnx
    return len(onnx.load(path, load_external_data=False).graph.node)


def measure(nnfuse, model, folder):
    source, target = str(folder / model.name), str(folder / "out.onnx")
    shutil.copy(model, source)
    commands = {name: command(name, nnfuse, source, target) for name in TITLES}
    times, versions = {name: [] for name in commands}, {}
    for turn in range(ROUNDS):
        for name in list(commands):
            if name in PEERS and turn >= PEER_ROUNDS:
                continue
            pathlib.Path(target).unlink(missing_ok=True)
            try:
                seconds, versions[name] = run(commands[name], name)
                times[name].append(seconds)
            except subprocess.CalledProcessError as error:
                print(f"{model.name}: without {name}: {error}", file=sys.stderr)
                del commands[name]
    rows = {}
    for name, words in commands.items():
        resident, anonymous = memory_of(words)
        rows[name] = {"version": versions[name], "seconds": statistics.median(times[name]),
                      "resident": resident, "anonymous": anonymous, "nodes": n_nodes(target)}
    return rows


# ---- Telling ----


INTRODUCTION = f"""
The same job by other tools that fold batch norms (`bench/write.py`): medians of {ROUNDS} runs in
turns, of {PEER_ROUNDS} for the other tools. They are Python packages: Python's start and their import do
not count, reading and writing the file do. Peak memory is resident memory; nnfuse's is the mapped
file, and the others have Python in theirs.

| network | tool | seconds | over cp | peak memory, MB | of it anonymous | nodes |
| --- | --- | ---: | ---: | ---: | ---: | ---: |"""


def print_rows(network, rows):
    for name, row in rows.items():
        title = f"{TITLES[name]} {row['version']}".strip()
        print(f"| {network} | {title} | {row['seconds']:.3f} | "
              f"{row['seconds'] / rows['cp']['seconds']:.2f} | {row['resident'] / 1e6:.0f} | "
              f"{row['anonymous'] / 1e6:.0f} | {row['nodes']} |", flush=True)


def main():
    if sys.argv[1:2] == ["--peer"]:
        be_peer(*sys.argv[2:])
        return
    nnfuse, models, *networks = sys.argv[1:]
    print(INTRODUCTION)
    for network in networks or NETWORKS:
        with tempfile.TemporaryDirectory() as folder:
            print_rows(network, measure(nnfuse, pathlib.Path(models) / f"{network}.onnx",
                                        pathlib.Path(folder)))


if __name__ == "__main__":
    main()
