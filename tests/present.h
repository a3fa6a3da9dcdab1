/* SPDX-License-Identifier: Apache-2.0
 *
 * Every set of optional arguments that a call can be given, on host arrays with bands about them; the definition judges. What was
 * judged before, to the bit, is not judged again: so all sets of a small shape cost hardly more than the calls.
 */
#ifndef CLBN_TESTS_PRESENT_H
#define CLBN_TESTS_PRESENT_H

#include "guarded.h"
#include "tensor.h"
#include "verdict.h"

typedef enum argument {
    GIVES_Y,
    GIVES_MEAN,
    GIVES_MEAN_LO,
    GIVES_VAR,
    GIVES_INV_STD,
    GIVES_RUNNING_MEAN,
    GIVES_RUNNING_VAR, /* of forward, moments */
    GIVES_DX,
    GIVES_DRESIDUAL,
    GIVES_DGAMMA,
    GIVES_DBETA, /* of backward */
    OUTPUTS
} argument;

typedef enum present_call { TRAINS, INFERS, TAKES_MOMENTS, GOES_BACK, GOES_BACK_FROZEN } present_call;

enum { AFFINES = 4, SAVINGS = 4 }; /* levels of these in manner.h */

/* One set: the outputs as bits of argument; the rest are levels of manner.h. */
typedef struct present_set {
    present_call call;
    unsigned outputs, affine, saved, accumulate;
} present_set;

/* All there are for plans with or without a residual: the fullest of each call first. */
size_t present_count(int residual);
present_set present_of(int residual, size_t nth);

/* A shape, a plan for it and arrays for its calls; what was judged so far. */
typedef struct present present;

/* how: types, activation, residual, mask; layout DENSE or CHANNELS_LAST. NULL where the device has no such plan. */
present *present_open(clbn_device *device, bounds_of who, const test_case *c, const manner *how, const char *variant);
void present_close(present *p);
/* Calls with that set and judges. The fullest forward calls must have come before: backward is given what they saved. */
void present_play(present *p, const present_set *set);
/* How many results were judged by the definition so far, in all; the others were the same bits. */
size_t present_judged(void);

#endif
