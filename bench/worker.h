/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker: a process that holds one contender of the comparison and does what the driver says, a line at a time. It knows of
 * the other contenders nothing but the values that they should agree on.
 *
 *     the driver says                    the worker answers
 *                                        hello NAME WHAT, once, when it is ready
 *     open OP N C [H W]                  ways LAYOUT:NAME ..., each of which can be asked for by its place in this line
 *     run WAY WARM CALLS                 time SECONDS, of CALLS calls behind WARM others
 *     save WAY                           saved: the output of a call is in the shared memory, descriptor 3
 *     compare WAY                        differs D, the largest difference of a call's output from what is there
 *     close                              closed
 * Anything that cannot be done is answered with: no REASON. LAYOUT is nc, nchw, nhwc, blocked or copy.
 */
#ifndef CLBN_BENCH_WORKER_H
#define CLBN_BENCH_WORKER_H

#include "bench.h"

/* What is timed. x is [n][c][height][width] in NCHW; a matrix has planes false, and height and width 1. */
typedef struct unit {
    bench_op op;
    size_t n, c, height, width;
    int planes;
} unit;

size_t unit_count(const unit *u); /* elements of x */

/* The ways of a unit: layout and name, "nchw:op". */
#define WORKER_MAX_WAYS 32

typedef struct worker {
    const char *name;
    char what[600]; /* library, version, device */
    const char *ways[WORKER_MAX_WAYS];
    unsigned way_count;
    size_t count; /* elements of x, of the open unit */
    /* Each returns an exit status and has said why on standard error. open sets ways and way_count; close is called after a
     * failed open too. */
    int (*open)(struct worker *worker, const unit *u);
    int (*run)(struct worker *worker, unsigned way, size_t calls);
    /* y, or dx: count floats in the order that the way's layout names; NCHW where that is blocked. */
    int (*read)(struct worker *worker, unsigned way, float *to);
    void (*close)(struct worker *worker);
} worker;

/* Until the driver closes the pipe. */
int worker_serve(worker *w);

#endif
