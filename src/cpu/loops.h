/* SPDX-License-Identifier: Apache-2.0
 *
 * The inner loops of the CPU path, compiled once for every instruction set that is worth it from one source: direct.inc goes
 * from arrays in storage to arrays in storage, storage.inc brings values of any type to doubles and back, blocks.inc works on such
 * doubles.
 * Each does the same operations in the same order; only those for AVX2 and AVX-512 fuse multiply-adds, the same ones both.
 */
#ifndef CLBN_CPU_LOOPS_H
#define CLBN_CPU_LOOPS_H

#include <stdbool.h>
#include <stddef.h>

enum {
    CLBN_CPU_MOST_COLUMNS = 1024,
    CLBN_CPU_LANES = 8,
    CLBN_CPU_WRAP = 2 * CLBN_CPU_LANES, /* columns' constants that stand once more behind their last */
    CLBN_CPU_BLOCK = 1024,              /* doubles a block holds: some blocks fit a first-level cache */
    CLBN_CPU_BLOCK_WIDTH = 128          /* columns it is wide, at most */
};

/* count, mean (as mean + lo) and sum of squared deviations (as m2 + m2_lo) of some values. */
typedef struct clbn_cpu_moments {
    double count, mean, lo, m2, m2_lo;
} clbn_cpu_moments;

/* What backward sums: g, and g * (x - mean), each with what rounding left. */
typedef struct clbn_cpu_sums {
    double sum, sum_lo, product, product_lo;
} clbn_cpu_sums;

/* The constants of one channel: y = ((x - mean) - lo) * scale + beta, dx = scale * (g - shift - ((x - mean) - lo) * slope). */
typedef struct clbn_cpu_slopes {
    double mean, lo, scale, beta, shift, slope;
} clbn_cpu_slopes;

/* A block is rows of width doubles, pitch apart; width and pitch are multiples of the lanes (what lies behind the values is
 * computed and not looked at). Its constants are one for all (each false) or one a column, as arrays:
 *     v = ((x - mean) - lo) * scale + beta + residual        dx = dx_scale * (g - dx_shift - ((x - mean) - lo) * dx_slope) */
typedef struct clbn_cpu_block {
    size_t rows, width, pitch;
    bool each;
    const double *mean, *lo, *scale, *beta, *dx_scale, *dx_shift, *dx_slope;
} clbn_cpu_block;

/* The activations that need no call; kinds are clbn_activation's. */
typedef struct clbn_cpu_activation {
    int kind;
    double slope, low, high;
} clbn_cpu_activation;

/* Planes: runs pieces of length neighbours; columns: rows of as many columns, at most CLBN_CPU_MOST_COLUMNS for sums. stride: how
 * many values on the next one begins. next: how far on lies what is read after this, and asked for now; 0: nothing.
 * wrap: columns alone, rows of so many as one run, whose constants begin again behind each; 0: no. stream: store past the caches. */
typedef struct clbn_cpu_span {
    size_t runs, stride, length, next, wrap;
    bool stream;
} clbn_cpu_span;

/* Dense arrays, each from its first value on; what a loop has no use for is not looked at, residual and dresidual may be NULL. */
typedef struct clbn_cpu_arrays {
    const void *x, *residual, *dy;
    void *out, *dresidual; /* y or dx; g, where that is wanted */
} clbn_cpu_arrays;

