/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of the judgement suite share: a small batch, its exact results, an outcome that is these as the types hold them, and
 * what the judge says of it.
 */
#ifndef CLBN_TESTS_SETTING_H
#define CLBN_TESTS_SETTING_H

#include "data.h"
#include "judgement.h"

#include <check.h>

enum { ROWS = 5, CHANNELS = 3, INNER = 7, COUNT = ROWS * CHANNELS * INNER, VALUES = ROWS * INNER };

/* What was heard. */
typedef struct heard {
    size_t findings, misses;
    finding last, miss;
    const char *name; /* counted besides: the misses of this name, where it is given */
    size_t named, named_misses;
} heard;

/* A hearing's: by is a heard. */
void heard_hear(void *by, const finding *f);

typedef struct setting {
    batch b;
    double *x, *dy, *residual, *gamma, *beta, *running_mean, *running_var;
    problem given;
    answer exact;
    outcome got;
} setting;

/* how: its activation, accumulate (none or all), outside, population, recomputed, without_lo; NULL: none of these. Where it accumulates
 * dx is added to what dy holds, dresidual to residual, dgamma to gamma and dbeta to beta. */
void setting_open(setting *s, clbn_dtype type, data_kind data, const problem *how);
void setting_close(setting *s);
heard setting_judged(const setting *s, bounds_of who, const char *name);
/* The kth array of an outcome, its name and its elements; NULL past the last. */
double *setting_array(const outcome *o, size_t k, const char **name, size_t *count);

void add_sharpness(TCase *tests); /* sharpness.c */

#endif
