# shellcheck shell=sh
# What the tests of the command share; to be sourced. NNFUSE is the binary, NNFUSE_ROOT the
# project's folder. Tests run in an empty folder of their own, and end with `finish`.
set -u
: "${NNFUSE:?names the nnfuse command}" "${NNFUSE_ROOT:?names the folder of the project}"
model=$NNFUSE_ROOT/models/digits.onnx
# shellcheck disable=SC2034 # for who sources this
images=$NNFUSE_ROOT/models/digits-test-images.npy labels=$NNFUSE_ROOT/models/digits-test-labels.npy
[ -f "$model" ] || { echo "skipped: models/digits.onnx is not there"; exit 77; }
folder=$(mktemp -d) || exit 1
trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
cd "$folder" || exit 1
failures=0

fail() {
    echo "FAILED: $*"
    sed 's/^/    /' out err
    failures=$((failures + 1))
}

# expect STATUS TEXT COMMAND...: its exit status, and a text in what it prints; "" is any.
expect() {
    status=$1 text=$2
    shift 2
    "$@" >out 2>err </dev/null
    actual=$?
    [ "$actual" -eq "$status" ] || fail "exit status $actual, not $status: $*"
    prints "$text" "$*"
}

# prints TEXT [COMMAND]: the last command has printed that too.
prints() {
    [ -z "$1" ] || grep -qF -- "$1" out err || fail "does not print '$1': ${2-}"
}

# silent COMMAND...: it succeeds and prints nothing.
silent() {
    expect 0 "" "$@"
    [ -z "$(cat out err)" ] || fail "is not silent: $*"
}

# The files in the folder but the test's own.
expect_files() {
    files=$(find . -type f ! -name out ! -name err | sort | tr '\n' ' ')
    [ "$files" = "$1" ] || fail "files: '$files', not '$1'"
}

finish() {
    [ "$failures" -eq 0 ] || { echo "$failures failed"; exit 1; }
    echo "all passed"
}
