#!/bin/sh
# Runs a program under valgrind, as tests do that are built with -DNNFUSE_VALGRIND=ON. Exit status 99
# where valgrind finds something. NNFUSE_UNDER_VALGRIND tells the tests, which then do with less.
#
# --max-stackframe: oneDNN's matrix products on AVX2 let the stack pointer point into their own
# buffer while they run. Where that lies farther away than this, valgrind takes it for another stack,
# otherwise for a frame that grows, and everything between the two for unset. Its default is 2 MB,
# within which threads' stacks and the heap lie; our largest frame has 64 KiB.
#
# --vex-guest-max-insns: oneDNN's generated code has stretches without a jump that are so long that
# valgrind, which takes 60 instructions at a time, has no room to translate them.
export OMP_NUM_THREADS=1 NNFUSE_UNDER_VALGRIND=1
exec valgrind --quiet --error-exitcode=99 --num-callers=30 --max-stackframe=100000 \
    --vex-guest-max-insns=25 \
    --leak-check=full --show-leak-kinds=definite,indirect \
    --errors-for-leak-kinds=definite,indirect \
    --suppressions="$(dirname "$0")/valgrind.supp" "$@"
