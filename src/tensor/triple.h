/* Numbers of at least 150 bits with an exponent of their own, for the few values that need more
 * than a double: biases that nearly cancel, scales of f64 weights, numbers near the ends of
 * doubles' range. Slow, a microsecond or so for what a batch norm does to one number. */
#ifndef NNFI_TRIPLE_H
#define NNFI_TRIPLE_H

/* (part[0] + part[1] + part[2]) * 2^exponent: each part at most half a unit in the last place of
 * the one before it, part[0] in [0.5, 1) but for the sign, or all of them 0. */
typedef struct nnfi_triple {
    double part[3];
    int exponent;
} nnfi_triple;

nnfi_triple nnfi_triple_of(double value); /* finite */
nnfi_triple nnfi_triple_neg(nnfi_triple a);
nnfi_triple nnfi_triple_add(nnfi_triple a, nnfi_triple b);
nnfi_triple nnfi_triple_mul(nnfi_triple a, nnfi_triple b);
/* 1 / sqrt(a), a > 0 */
nnfi_triple nnfi_triple_rsqrt(nnfi_triple a);
/* Rounded once to a double, also to one below the normal range; infinite past its end. */
double nnfi_triple_round(nnfi_triple a);

#endif
