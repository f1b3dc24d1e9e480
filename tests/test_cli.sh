#!/bin/sh
# The nnfuse command: exit statuses, messages, JSON, and nothing left behind.
# shellcheck source=tests/cli_support.sh
. "${NNFUSE_ROOT:?names the folder of the project}/tests/cli_support.sh"

# Usage
expect 0 "nnfuse 0." "$NNFUSE" --version
expect 0 "usage: nnfuse" "$NNFUSE" --help
expect 1 "usage: nnfuse" "$NNFUSE"
expect 0 "usage: nnfuse fuse" "$NNFUSE" help fuse
expect 0 "nnfuse 0." "$NNFUSE" version
expect 1 "did you mean 'fuse'?" "$NNFUSE" help fsue
for command in fuse inspect run verify; do
    expect 0 "usage: nnfuse $command" "$NNFUSE" $command --help
done
expect 1 "did you mean 'fuse'?" "$NNFUSE" fsue
expect 1 "did you mean '--tolerance'?" "$NNFUSE" fuse --tolerence 1 "$model"
expect 1 "takes MODEL" "$NNFUSE" fuse
expect 1 "too much" "$NNFUSE" fuse "$model" "$model"
expect 1 "takes a value" "$NNFUSE" fuse "$model" --output
expect 0 "would be fused" "$NNFUSE" fuse "$model" -nv
expect 0 "" "$NNFUSE" fuse "$model" -no dry.onnx
expect 1 "no option '-x'" "$NNFUSE" fuse "$model" -nxq
expect 0 "7 chains would be fused" "$NNFUSE" fuse "$model" -n --only scale,batchnorm
expect 1 "there is no fusion 'linear'" "$NNFUSE" fuse "$model" -n --only relu,linear
expect 1 "a kind of fusion has no name between the commas" "$NNFUSE" fuse "$model" -n --skip relu,
expect 1 "takes no value" "$NNFUSE" fuse "$model" --json=1
expect 1 "a number above 0" "$NNFUSE" fuse "$model" --tolerance=-1
expect 1 "an integer from 1" "$NNFUSE" run "$model" --threads 0
expect 1 "an integer from 1 to 1024" "$NNFUSE" fuse "$model" --threads 100000
expect 1 "an integer from 1 to 2147483647" "$NNFUSE" bench "$model" --runs -1
# Where nnfuse is built without OpenMP, oneDNN's own threads are not nnfuse's to bound.
if [ -n "${NNFUSE_OPENMP:-}" ]; then
    OMP_NUM_THREADS=100000 expect 0 "7 chains" "$NNFUSE" fuse "$model" -o t.onnx
fi
rm -f t.onnx

# Options that say nothing beside another one
# together COMMAND OPTION OTHER...: it refuses the option with each of the others.
together() {
    command=$1 option=$2
    shift 2
    for other; do
        # shellcheck disable=SC2086
        expect 1 "${option%% *} and ${other%% *} do not go together" \
            "$NNFUSE" "$command" "$model" $other $option
    done
}
together fuse --no-verify "--labels $labels" "--tolerance 1" "--input $images" \
    "--shape image=2,1,8,8" "--seed 2" "--int-max 3"
together fuse --dry-run "--labels $labels" "--tolerance 1" "--input $images" \
    "--shape image=2,1,8,8" "--seed 2" "--int-max 3" --external-data --no-verify
together fuse "--chain a,b" "--only series" "--skip series" --strict
together run --no-fuse "--only series" "--skip series" --strict
together bench --no-fuse "--only series" "--skip series" --strict
NNFUSE_KERNELS=ref expect 2 "there are no kernels 'ref'" "$NNFUSE" run "$model"
NNFUSE_KERNELS='' expect 0 "" "$NNFUSE" run "$model"
expect 1 "no input 'picture'" "$NNFUSE" run "$model" --input picture="$images"
expect 1 "no output 'y'" "$NNFUSE" run "$model" --output y=y.npy
expect 1 "--shape takes sizes" "$NNFUSE" run "$model" --shape image=1,x
expect 1 "the input 'image' is given twice" "$NNFUSE" run "$model" -i "$images" -i image="$images"
for command in fuse run "verify $model" bench; do
    # shellcheck disable=SC2086
    expect 1 "the shape of the input 'image' is given twice" \
        "$NNFUSE" $command "$model" --shape image=1,1,8,8 --shape 2,1,8,8
done
expect 1 "" "$NNFUSE" fuse "$model" -o - --json
expect_files ""

