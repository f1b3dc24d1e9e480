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
expect 4 "it holds weights of 'external.onnx'" "$NNFUSE" fuse external.onnx -o external.data
expect 4 "it holds weights" "$NNFUSE" fuse external.onnx -o external.data --external-data
ln -s external.data link.data
for place in external.data "$PWD/external.data" link.data; do
    expect 1 "$place is a data file of the model" "$NNFUSE" run external.onnx -o "$place"
    expect 1 "$place is a data file of the model" "$NNFUSE" run alone/../external.onnx -o "$place"
done
long=$(printf '%0200d' 0).onnx
expect 0 "written" "$NNFUSE" fuse external.onnx -o "$long" --external-data
expect 1 "is a data file of the model" "$NNFUSE" run "$long" -o "$long.data"
expect 0 "written to y.npy" "$NNFUSE" run "$long" -o y.npy
expect 0 "written to y.npy" "$NNFUSE" run "$long" -o y.npy
cmp -s external.data "$goldens/external.data" || fail "weights were written over"
rm -r alone o.onnx external.onnx external.data link.data "$long" "$long.data" y.npy

# Results never replace what they are computed from
cp "$model" m.onnx && cp "$images" x.npy && cp "$labels" l.npy
ln -s m.onnx link.onnx
for place in m.onnx ./m.onnx link.onnx scores=m.onnx; do
    expect 1 "is the model" "$NNFUSE" run m.onnx -o $place
done
expect 1 "is an input" "$NNFUSE" run m.onnx -i x.npy -o x.npy
expect 1 "is an input" "$NNFUSE" fuse m.onnx -i image=x.npy -o x.npy
expect 1 "is the file of --labels" "$NNFUSE" run m.onnx -i x.npy --labels l.npy -o l.npy
expect 1 "is the file of --labels" "$NNFUSE" fuse m.onnx -i x.npy --labels l.npy -o l.npy
{ cmp -s m.onnx "$model" && cmp -s x.npy "$images" && cmp -s l.npy "$labels"; } ||
    fail "a source was written over"

# One output, one place
two=$goldens/middle_output.onnx
expect 1 "the outputs 'y' and 'c' cannot both go to a.npy" "$NNFUSE" run "$two" -o y=a.npy -o c=a.npy
expect 1 "cannot both go to standard output" "$NNFUSE" run "$two" -o y=- -o c=-
expect 1 "the output 'scores' is given twice" "$NNFUSE" run m.onnx -o a.npy -o b.npy
expect 1 "--output scores= names no file" "$NNFUSE" run m.onnx -o scores=
expect 1 "cannot both go to standard output" "$NNFUSE" run m.onnx -o - --json
expect 1 "what --labels prints cannot both" "$NNFUSE" run m.onnx -i x.npy --labels l.npy -o -

# A file that may not be written stays; root may write everything
if [ "$(id -u)" -ne 0 ]; then
    echo old >y.npy && echo old >f.onnx && chmod 444 y.npy f.onnx
    expect 4 "cannot write y.npy" "$NNFUSE" run m.onnx -o y.npy
    expect 4 "cannot write f.onnx" "$NNFUSE" fuse m.onnx -o f.onnx
    [ "$(cat y.npy f.onnx)" = "$(printf 'old\nold')" ] || fail "a read-only file was replaced"
    rm -f y.npy f.onnx
fi
rm x.npy l.npy link.onnx

# A new file is as private as the model, and one that is replaced stays as it is
mode() {
    find "$1" -printf '%m\n'
}
chmod 600 m.onnx
expect 0 "" "$NNFUSE" fuse m.onnx -o p.onnx --external-data
[ "$(mode p.onnx) $(mode p.onnx.data)" = "600 600" ] || fail "a private model's result is for all"
chmod 644 p.onnx
expect 0 "" "$NNFUSE" fuse m.onnx -o p.onnx --external-data
[ "$(mode p.onnx)" = 644 ] || fail "a file that is replaced gets other permissions"
chmod 400 m.onnx
expect 0 "" "$NNFUSE" fuse m.onnx -o q.onnx
[ "$(mode q.onnx)" = 600 ] || fail "the result of a read-only model cannot be replaced"
rm -f m.onnx p.onnx p.onnx*.data q.onnx

# Weights that cannot be folded show when they are written: then it begins again without them
expect 0 "1 chain fused" "$NNFUSE" fuse "$goldens/overflow.onnx" -o m.onnx
expect 0 "1 chain fused" "$NNFUSE" fuse --no-verify "$goldens/overflow.onnx" -o m.onnx
expect 2 "too large for float32" "$NNFUSE" fuse "$goldens/overflow.onnx" -o n.onnx --chain c1,y
rm m.onnx

expect_files ""
finish
