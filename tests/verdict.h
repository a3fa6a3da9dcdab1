/* SPDX-License-Identifier: Apache-2.0
 *
 * What calls in some manner must leave, by the definition, and whether an outcome is that within its bounds.
 * A result that is not of the type real is rounded twice, to real and to its own type; so is all of the CPU path, which computes in
 * double. Rounding keeps order, so it must lie from the rounded exact - bound to the rounded exact + bound: this is half an ulp
 * where the bound is small, and infinite where a type overflows.
 */
#ifndef CLBN_TESTS_VERDICT_H
#define CLBN_TESTS_VERDICT_H

#include "bounds_gradients.h"
#include "stage.h"

typedef struct verdict {
    const material *of;
    long double *mean, *var, *inv_std;                        /* what normalizes: channels each */
    long double *v, *y, *g, *dx;                              /* as x */
    long double *dgamma, *dbeta, *running_mean, *running_var; /* channels; gradients without what they are added to */
    long double *of_mean;                                     /* channels: see PARTS in bounds_gradients.h; made 0 */
    struct {
        long double y, dx, dgamma, dbeta, running_mean, running_var;
    } peer; /* for who puts a peer's results where the exact ones are: how far those may be off; made 0 */
} verdict;

void verdict_make(verdict *v, const material *of);
void verdict_free(verdict *v);

/* Fail the test with title, channel, error and bound where what the outcome holds is outside the bounds of who. */
void verdict_forward(const verdict *v, bounds_of who, const outcome *got, const char *title);
void verdict_backward(const verdict *v, bounds_of who, const outcome *got, const char *title);

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
