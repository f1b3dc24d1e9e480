#!/bin/sh
# A network that somebody else trained, fused by the command, and its answers on 1,000 images. It
# lies beside the project, not in it: without it this test is skipped, with NNFUSE_REQUIRE_DATA set
# it fails.
set -eu
: "${NNFUSE:?names the nnfuse command}" "${NNFUSE_ROOT:?names the folder of the project}"
model=$NNFUSE_ROOT/../shared/models/resnet20-cifar10.onnx
data=$NNFUSE_ROOT/../shared/data/cifar10-test-1000.npz
for file in "$model" "$data"; do
    [ -f "$file" ] && continue
    echo "skipped: $file is not there"
    [ -z "${NNFUSE_REQUIRE_DATA:-}" ] || exit 1
    exit 77
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

expect() {
    grep -qF -- "$1" out || {
        echo "FAILED: it does not print '$1' but:"
        cat out
        exit 1
    }
}

"$NNFUSE" fuse "$model" -o fused.onnx >out
expect "19 chains fused"
"$NNFUSE" inspect "$model" >out
[ "$(grep -c 'BatchNorm2d.*Conv' out)" -eq 19 ] || expect "19 rows with a batch norm"
"$NNFUSE" verify "$model" fused.onnx >out
expect "the same"

if [ -n "${NNFUSE_UNDER_VALGRIND:-}" ]; then
    echo "passed, but for the answers, which take too long under valgrind"
    exit 0
fi
# 804 right is what ONNX Runtime finds, on the images as the network was trained to see them.
if ! python3 -c 'import numpy' 2>/dev/null; then
    echo "passed, but for the answers, which need NumPy"
    exit 0
fi
python3 - "$data" <<'EOF'
import sys
import numpy as np

data = np.load(sys.argv[1])
mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
images = (data["x"] / np.float32(255) - mean) / std
np.save("images.npy", np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
np.save("labels.npy", data["y"].astype(np.int64))
EOF
for network in "$model" fused.onnx; do
    "$NNFUSE" run "$network" --input images.npy --labels labels.npy >out
    expect "(804 of 1000 right)"
done
echo "all passed"
