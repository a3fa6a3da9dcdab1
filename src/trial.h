/* SPDX-License-Identifier: Apache-2.0
 *
 * The problem of a trial: what trial.c has solved twice, and trial_problem.c asks and judges.
 */
#ifndef CLBN_TRIAL_H
#define CLBN_TRIAL_H

#include "internal.h"

typedef enum clbn_array {
    X,
    RESIDUAL,
    DY,
    GAMMA,
    BETA,
    MEAN_GIVEN,
    VAR_GIVEN,
    INPUTS,
    Y = INPUTS,
    Z, /* what inference makes of x */
    DX,
    DRESIDUAL,
    MEAN,
    MEAN_LO,
    VAR,
    INV_STD,
    RUNNING_MEAN,
    RUNNING_VAR,
    DGAMMA,
    DBETA,
    FOLDED_BIAS,
    KEPT,   /* the mask */
    PARTS,  /* two of them */
    MERGED, /* one */
    COUNTS, /* theirs */
    ARRAYS
} clbn_array;

/* One of the two that solve it, on inputs that are the same. */
typedef struct clbn_solver {
    clbn_plan *plan;
    void *arrays[ARRAYS];
} clbn_solver;

typedef struct clbn_problem {
    clbn_config config;
    size_t dims[3], strides[3];
    size_t elements, values; /* values: of a channel, those of all parts together */
    uint32_t random;         /* the state of the numbers to come */
    size_t spread;           /* array elements from one of a tensor's to the next */
    clbn_solver by_cpu, by_device;
} clbn_problem;

/* The kinds are the plan's; numbers, which are arguments of kernels, are the problem's own. Makes neither plans nor arrays. */
void clbn_problem_describe(clbn_problem *p, const clbn_plan *plan, const clbn_trial *trial, unsigned which);
/* With the plan of the CPU path. */
clbn_dtype clbn_problem_type(const clbn_problem *p, clbn_array array);
static inline bool clbn_problem_is_integer(const clbn_problem *p) {
    return clbn_problem_type(p, X) == CLBN_I8 || clbn_problem_type(p, Y) == CLBN_I8;
}
/* Writes the inputs, which are by_cpu's: never the same twice. */
void clbn_problem_fill(clbn_problem *p);
/* Behind by_cpu's forward call: dy where which side of a kink an element is on would matter. */
void clbn_problem_avoid_kinks(clbn_problem *p);
/* Is what by_device has what by_cpu has? */
bool clbn_problem_is_right(const clbn_problem *p);

#endif
