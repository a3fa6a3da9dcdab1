/* SPDX-License-Identifier: Apache-2.0
 *
 * A batch split along outer into shares, each with a plan and buffers of its own, normalized and differentiated as one: by parts, in
 * host memory or on a queue, where only events order the calls.
 */
#ifndef CLBN_TESTS_SHARES_H
#define CLBN_TESTS_SHARES_H

#include "guarded.h"
#include "stage.h"
#include "verdict.h"

enum { MOST_SHARES = 7 };

typedef struct share {
    clbn_plan *plan;
    size_t first_row, rows;
    guarded x, residual, y, dy, dx, dresidual;
    guarded mean, mean_lo, var, inv_std, running_mean, running_var, dgamma, dbeta;
    guarded own_dgamma, own_dbeta; /* of its rows alone */
} share;

typedef struct calls {
    cl_event events[MOST_SHARES];
    cl_uint count;
} calls;

typedef struct shares {
    const material *of;
    cl_command_queue queue; /* NULL: host memory */
    size_t count;
    share each[MOST_SHARES];
    guarded gamma, beta;
    guarded parts[2], counts[2]; /* a merge takes one and leaves the other */
    int now;                     /* which of them holds part_count parts */
    size_t part_count;
    calls before, after; /* of the step before, and of this one */
    outcome out;         /* of the whole batch */
    char title[400];
} shares;

/* rows: of each share, count of them, the batch's outer in all. 0 where the device has no such plan (float64). */
int shares_open(shares *s, const material *of, cl_command_queue queue, const size_t *rows, size_t count, const char *note);
void shares_close(shares *s);

/* Each share's part, by clbn_moments_part and by clbn_backward_part. */
void shares_moments(shares *s);
void shares_sums(shares *s);
/* Waits for all; then parts of no values must be zeros, and are made NaN. */
void shares_check_parts_of_nothing(shares *s);
/* Waits for all, and reads the parts and counts. values: part_count * 5 * channels. */
void shares_read_parts(shares *s, double *values, uint64_t *counts);
typedef clbn_status merge_fn(const clbn_plan *plan, cl_command_queue queue, const clbn_merge_args *args, cl_uint n_wait,
                             const cl_event *wait_list, cl_event *event);
/* Pairs of parts are merged, and pairs of these, until there is one. How many times? */
int shares_merge(shares *s, merge_fn *merge);
/* Each share by the parts there are. */
void shares_forward(shares *s);
void shares_backward(shares *s);

/* Wait for all, and put what the calls left into out: what all must hold alike, and the batch that the shares make up. */
void shares_gather_forward(shares *s);
void shares_gather_backward(shares *s);

#endif
