/* SPDX-License-Identifier: Apache-2.0
 *
 * Batches of the kinds that the promise names, made from a fixed seed, and as the storage types hold them. A double holds a value of
 * any of the types.
 */
#ifndef CLBN_ORACLE_DATA_H
#define CLBN_ORACLE_DATA_H

#include "clbn.h"
#include "definition.h"

typedef enum data_kind {
    NORMAL,   /* mean 0, sigma 1 */
    MEAN_1E2, /* mean / sigma = 100, and so on */
    MEAN_1E4,
    MEAN_1E6,
    MIXED,       /* mean / sigma of 0 to 1e6, by channel */
    OUTLIERS,    /* normal, but by channel the first value is 1e6 and the last -3e5, the last alone is 1e6, or the first alone */
    SORTED,      /* normal, ascending */
    ALTERNATING, /* 1e4, -1e4, ... and a little noise */
    SMALL_SIGMA, /* sigma 1e-18, or 1e-15 where denormals are flushed; epsilon is 0 */
    LARGE_SIGMA, /* sigma 1e15 */
    COARSE,      /* mean / sigma = 100 in steps of a half, so that roundings do not cancel */
    SWALLOWED,   /* 1, -1 and 30 whose squares are just below half an ulp of 1: next to each other, row by row, or 128 apart */
    STEPPED,     /* 0, and from the middle on near 1, such that a kernel's sums about 0 would round to one side */
    CONSTANT,    /* each channel one value, of 1e-30 to 1e30 in size */
    ONE_NAN,     /* normal, but one value of the middle channel: by the extents the first, the last or between */
    ONE_INF
} data_kind;

/* "mean 1e6", ...; NULL past the last kind. */
const char *data_name(data_kind kind);

typedef struct data_case {
    const char *name; /* the seed */
    unsigned rank;
    size_t dims[CLBN_MAX_RANK];
    int axis;
    data_kind data;
} data_case;

typedef struct batch {
    const data_case *of;
    definition_shape shape;
    size_t count, values; /* elements, and elements of one channel */
    unsigned long long seed;
    float *x;                                         /* count */
    float *gamma, *beta, *running_mean, *running_var; /* channels each, see below */
} batch;
/* gamma is 0.5 to 2 of either sign, in each third kind of data by channel 1, 10^3 and 10^-3 times that; beta is -1 to 1; running_* are near
 * the data's own. */

size_t data_elements(const data_case *c);
/* 0 where there is no memory, and nothing is held. flushes: the device takes denormals for 0. c must outlive it. */
int data_make(batch *b, const data_case *c, int flushes);
void data_free(batch *b);
/* Replaces the value that ONE_NAN or ONE_INF puts there. */
void data_poison(const batch *b, float value);

/* The data of dy: around 0; around 1e4; around 0, but each channel's first or last value is 1e6; 1 and 31 just below half an ulp of it. */
typedef enum data_gradients { DY_NORMAL, DY_FAR, DY_OUTLIER, DY_SWALLOWED, DY_KINDS } data_gradients;
const char *data_gradients_name(data_gradients kind);

/* Arrays for the caller to free, NULL where there is no memory; the numbers are values of type, infinities aside none is beyond it.
 * What of holds, or around 0 where of is NULL; a float gets more digits in double. */
double *data_numbers(size_t count, clbn_dtype type, const float *of, unsigned long long seed);
/* x of the batch. A constant channel stays one. */
double *data_x(const batch *b, clbn_dtype type);
double *data_dy(const batch *b, clbn_dtype type, data_gradients kind, unsigned long long seed);

#endif
