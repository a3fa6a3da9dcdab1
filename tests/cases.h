/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of cases.def, and a case's batch: its extents, and its data made from a fixed seed.
 */
#ifndef CLBN_TESTS_CASES_H
#define CLBN_TESTS_CASES_H

#include "clbn.h"
#include "definition.h"

typedef enum data_kind {
    NORMAL,   /* mean 0, sigma 1 */
    MEAN_1E2, /* mean / sigma = 100, and so on */
    MEAN_1E4,
    MEAN_1E6,
    MIXED,       /* mean / sigma of 0 to 1e6, by channel */
    OUTLIERS,    /* normal, but each channel's first value is 1e6 and its last -3e5 */
    SORTED,      /* normal, ascending */
    ALTERNATING, /* 1e4, -1e4, ... and a little noise */
    SMALL_SIGMA, /* sigma 1e-18, or 1e-15 where denormals are flushed; epsilon is 0 */
    LARGE_SIGMA, /* sigma 1e15 */
    COARSE,      /* mean / sigma = 100 in steps of a half, so that roundings do not cancel */
    CONSTANT,    /* each channel one value, of 1e-30 to 1e30 in size */
    ONE_NAN,     /* normal, but one value of the middle channel */
    ONE_INF
} data_kind;

typedef struct test_case {
    const char *name;
    unsigned rank;
    size_t dims[CLBN_MAX_RANK];
    int axis;
    data_kind data;
} test_case;

extern const test_case cases[];
extern const size_t case_count;

typedef struct batch {
    const test_case *of;
    definition_shape shape;
    size_t count, values; /* elements, and elements of one channel */
    unsigned long long seed;
    float *x;                                         /* count */
    float *gamma, *beta, *running_mean, *running_var; /* channels each; running_* are near the data's own */
} batch;

size_t case_elements(const test_case *c);
/* The case of that name; the test fails if there is none. */
const test_case *case_named(const char *name);

/* flushes: the device takes denormals for 0. */
void batch_make(batch *b, const test_case *c, int flushes);
/* A case that is not in the table: x[outer][channels][inner] as dims of rank 3. */
test_case case_of(size_t outer, size_t channels, size_t inner, data_kind data);
void batch_free(batch *b);
/* The one value that ONE_NAN or ONE_INF replaced becomes an ordinary one. */
void batch_heal(batch *b);
/* The same values as doubles, for the caller to free; NULL for NULL. */
double *widened(const float *values, size_t count);

#endif
