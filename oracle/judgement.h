/* SPDX-License-Identifier: Apache-2.0
 *
 * What calls must leave, by the definition, and how far what they left is from it, as a share of its bound.
 * A result that is not of the type real is rounded twice, to real and to its own type; so is all of the CPU path, which computes in
 * double. Rounding keeps order, so it must lie from the rounded exact - bound to the rounded exact + bound: this is half an ulp
 * where the bound is small, and infinite where a type overflows.
 */
#ifndef CLBN_ORACLE_JUDGEMENT_H
#define CLBN_ORACLE_JUDGEMENT_H

#include "bounds_gradients.h"
#include "clbn.h"

/* What a forward call and its backward call are given; dense values that the types hold. */
typedef struct problem {
    definition_shape shape;
    size_t values; /* of one channel */
    clbn_dtype x_type, y_type;
    double epsilon, update_weight;
    int outside, unbiased;      /* the rules of epsilon and of the running variance */
    int population;             /* the statistics are the running ones, else the batch's */
    int recomputed, without_lo; /* backward is given no saved statistics, or no saved_mean_lo */
    unsigned accumulate;        /* CLBN_ACCUMULATE_* */
    definition_activation act;
    const double *x, *residual, *dy;                         /* as x; residual NULL: there is none; dy NULL: no backward call */
    const double *gamma, *beta, *running_mean, *running_var; /* channels; gamma and beta NULL: 1 and 0 */
    const double *old_dx, *old_dresidual, *old_dgamma, *old_dbeta; /* where it accumulates */
} problem;

/* What they must leave, exactly. */
typedef struct answer {
    const problem *of;
    long double *mean, *mean_lo, *var, *inv_std;              /* what normalizes: channels each; mean + mean_lo, never added up */
    long double *v, *y, *g, *dx;                              /* as x */
    long double *dgamma, *dbeta, *running_mean, *running_var; /* channels; gradients without what they are added to */
    long double *of_mean, *of_var;                            /* channels: see PARTS in bounds_gradients.h; made 0 */
} answer;

/* 0 where there is no memory, and nothing is held. of must outlive it. */
int answer_make(answer *a, const problem *of);
void answer_free(answer *a);

/* What calls left: dense doubles, NULL where it was not asked for. */
typedef struct outcome {
    double *y, *mean, *mean_lo, *var, *inv_std, *running_mean, *running_var;
    double *dx, *dresidual, *dgamma, *dbeta;
} outcome;

/* One number, compared. */
typedef struct finding {
    const char *what;
    bounds_of who;
    int rounded; /* the bound has half an ulp of the result's type more, which often is all of the error */
    long double got, exact, error, bound;
    long double ratio;  /* error / bound; infinite where there is no bound, and for a finite number that must not be */
    long double before; /* the same before the last rounding: what is left of error without half an ulp, over the rest of bound */
    int miss;
} finding;

/* Who is told of each finding. */
typedef struct hearing {
    void (*hear)(void *by, const finding *f);
    void *by;
} hearing;

/* got must be exact within bound, the rounding to its type included. */
void judge_within(const hearing *h, bounds_of who, const char *what, long double got, long double exact, long double bound);
/* The same of got + got_lo and exact + exact_lo, which no long double need hold. */
void judge_pair(const hearing *h, bounds_of who, const char *what, const long double got[2], const long double exact[2],
                long double bound);
/* The same of what is stored as type, where bound holds no rounding but a device's to real. */
void judge_value(const hearing *h, bounds_of who, clbn_dtype type, const char *what, double got, long double exact,
                 long double bound);

void judge_forward(const hearing *h, const answer *a, bounds_of who, const outcome *got);
void judge_backward(const hearing *h, const answer *a, bounds_of who, const outcome *got);
/* A part of moments, part[5][channels], of some of the batch's rows. 0 where there is no memory. */
int judge_moments_part(const hearing *h, const problem *p, bounds_of who, size_t first_row, size_t rows, const double *part);
/* A part of backward's sums of some of the batch's rows, and the rows' own dgamma and dbeta. */
void judge_sums(const hearing *h, const answer *a, bounds_of who, size_t first_row, size_t rows, const double *part,
                const double *dgamma, const double *dbeta);
/* The exact batch mean and biased variance of some rows, mean[2][channels] being mean and mean_lo; NULL arrays where there is no
 * memory, for the caller to free. */
void answer_rows(const problem *p, size_t first_row, size_t rows, long double **mean, long double **var);
/* Where the batch comes in parts, one of them these rows: what keeping its mean and its M2 as two reals, so many times, loses. */
int answer_of_part(answer *a, size_t first_row, size_t rows, int roundings);

#endif
