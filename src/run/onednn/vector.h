/* Loops in plain C for the compiler to make vectors of, once for each instruction set. */
#ifndef NNFI_ONEDNN_VECTOR_H
#define NNFI_ONEDNN_VECTOR_H

#if defined(__x86_64__) && defined(__GNUC__)
#define NNFI_DISPATCHES 1
#define NNFI_FOR_CPU(features) __attribute__((target(features)))
#define NNFI_AVX2 "avx2,fma"
#ifdef __clang__
#define NNFI_AVX512 "avx512f,avx512dq"
#else
#define NNFI_AVX512 "avx512f,avx512dq,prefer-vector-width=512"
#endif
/* The body of every version: what is inlined is compiled for the version that it stands in. */
#define NNFI_BODY static inline __attribute__((always_inline))
#else
#define NNFI_DISPATCHES 0
#define NNFI_BODY static inline
#endif

/* Defines `name`, a function that returns the version for this processor of `body`, which takes
 * `parameters` and gets `arguments`. */
#if NNFI_DISPATCHES
#define NNFI_VERSIONS(name, body, parameters, arguments)                                         \
    static void name##_plain parameters {                                                        \
        body arguments;                                                                          \
    }                                                                                            \
    NNFI_FOR_CPU(NNFI_AVX2) static void name##_avx2 parameters {                                 \
        body arguments;                                                                          \
    }                                                                                            \
    NNFI_FOR_CPU(NNFI_AVX512) static void name##_avx512 parameters {                             \
        body arguments;                                                                          \
    }                                                                                            \
    static void(*name(void)) parameters {                                                        \
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"))             \
            return name##_avx512;                                                                \
        if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return name##_avx2; \
        return name##_plain;                                                                     \
    }
#else
#define NNFI_VERSIONS(name, body, parameters, arguments) \
    static void name##_plain parameters {                \
        body arguments;                                  \
    }                                                    \
    static void(*name(void)) parameters {                \
        return name##_plain;                             \
    }
#endif

#endif