# Input that cannot be read or fused
expect 2 "no.onnx" "$NNFUSE" fuse no.onnx
expect 2 "" "$NNFUSE" inspect .
echo "this is no model" >text.onnx
expect 2 "text.onnx" "$NNFUSE" fuse text.onnx
expect 2 "text.onnx" "$NNFUSE" run "$model" --input text.onnx
head -c 5000 "$model" >part.onnx
expect 2 "part.onnx" "$NNFUSE" fuse part.onnx
expect 2 "'nowhere'" "$NNFUSE" fuse "$model" -o f.onnx --chain stem.0,nowhere
expect 2 "" "$NNFUSE" fuse "$model" -o f.onnx --chain stem.0,stem.2
expect 2 "[2, 3]" "$NNFUSE" fuse "$model" -o f.onnx --shape image=2,3
expect_files "./part.onnx ./text.onnx "
rm part.onnx text.onnx

# Fusing
expect 0 "7 chains fused" "$NNFUSE" fuse "$model" -o f.onnx
expect_files "./f.onnx "
expect 0 "99.11% before (446 of 450 right), 99.11% after (446 right)" \
    "$NNFUSE" fuse "$model" -o f.onnx --input "$images" --labels "$labels"
expect 0 "7 chains would be fused" "$NNFUSE" fuse "$model" -o dry.onnx --dry-run
expect 0 "not checked" "$NNFUSE" fuse "$model" -o g.onnx --no-verify
cmp -s f.onnx g.onnx || fail "checking changes the file"
expect 0 "1 chain fused" "$NNFUSE" fuse "$model" -o g.onnx --chain stem.0,stem.1,stem.2
expect 0 "2 chains fused" "$NNFUSE" fuse "$model" -o g.onnx --chain=stem.0,stem.1 --chain up.0,up.1
expect 0 "2 chains fused" "$NNFUSE" fuse "$model" -o h.onnx --chain 'stem.{0, 1}' --chain 'up.{0,1}'
cmp -s g.onnx h.onnx || fail "--chain 'a.{b, c}' is another chain than a.b,a.c"
expect 1 "in 'stem.0,' name 2 is empty" "$NNFUSE" fuse "$model" -o g.onnx --chain stem.0,
expect 1 "in 'stem.{,1}' name 1 is empty" "$NNFUSE" fuse "$model" -o g.onnx --chain 'stem.{,1}'
rm g.onnx h.onnx
cp "$model" m.onnx
expect 0 "m.fused.onnx" "$NNFUSE" fuse m.onnx
expect 0 "" "$NNFUSE" fuse m.onnx -o m.onnx
cmp -s m.onnx f.onnx || fail "a file fused onto itself differs"
expect_files "./f.onnx ./m.fused.onnx ./m.onnx "
"$NNFUSE" fuse - <"$model" >piped.onnx 2>err || fail "fuse - gives $?"
cmp -s piped.onnx f.onnx || fail "through pipes the file differs"
mkfifo pipe
cat pipe >piped.onnx &
expect 0 "7 chains fused" "$NNFUSE" fuse "$model" -o pipe
wait
cmp -s piped.onnx f.onnx || fail "through a named pipe the file differs"
rm piped.onnx m.onnx m.fused.onnx pipe

# A difference leaves no file, and what was there stays
cp f.onnx before.onnx
expect 3 "nothing was written" "$NNFUSE" fuse "$model" -o f.onnx --tolerance 1e-12
cmp -s f.onnx before.onnx || fail "a refused file took the place of the old one"
expect 3 "differs" "$NNFUSE" fuse "$model" -q -o f.onnx --tolerance 1e-12
expect_files "./before.onnx ./f.onnx "
expect 0 "the same" "$NNFUSE" verify "$model" f.onnx
expect 3 "different" "$NNFUSE" verify "$model" f.onnx --tolerance 1e-12
rm before.onnx
# Where nothing could be compared there is no difference of 0
onnx=$NNFUSE_ROOT/tests/goldens/onnx
expect 3 "one has the shape [1, 3, 4, 4], the other [1, 4]" \
    "$NNFUSE" verify "$onnx/chain.onnx" "$onnx/layers.onnx"
prints "y                        -         -     0.0001             -  DIFFERS"

