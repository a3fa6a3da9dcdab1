/* SPDX-License-Identifier: Apache-2.0
 *
 * What is right, and whether a result is: an exact reference made by the definition or by the CPU path, and the comparison by
 * bounds.h. A reference that the CPU path made may itself be off by the CPU path's bound, which is then added.
 */
#ifndef CLBN_TESTS_JUDGE_H
#define CLBN_TESTS_JUDGE_H

#include "bounds.h"
#include "scene.h"

typedef struct reference {
    const batch *b;
    way way;
    verb verb;
    int by_cpu_path;
    long double *mean, *var, *inv_std;       /* channels each: what normalizes */
    long double *running_mean, *running_var; /* after training */
    long double *y;                          /* NULL for MOMENTS */
} reference;

void reference_by_definition(reference *r, const batch *b, const way *w, verb v);
/* cpu is a device of the CPU path. */
void reference_by_cpu_path(reference *r, clbn_device *cpu, const batch *b, const way *w, verb v);
void reference_free(reference *r);

/* Fails the test with title, channel, error and bound where what the result holds is outside the bounds of who. */
void judge(const reference *r, bounds_of who, const result *got, const char *title);

/* The bounds that the tested device must keep. */
bounds_of tested_bounds(void);

/* Prints the worst error over bound so far, by quantity. */
void judge_report(void);

#endif
