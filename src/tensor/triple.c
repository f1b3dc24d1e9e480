#include "tensor/triple.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#define MAX_PARTS 9

/* Knuth's: a + b = sum + what is returned, exactly. */
static double sum_error(double a, double b, double sum) {
    double a_part = sum - b, b_part = sum - a_part;
    return (a - a_part) + (b - b_part);
}

/* The exact sum of n numbers as `n` numbers that do not overlap, the smallest first; after
 * Shewchuk, "Adaptive precision floating-point arithmetic" (1997), Grow-Expansion. */
static void expand(const double *numbers, int n, double *expansion) {
    for (int i = 0; i < n; i++) {
        double carry = numbers[i];
        for (int k = 0; k < i; k++) {
            double sum = carry + expansion[k];
            expansion[k] = sum_error(carry, expansion[k], sum);
            carry = sum;
        }
        expansion[i] = carry;
    }
}

/* The sum of n numbers times 2^exponent: the three first parts of it. */
static nnfi_triple sum_of(const double *numbers, int n, int exponent) {
    double expansion[MAX_PARTS];
    nnfi_triple out = {{0.0, 0.0, 0.0}, 0};
    expand(numbers, n, expansion);
    double part = expansion[n - 1];
    int n_parts = 0, shift;
    for (int i = n - 2; i >= 0 && n_parts < 3; i--) {
        double sum = part + expansion[i], rest = expansion[i] - (sum - part);
        if (rest != 0.0) out.part[n_parts++] = sum;
        part = rest != 0.0 ? rest : sum;
    }
    if (n_parts < 3) out.part[n_parts] = part;
    /* A part was rounded before the ones below it were known: they may tip it over. */
    for (int i = 1; i >= 0; i--) {
        double sum = out.part[i] + out.part[i + 1];
        out.part[i + 1] -= sum - out.part[i];
        out.part[i] = sum;
    }
    if (out.part[0] == 0.0) return out;
    frexp(out.part[0], &shift);
    for (int i = 0; i < 3; i++)
        out.part[i] = ldexp(out.part[i], -shift);
    out.exponent = exponent + shift;
    return out;
}

nnfi_triple nnfi_triple_of(double value) {
    return sum_of(&value, 1, 0);
}

nnfi_triple nnfi_triple_neg(nnfi_triple a) {
    return (nnfi_triple){{-a.part[0], -a.part[1], -a.part[2]}, a.exponent};
}

/* What the smaller one loses where its parts fall below doubles' range is below 2^-900 of the sum.
 */
nnfi_triple nnfi_triple_add(nnfi_triple a, nnfi_triple b) {
    if (a.part[0] == 0.0) return b;
    if (b.part[0] == 0.0) return a;
    if (a.exponent < b.exponent) return nnfi_triple_add(b, a);
    double numbers[6];
    int down = b.exponent - a.exponent;
    for (int i = 0; i < 3; i++) {
        numbers[i] = ldexp(b.part[2 - i], down);
        numbers[3 + i] = a.part[2 - i];
    }
    return sum_of(numbers, 6, a.exponent);
}

/* Products of parts i and k are exact where i + k < 2; those of i + k = 2 are below 2^-106 of the
 * whole and rounded at 2^-159, smaller ones left out. */
nnfi_triple nnfi_triple_mul(nnfi_triple a, nnfi_triple b) {
    double numbers[MAX_PARTS];
    int n = 0;
    for (int order = 2; order >= 0; order--)
        for (int i = 0; i <= order; i++) {
            double product = a.part[i] * b.part[order - i];
            if (order < 2) numbers[n++] = fma(a.part[i], b.part[order - i], -product);
            numbers[n++] = product;
        }
    return sum_of(numbers, n, a.exponent + b.exponent);
}

/* Newton's method: each step doubles the right bits of the first guess, 52. */
nnfi_triple nnfi_triple_rsqrt(nnfi_triple a) {
    int odd = a.exponent & 1, half = (a.exponent - odd) / 2;
    nnfi_triple even = a;
    even.exponent = odd;
    const nnfi_triple one = {{0.5, 0.0, 0.0}, 1};
    nnfi_triple root = nnfi_triple_of(1.0 / sqrt(ldexp(a.part[0], odd)));
    for (int step = 0; step < 2; step++) {
        nnfi_triple square = nnfi_triple_mul(even, nnfi_triple_mul(root, root));
        nnfi_triple error = nnfi_triple_add(one, nnfi_triple_neg(square));
        error.exponent -= error.part[0] != 0.0; /* half of it */
        root = nnfi_triple_add(root, nnfi_triple_mul(root, error));
    }
    root.exponent -= half;
    return root;
}

/* Where ldexp is going to round, the first part is rounded to odd before: what was cut off then
 * decides as it should. */
static double round_to_odd(nnfi_triple a) {
    uint64_t bits;
    memcpy(&bits, &a.part[0], sizeof bits);
    if (a.part[1] == 0.0 || (bits & 1)) return a.part[0];
    return nextafter(a.part[0], a.part[1] > 0.0 ? 2.0 : -2.0);
}

double nnfi_triple_round(nnfi_triple a) {
    enum { LEAST_NORMAL = -1021 };
    return ldexp(a.exponent < LEAST_NORMAL ? round_to_odd(a) : a.part[0], a.exponent);
}