# External data: a refused file takes its data file with it, and an older one stays
external=$NNFUSE_ROOT/tests/goldens/onnx/external_chain.onnx
mkdir e && cp f.onnx e/f.onnx.data
expect 3 "nothing was written" "$NNFUSE" fuse "$external" -o e/f.onnx --tolerance 1e-13
expect_files "./e/f.onnx.data ./f.onnx "
cmp -s f.onnx e/f.onnx.data || fail "a refused file changed data that was there"
expect 0 "1 chain fused" "$NNFUSE" fuse "$external" -o e/f.onnx
expect_files "./e/f.onnx ./e/f.onnx.1.data ./e/f.onnx.data ./f.onnx "
cmp -s f.onnx e/f.onnx.data || fail "the new data file took the place of the old one"
expect 0 "the same" "$NNFUSE" verify "$external" e/f.onnx
rm -r e

# A signal while the written file is checked leaves neither it nor its data file
for number in 2 15; do # SIGINT, SIGTERM
    mkdir e
    # A shell has a background command ignore SIGINT, and a command leaves ignored signals alone.
    python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])' "$NNFUSE" fuse "$external" -o e/f.onnx \
        --shape x=100000,2,16,16 >out 2>err &
    pid=$!
    while [ -z "$(find e -name '.f.onnx.nnfuse-*' -size +0)" ] && kill -0 $pid 2>/dev/null; do
        sleep 0.01
    done
    sleep 0.03
    kill -$number $pid
    wait $pid
    actual=$?
    [ $actual -eq $((128 + number)) ] || fail "exit status $actual after signal $number"
    prints "nnfuse: interrupted; nothing was written" "signal $number"
    expect_files "./f.onnx "
    rm -rf e
done

# Places that cannot be written
expect 4 "no/f.onnx" "$NNFUSE" fuse "$model" -o no/f.onnx
expect 4 "no/y.npy" "$NNFUSE" run "$model" --output no/y.npy
if [ -w /dev/full ]; then
    expect 4 "/dev/full" "$NNFUSE" fuse "$model" -o /dev/full
    expect 4 "/dev/full" "$NNFUSE" run "$model" --output /dev/full
    "$NNFUSE" inspect "$model" >/dev/full 2>err
    [ $? -eq 4 ] || fail "a full standard output is not told"
fi
expect_files "./f.onnx "

# Running
expect 0 "[450, 10]" "$NNFUSE" run "$model" --input image="$images"
expect 0 "accuracy: 99.11% (446 of 450 right)" "$NNFUSE" run f.onnx -i "$images" --labels "$labels"
expect 0 "written to y.npy" "$NNFUSE" run f.onnx --input "$images" --output scores=y.npy
"$NNFUSE" run f.onnx --no-fuse --input - --output - <"$images" >z.npy 2>err || fail "run - gives $?"
if "$NNFUSE" verify - - <"$model" 2>err; then fail "one standard input is two models"; fi
grep -q "standard input is read already" err || fail "verify - - says $(cat err)"
[ "$(wc -c <y.npy)" -eq $((128 + 450 * 10 * 4)) ] || fail "y.npy has the wrong size"
[ "$(wc -c <z.npy)" -eq "$(wc -c <y.npy)" ] || fail "through pipes the array differs"

# What is written takes the place of what was there: its permissions stay, a link to it too, and
# whoever guesses a temporary name has nothing of it
mkdir outputs
: >outputs/y.npy
chmod 640 outputs/y.npy
ln -s outputs/y.npy link.npy
expect 0 "written to link.npy" "$NNFUSE" run f.onnx --input "$images" --output scores=link.npy
cmp -s y.npy outputs/y.npy || fail "what a link leads to is not replaced"
[ -L link.npy ] || fail "a link is replaced"
[ "$(find outputs -perm 640)" = outputs/y.npy ] || fail "the permissions are not kept"
(umask 027 && "$NNFUSE" run f.onnx --input "$images" --output scores=outputs/new.npy >out 2>err)
[ "$(find outputs -name new.npy -perm 640)" = outputs/new.npy ] || fail "the umask is not heeded"
echo precious >outputs/victim
# shellcheck disable=SC2016 # the command has the same number as the shell that it replaces
expect 0 "written" sh -c 'ln -s victim outputs/y.npy.$$.tmp && exec "$@"' sh \
    "$NNFUSE" run f.onnx --input "$images" --output scores=outputs/y.npy
[ "$(cat outputs/victim)" = precious ] || fail "a planted link's target is overwritten"
chmod 444 outputs/y.npy
[ -w outputs/y.npy ] ||
    expect 4 "outputs/y.npy" "$NNFUSE" run f.onnx --input "$images" --output scores=outputs/y.npy
