#!/bin/sh
# nnfuse bench: what it prints, its JSON, and its errors. Times are only asked to be there.
# shellcheck source=tests/cli_support.sh
. "${NNFUSE_ROOT:?names the folder of the project}/tests/cli_support.sh"

# bench STATUS OPTION...: runs it with few runs.
bench() {
    status=$1
    shift
    "$NNFUSE" bench --runs 2 --warmup 1 "$@" >out 2>err </dev/null
    actual=$?
    [ "$actual" -eq "$status" ] || fail "exit status $actual, not $status: bench $*"
}

# prints PATTERN...: each is in what was printed.
prints() {
    for pattern; do
        grep -qE -- "$pattern" out err || fail "does not print '$pattern'"
    done
}

# Each kind of row
bench 0 "$model" --threads 1
prints "7 chains fused" "input image  float32 \[1, " "2 runs after 1 to warm up, 1 thread$" \
    "median +minimum +spread +GFLOP/s +of peak" "digits.onnx +[0-9.]+ ms +[0-9.]+ ms" \
    "layer type +calls +time +share" "Conv(ReLU)?2d +[45] +[0-9.]+ ms +[0-9.]+%" "peak +[0-9.]+ GFLOP/s"
bench 0 "$model" --threads 1 --no-fuse
prints "Conv2d" "BatchNorm2d" "ReLU"
if grep -q "ConvReLU2d" out; then fail "--no-fuse fuses"; fi

# Two models take turns
"$NNFUSE" fuse "$model" -o fused.onnx --quiet --no-verify >out 2>err || fail "fuse"
bench 0 fused.onnx --against "$model" --no-fuse --shape image=3,1,8,8
prints "\[3, 1, 8, 8\]" "^  fused.onnx" "^  .*digits.onnx +[0-9.]+ ms" \
    "the first takes [0-9.]+ of the second's time"

# JSON, and what it says. The multiply-adds were counted by hand from the file's shapes.
bench 0 fused.onnx --against "$model" --json --threads 1
/usr/bin/env python3 - <<'END' || fail "JSON"
import json, sys
result = json.load(open("out"))
sides = [result, result["against"]]
for side in sides:
    assert side["median_ms"] >= side["min_ms"] > 0 and side["gflops"] > 0, side
    assert side["share_of_peak"] > 0 and side["layers"], side
assert result["gflop"] == sides[1]["gflop"] == 0.000728832, result["gflop"]
assert abs(result["ratio"] - sides[0]["median_ms"] / sides[1]["median_ms"]) < 1e-6
assert (result["runs"], result["warmup"], result["threads"]) == (2, 1, 1)
END

# Quiet: nothing but the JSON that is asked for
bench 0 "$model" --quiet
[ -z "$(cat out err)" ] || fail "is not silent: --quiet"
bench 0 "$model" --quiet --json
prints '"median_ms": [0-9.]+'

# Errors
bench 1
prints "takes MODEL"
bench 1 "$model" --runs 0
prints "an integer from 1"
bench 1 "$model" --against
prints "takes a value"
bench 2 "$model" --against nothing.onnx
prints "nothing.onnx"
bench 2 "$model" --shape image=1,2
prints "\[1, 2\]"

finish
