/* SPDX-License-Identifier: Apache-2.0
 *
 * Batches of integers so small that float32 adds and multiplies them without a rounding, and what calls must leave of them to the bit;
 * so do benchdnn's. Everything expected is found by integers, apart from the one division in a mean.
 */
#ifndef CLBN_TESTS_EXACT_H
#define CLBN_TESTS_EXACT_H

#include "material.h"

typedef enum exact_kind {
    EQUAL_BLOCKS, /* extents are powers of two; every block of them that a power of two cuts has the same mean, and var is 4 */
    SCATTERED     /* any extents; the mean is far from 0, and what it may be */
} exact_kind;

typedef struct exact {
    test_case of;
    batch b;
    material m;
    double *center;         /* channels each: the integer that x is about, the mean of equal blocks */
    long double *mean, *m2; /* of the values; m2 is the sum of squared deviations from it */
    double *sum, *product;  /* sum(dy), sum(dy * (x - center)) */
    long double *y, *dx;    /* as x, of EQUAL_BLOCKS: see exact_results; else NULL */
    double inv_std;         /* of EQUAL_BLOCKS */
} exact;

enum { EXACT_VAR = 4 };

/* how: types, layout; epsilon: one that leaves a power of 4 in var + epsilon. */
void exact_make(exact *e, exact_kind kind, const size_t extents[3], const manner *how, double epsilon);
void exact_free(exact *e);

/* Where value k of channel c stands in dense tensors. */
size_t exact_place(const exact *e, size_t c, size_t k);

#endif
