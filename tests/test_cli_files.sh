#!/bin/sh
# What the nnfuse command writes: which files a result consists of, what it may not replace, and
# permissions.
# shellcheck source=tests/cli_support.sh
. "${NNFUSE_ROOT:?names the folder of the project}/tests/cli_support.sh"
goldens=$NNFUSE_ROOT/tests/goldens/onnx

# External data: which files the result needs; with --external-data it needs its own alone
cp "$goldens/external.onnx" "$goldens/external.data" .
expect 0 "o.onnx: 253 bytes; 2 weights stay in external.data: 4,800 bytes; written" \
    "$NNFUSE" fuse external.onnx -o o.onnx
expect 0 "o.onnx: 252 bytes, with o.onnx.data: 10,592 bytes, written" \
    "$NNFUSE" fuse external.onnx -o o.onnx --external-data
mkdir alone
mv o.onnx o.onnx.data alone
expect 0 "the same" "$NNFUSE" verify external.onnx alone/o.onnx
if command -v python3 >/dev/null; then
    expect 0 "" "$NNFUSE" fuse external.onnx -o o.onnx --json
    python3 - <<'END' || fail "fuse --json with kept data"
import json
r = json.load(open("out"))
assert (r["bytes"], r["data"]) == (253, None), r
assert r["kept_data"] == [{"path": "external.data", "bytes": 4800, "weights": 2}], r
END
fi
rm -r alone o.onnx external.onnx external.data

expect_files ""
finish
