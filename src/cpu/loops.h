/* SPDX-License-Identifier: Apache-2.0
 *
 * The inner loops of the CPU path, compiled once for every instruction set that is worth it from one source, loops.inc.
 * Each does the same operations in the same order, so all give the same bits.
 */
#ifndef CLBN_CPU_LOOPS_H
#define CLBN_CPU_LOOPS_H

#include <stdbool.h>
#include <stddef.h>

enum { CLBN_CPU_MOST_COLUMNS = 512 };

/* count, mean and sum of squared deviations of some values. */
typedef struct clbn_cpu_moments {
    double count, mean, m2;
} clbn_cpu_moments;

/* The affine step of one channel: y = (x - mean) * scale + beta. */
typedef struct clbn_cpu_constants {
    double mean, scale, beta;
} clbn_cpu_constants;

typedef struct clbn_cpu_loops {
    const char *name;
    /* Moments of runs pieces of length contiguous values, the pieces stride values apart. */
    clbn_cpu_moments (*planes_moments)(const float *x, size_t runs, size_t stride, size_t length);
    /* Moments of each of columns adjacent columns, at most CLBN_CPU_MOST_COLUMNS, over rows rows, stride values apart. */
    void (*columns_moments)(const float *x, size_t rows, size_t stride, size_t columns, double *mean, double *m2);
    /* Chan's merge of columns pairs: (na, mean, m2) takes (nb, other_mean, other_m2) in. */
    void (*columns_merge)(size_t columns, double na, double *mean, double *m2, double nb, const double *other_mean,
                          const double *other_m2);
    /* stream: store past the caches. */
    void (*planes_apply)(const float *x, float *y, size_t runs, size_t stride, size_t length, clbn_cpu_constants k, bool stream);
    void (*columns_apply)(const float *x, float *y, size_t rows, size_t stride, size_t columns, const double *mean,
                          const double *scale, const double *beta, bool stream);
} clbn_cpu_loops;

extern const clbn_cpu_loops clbn_cpu_loops_portable;
/* NULL where the compiler could not make them; ask the processor before use. */
extern const clbn_cpu_loops *const clbn_cpu_loops_avx2, *const clbn_cpu_loops_avx512;

clbn_cpu_moments clbn_cpu_merge(clbn_cpu_moments a, clbn_cpu_moments b);

#endif
