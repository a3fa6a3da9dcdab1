/* SPDX-License-Identifier: Apache-2.0
 *
 * What calls in some manner must leave, and the judgement of what they left, by oracle/judgement.h: a miss fails the test.
 */
#ifndef CLBN_TESTS_VERDICT_H
#define CLBN_TESTS_VERDICT_H

#include "stage.h"

/* It must not move once it is made. */
typedef struct verdict {
    problem given;
    answer exact;
} verdict;

void verdict_make(verdict *v, const material *of);
void verdict_free(verdict *v);
/* From now on calls are those of the manner's levels as they are by now, of which only what is saved and what accumulates has changed. */
void verdict_follow(verdict *v, const material *of);

/* Fail the test with title, channel, error and bound where what the outcome holds is outside the bounds of who. */
void verdict_forward(const verdict *v, bounds_of who, const outcome *got, const char *title);
void verdict_backward(const verdict *v, bounds_of who, const outcome *got, const char *title);

/* The same for a part of moments of some of the batch's rows: part[5][channels]. */
void verdict_moments_part(const verdict *v, bounds_of who, size_t first_row, size_t rows, const double *part, const char *title);
/* The same for the two sums of some of the batch's rows, as clbn_backward_part leaves them: part[5][channels], and the rows' own
 * dgamma and dbeta. */
void verdict_sums(const verdict *v, bounds_of who, size_t first_row, size_t rows, const double *part, const double *dgamma,
                  const double *dbeta, const char *title);

/* Whose bounds: the CPU path's or a device's, of the manner's real. */
bounds_of bounds_for(int cpu_path, const manner *m);
/* The same judgement for one value of a test's own: got must be exact within bound, stored as type. what names it in the report. */
void verdict_value(bounds_of who, clbn_dtype type, const char *what, double got, long double exact, long double bound,
                   const char *title);

/* Prints the worst error over bound so far, by quantity. */
void verdict_report(void);

#endif