rm -rf outputs link.npy
expect 0 "BatchNorm1d" "$NNFUSE" inspect "$model"

expect 0 "Upsample                 opset 9 to 9" "$NNFUSE" operators
expect 1 "too much" "$NNFUSE" operators "$model"

# What is asked for, in the words of who asks
onnx=$NNFUSE_ROOT/tests/goldens/onnx
expect 1 "say which as --shape NAME=2,2,4,4, where NAME is one of 'x', 'flag'" \
    "$NNFUSE" run "$onnx/if_capture.onnx" --shape 2,2,4,4
expect 1 "as in --input images.npy" "$NNFUSE" run "$model" --labels "$labels"
printf 'PK\003\004' >x.npz
expect 2 "x.npz: this is a .npz archive" "$NNFUSE" run "$model" -i x.npz
rm x.npz
expect 0 "Opaque (example.Unknown)" "$NNFUSE" inspect "$onnx/unknown_ranks.onnx"
expect 0 ": 1 chain fused in memory" "$NNFUSE" run "$onnx/chain.onnx"
# the model's opset is the last of its bytes but for its properties: 17 becomes 29
python3 -c 'import sys
bytes = open(sys.argv[1], "rb").read()
old = b"\x42\x04\x0a\x00\x10\x11"
assert bytes.count(old) == 1, bytes[-60:]
open("new.onnx", "wb").write(bytes.replace(old, old[:-1] + b"\x1d"))' "$onnx/chain.onnx" 2>err && {
    expect 0 "new.onnx uses opset 29, and the newest one that nnfuse knows is" "$NNFUSE" inspect new.onnx
    prints "Opaque (BatchNormalization)"
    rm new.onnx
}

# A shape beside a value can only be the value's own
expect 2 "for the input 'image', but what is given for it has the shape [450, 1, 8, 8]" \
    "$NNFUSE" run "$model" -i "$images" --shape image=2,1,8,8
default=$onnx/default_value.onnx
expect 2 "for the input 'w', but its default value has the shape [3]; leave the shape out" \
    "$NNFUSE" run "$default" --shape w=2
expect 0 "input x  float32 [3]" "$NNFUSE" run "$default" --shape w=3
expect 0 "input x  float32 [3]" "$NNFUSE" run "$default"
expect 2 "the dimension 'n' is given as 2 and, by the input 'w', as 3" \
    "$NNFUSE" run "$default" --shape x=2

# Quiet: errors, and the JSON that is asked for
silent "$NNFUSE" fuse "$model" -q -o q.onnx
silent "$NNFUSE" verify "$model" q.onnx -q
silent "$NNFUSE" run "$model" -q -i "$images" --labels "$labels"
rm q.onnx

# A reader of standard output that goes away is no error to speak of
for arguments in "fuse $model -o -" "run $model -i $images -o -" "inspect $model --json" operators; do
    # shellcheck disable=SC2086
    "$NNFUSE" $arguments 2>err | head -c 1 >out
    ! grep -qi pipe err || fail "complains of a reader that went away: $arguments"
done

# JSON
if command -v python3 >/dev/null; then
    expect 0 "" "$NNFUSE" fuse "$model" -o f.onnx --json
    python3 - <<'EOF' || fail "fuse --json"
import json
result = json.load(open("out"))
assert len(result["chains"]) == 7 and result["verification"]["ok"] and result["output"] == "f.onnx"
EOF
    expect 0 "" "$NNFUSE" run "$model" --seed 7 --json
    python3 -c 'import json
r = json.load(open("out"))
assert r["seed"] == 7, r
assert r["inputs"] == [
    {"name": "image", "dtype": "float32", "shape": [1, 1, 8, 8], "given": False}], r["inputs"]
' || fail "run --json"
    expect 3 "" "$NNFUSE" fuse "$model" -o f.onnx --json --tolerance 1e-12
    python3 -c 'import json; r = json.load(open("out")); assert r["output"] is None' ||
        fail "fuse --json with a difference"
    for arguments in operators "inspect $model" "run $model" "verify $model f.onnx" \
        "fuse $model -nq" "run $model -q" "verify $model f.onnx -q"; do
        # shellcheck disable=SC2086
        expect 0 "" "$NNFUSE" $arguments --json
        python3 -c 'import json; json.load(open("out"))' || fail "$arguments --json"
    done
fi

finish
