/* Double-double arithmetic: an unevaluated sum hi + lo of two doubles, 106 bits. After Dekker
 * (1971) and Knuth; the error bounds are those of Joldes, Muller and Popescu, "Tight and rigorous
 * error bounds for basic building blocks of double-word arithmetic" (2017). */
#ifndef NNFI_DD_H
#define NNFI_DD_H

#include <math.h>

typedef struct nnfi_dd {
    double hi, lo;
} nnfi_dd;

/* |a| >= |b|, or a is 0 */
static inline nnfi_dd nnfi_dd_fast_two_sum(double a, double b) {
    double sum = a + b;
    return (nnfi_dd){sum, b - (sum - a)};
}
static inline nnfi_dd nnfi_dd_two_sum(double a, double b) {
    double sum = a + b;
    double a_part = sum - b;
    double b_part = sum - a_part;
    return (nnfi_dd){sum, (a - a_part) + (b - b_part)};
}
static inline nnfi_dd nnfi_dd_two_prod(double a, double b) {
    double product = a * b;
    return (nnfi_dd){product, fma(a, b, -product)};
}
static inline nnfi_dd nnfi_dd_add(nnfi_dd a, nnfi_dd b) {
    nnfi_dd s = nnfi_dd_two_sum(a.hi, b.hi);
    nnfi_dd t = nnfi_dd_two_sum(a.lo, b.lo);
    nnfi_dd v = nnfi_dd_fast_two_sum(s.hi, s.lo + t.hi);
    return nnfi_dd_fast_two_sum(v.hi, t.lo + v.lo);
}
static inline nnfi_dd nnfi_dd_neg(nnfi_dd a) {
    return (nnfi_dd){-a.hi, -a.lo};
}
static inline nnfi_dd nnfi_dd_mul(nnfi_dd a, nnfi_dd b) {
    nnfi_dd p = nnfi_dd_two_prod(a.hi, b.hi);
    double low = fma(a.hi, b.lo, a.lo * b.hi) + p.lo;
    return nnfi_dd_fast_two_sum(p.hi, low);
}
static inline nnfi_dd nnfi_dd_mul_d(nnfi_dd a, double b) {
    nnfi_dd p = nnfi_dd_two_prod(a.hi, b);
    return nnfi_dd_fast_two_sum(p.hi, fma(a.lo, b, p.lo));
}
static inline nnfi_dd nnfi_dd_div(nnfi_dd a, nnfi_dd b) {
    double q = a.hi / b.hi;
    nnfi_dd rest = nnfi_dd_add(a, nnfi_dd_neg(nnfi_dd_mul_d(b, q)));
    double q2 = rest.hi / b.hi;
    rest = nnfi_dd_add(rest, nnfi_dd_neg(nnfi_dd_mul_d(b, q2)));
    nnfi_dd quotient = nnfi_dd_fast_two_sum(q, q2);
    return nnfi_dd_add(quotient, (nnfi_dd){rest.hi / b.hi, 0.0});
}
static inline nnfi_dd nnfi_dd_sqrt(nnfi_dd a) {
    if (a.hi == 0.0) return (nnfi_dd){0.0, 0.0};
    double root = sqrt(a.hi);
    nnfi_dd rest = nnfi_dd_add(a, nnfi_dd_neg(nnfi_dd_two_prod(root, root)));
    nnfi_dd once = nnfi_dd_fast_two_sum(root, rest.hi / (2.0 * root));
    rest = nnfi_dd_add(a, nnfi_dd_neg(nnfi_dd_mul(once, once)));
    return nnfi_dd_add(once, (nnfi_dd){rest.hi / (2.0 * root), 0.0});
}
/* 1 / sqrt(a): one step of Newton's method from the double nearest to it, whose error of 2^-52 it
 * squares. Where products of that could leave the range of doubles, the long way. */
static inline nnfi_dd nnfi_dd_rsqrt(nnfi_dd a) {
    if (!(a.hi > 0x1p-900 && a.hi < 0x1p900))
        return nnfi_dd_div((nnfi_dd){1.0, 0.0}, nnfi_dd_sqrt(a));
    double root = 1.0 / sqrt(a.hi);
    nnfi_dd square = nnfi_dd_mul(a, nnfi_dd_two_prod(root, root));
    double error = (1.0 - square.hi) - square.lo;
    return nnfi_dd_fast_two_sum(root, 0.5 * root * error);
}

#endif