/* Arrays of one type; a is the identity, or an activation with kinks. Of a block only the constants matter here. */
typedef struct clbn_cpu_direct {
    clbn_cpu_moments (*planes_moments)(const void *x, const clbn_cpu_span *s);
    /* Into mean and m2 of each column, 0 before; like all arrays of columns they have room for a multiple of the lanes. */
    void (*columns_moments)(const void *x, const clbn_cpu_span *s, double *mean, double *m2);
    void (*planes_forward)(const clbn_cpu_arrays *at, const clbn_cpu_span *s, const clbn_cpu_slopes *k,
                           const clbn_cpu_activation *a);
    void (*columns_forward)(const clbn_cpu_arrays *at, const clbn_cpu_span *s, const clbn_cpu_block *b,
                            const clbn_cpu_activation *a);
    /* Sums of g and of g * (x - mean), each with what rounding left; those of columns, {sum, sum_lo, product, product_lo}, are added to. */
    clbn_cpu_sums (*planes_sums)(const clbn_cpu_arrays *at, const clbn_cpu_span *s, const clbn_cpu_slopes *k,
                                 const clbn_cpu_activation *a);
    void (*columns_sums)(const clbn_cpu_arrays *at, const clbn_cpu_span *s, const clbn_cpu_block *b, const clbn_cpu_activation *a,
                         double *const sums[4]);
    void (*planes_gradient)(const clbn_cpu_arrays *at, const clbn_cpu_span *s, const clbn_cpu_slopes *k,
                            const clbn_cpu_activation *a);
    void (*columns_gradient)(const clbn_cpu_arrays *at, const clbn_cpu_span *s, const clbn_cpu_block *b,
                             const clbn_cpu_activation *a);
} clbn_cpu_direct;

/* The first types of clbn_dtype, float32, float16 and bfloat16, have direct loops. */
enum { CLBN_CPU_DIRECT_TYPES = 3 };

typedef struct clbn_cpu_loops {
    const char *name;
    clbn_cpu_direct direct[CLBN_CPU_DIRECT_TYPES];

    /* 1 / (sqrt(var + before) + behind), 0 for 0, of any count values. */
    void (*inverse_deviation)(size_t count, const double *var, double before, double behind, double *inverse);

    /* Storage, by clbn_dtype. fetch may write up to lanes - 1 doubles more than count, and asks ahead for what lies at next; put may
     * read as many more; after puts that stream, stream_end. */
    void (*fetch[5])(const void *from, size_t stride, size_t count, double *to, const void *next);
    void (*put[5])(const double *from, size_t stride, size_t count, void *to, bool stream);
    void (*stream_end)(void);

    /* Blocks in double. Sums of count values take those behind them, to a multiple of the lanes, as their own to overwrite. */
    void (*take_values)(clbn_cpu_moments *m, double *x, size_t count);
    void (*take_rows)(const clbn_cpu_block *b, const double *x, double before, double *const moments[4]);
    void (*add_values)(clbn_cpu_sums *s, double *g, double *x, size_t count, double mean, double lo);
    void (*add_rows)(const clbn_cpu_block *b, const double *g, const double *x, double *const sums[4]);
    /* Merges of columns columns: Chan's of moments {mean, lo, m2, m2_lo}, of counts na and nb; the sums of sums. */
    void (*merge_moments)(size_t columns, double na, double *const a[4], double nb, double *const b[4]);
    void (*merge_sums)(size_t columns, double *const a[4], double *const b[4]);
    /* v from x, which may be the same; residual may be NULL. */
    void (*normalize)(const clbn_cpu_block *b, const double *x, const double *residual, double *v);
    /* v to act(v); dy to dy * act'(v). */
    void (*activate)(const clbn_cpu_activation *a, size_t count, double *v);
    void (*derive)(const clbn_cpu_activation *a, size_t count, const double *v, double *dy);
    /* dy to dy * slope, and to 0 where slope is 0. */
    void (*scale)(size_t count, const double *slope, double *dy);
    /* The side of the kink of each v: a bit each, a byte for lanes values; and dy by such bits. */
    void (*sides)(const clbn_cpu_activation *a, size_t count, const double *v, unsigned char *bits);
    void (*derive_sides)(const clbn_cpu_activation *a, size_t count, const unsigned char *bits, double *dy);
    /* g to dx, in place; x is NULL where the statistics are constants. */
    void (*gradient)(const clbn_cpu_block *b, const double *x, double *g);
    void (*add)(size_t count, const double *from, double *to);
} clbn_cpu_loops;

extern const clbn_cpu_loops clbn_cpu_loops_portable;
/* NULL where the compiler could not make them; ask the processor before use. */
extern const clbn_cpu_loops *const clbn_cpu_loops_avx2, *const clbn_cpu_loops_avx512;

clbn_cpu_moments clbn_cpu_merge(clbn_cpu_moments a, clbn_cpu_moments b);
void clbn_cpu_add(double *sum, double *lo, double value, double value_lo);

#endif
