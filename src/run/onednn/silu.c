/* SiLU over values where they stand. oneDNN's post-op puts its operand aside in memory for each
 * vector, since it has none to spare; a pass of its own over the output takes two thirds of that
 * time. */
#include <stdint.h>
#include <string.h>

#include "run/onednn/onednn_internal.h"
#include "run/onednn/vector.h"

NNFI_BODY uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

NNFI_BODY float float_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* condition ? a : b, in a form that compilers leave as it is. */
NNFI_BODY float choose(bool condition, float a, float b) {
    uint32_t mask = 0u - (uint32_t)condition;
    return float_of((bits_of(a) & mask) | (bits_of(b) & ~mask));
}

/* 2^x for x up to 128, where it is infinite; small numbers are flushed to 2^-126. */
NNFI_BODY float power_of_two(float x) {
    /* Added to, a number this large leaves no bits for a fraction: that rounds to an integer. */
    const float rounder = 12582912.0f; /* 1.5 * 2^23 */
    const uint32_t rounder_bits = 0x4B400000;
    x = choose(x < -126.0f, -126.0f, x);
    x = choose(x > 128.0f, 128.0f, x);
    float shifted = x + rounder;
    float r = x - (shifted - rounder); /* -0.5 to 0.5 */
    float scale = float_of((bits_of(shifted) - rounder_bits + 127) << 23);
    /* 2^r to 7.5e-8 of itself: a polynomial fitted to have the least relative error */
    float p = 1.32764715e-3f;
    p = p * r + 9.67554133e-3f;
    p = p * r + 5.55071327e-2f;
    p = p * r + 2.40221197e-1f;
    p = p * r + 6.93146967e-1f;
    p = p * r + 1.00000007f;
    return p * scale;
}

NNFI_BODY void silu_of(float *x, int64_t n) {
    const float log2_e = 1.44269504f;
    for (int64_t i = 0; i < n; i++)
        x[i] = x[i] / (1.0f + power_of_two(-x[i] * log2_e));
}

NNFI_VERSIONS(silu_for_cpu, silu_of, (float *x, int64_t n), (x, n))

void nnfi_silu(float *x, int64_t n) {
    enum { CHUNK = 16384 }; /* stays in the first cache */
    void (*body)(float *, int64_t) = silu_for_cpu();
#pragma omp parallel for schedule(static) if (n > 2 * CHUNK)
    for (int64_t start = 0; start < n; start += CHUNK)
        body(x + start, n - start < CHUNK ? n - start : CHUNK);
}
