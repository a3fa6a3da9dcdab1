/* SPDX-License-Identifier: Apache-2.0
 *
 * The bounds of what lies behind an activation, and of the gradients: bounds.h continued, in its words. All inputs are exact.
 *
 * PROMISE, on a device, with K = r^2 (outside: r / sigma) and r = inv_std, all sums and means of absolute values:
 *     |dx - exact| <= A |gamma| r (|dy| + mean |dy| + |x - mean| K mean |dy (x - mean)|);    A |gamma| r |dy| in inference
 *     |dgamma - exact| <= A r (sum |dy (x - mean)| + sigma |sum g|),    |dbeta - exact| <= A sum |dy|,    each rounding to real included
 * The second term of dgamma's is what the mean's own promise moves the sum by: it counts where one dy outweighs all and stands next to the mean.
 * It counts dy, not g: a value behind a kink has no gradient, yet it moved the mean, by which sum g (x - mean) is off. (Where an
 * activation is steeper than 1, dy times its steepest slope; the square has none, and counts g. So does the CPU path.)
 * 16-bit results are rounded twice, to real and to their type: judged by the type's values about the bound, see verdict.h.
 *
 * Derived:
 *   v           as bounds.h's y, the residual a term like beta.
 *   AS SAVED    a plan with an activation, and a backward call that is given saved statistics, compute with inv_std rounded to real
 *               (u |gamma xhat| more; outside it comes from var rounded to real, and is off by u / 2 more) and the mean as two reals
 *               (2^-48 |mean|, or 2^-106). Without saved_mean_lo it is u |mean|: |gamma| r times that in v. Of the CPU path; a device's promise covers it, all but the lost saved_mean_lo.
 *   y           act's steepest slope L between v - e and v + e, times the error e of v; and A |y|, for what evaluating it rounds, where
 *               that is a function of v (silu, the square). Below v = -88.7 exp(-v) is no float: silu is 0 there, off by less than 3e-37.
 *   g           = dy act'(v). Where a kink lies within e of v, either side is right: the jump of act' there, times |dy|. Elsewhere
 *               act' of the piecewise linear ones is exact; leaky's product with slope is rounded. silu: |act''| <= 1/2, so
 *               e / 2; s is off by 6 u s, and so is 1 - s, which v multiplies: 6 u (1 + |v|) <= A (1 + |v|) in all. Square: 2 e + 2 A |v|.
 *   sums        each g is off by its own error: sum of these, and the promise's A sum |g|; with (x - mean) likewise. A mean that is off
 *               by d moves sum g (x - mean) by d |sum g| <= d sum |g|.
 *   dgamma      r times that, and r itself is off by u (outside 1.5 u): u r |sum g (x - mean)|.
 *   of rows     the promise for dgamma is that of the whole batch. In the sums of some rows alone a mean that is off, by A sigma at
 *               most, is not made good by the other rows: r A sigma sum |g| more.
 *   dx          the errors of g, of the sums, A of each term, 3 u of the last (r^3), and d K mean |g (x - mean)| for its x - mean.
 *   PARTS       each rounds its mean to two reals, and so does each merge: what that moves the mean by is given as of_mean, e.
 *               The variance holds the squares of the parts' means about the whole's, so that it is off by 2 e sigma, and inv_std
 *               by e / sigma of itself. Each keeps its M2 as two reals as well, with 2^-48 (2^-106) of it and half the smallest
 *               real, 2^-150 (2^-1075), lost each time; their sum over n is what that moves the variance by, given as of_var, and inv_std
 *               by half of of_var / var of itself. Of the CPU path; a device's promise covers it.
 *   accumulated old + new: A of both (the CPU path), or u of both (a device); new is what it is, off by its own error: across a kink that
 *               is as large as dy.
 * A constant channel's mean is exact, and so d = 0 there.
 */
#ifndef CLBN_ORACLE_BOUNDS_GRADIENTS_H
#define CLBN_ORACLE_BOUNDS_GRADIENTS_H

#include "bounds.h"
#include "definition.h"

/* A channel, and how its statistics came to the call. */
typedef struct bounds_step {
    bounds_of who;
    bounds_channel of;
    int population; /* the statistics are given and exact */
    int as_saved;   /* AS SAVED above */
    int no_lo;      /* saved, without saved_mean_lo */
    int outside;
    definition_activation act;
    long double of_mean, of_var; /* PARTS above; 0 without parts */
} bounds_step;

long double bounds_v(const bounds_step *s, long double gamma_xhat, long double residual);
/* of_v is what v may be off. */
long double bounds_activated(const bounds_step *s, long double v, long double of_v);
long double bounds_g(const bounds_step *s, long double v, long double of_v, long double dy);

/* Sums over a channel's values: of g and its error, alone and times |x - mean|; and the exact sum g (x - mean). */
typedef struct bounds_sums {
    long double g, of_g, gx, of_gx, exact_gx, exact_g;
} bounds_sums;

/* What the promise counts of a value: on a device |dy| times the steepest slope, else |g|. */
long double bounds_size(const bounds_step *s, long double dy, long double g);
void bounds_sums_add(bounds_sums *sums, long double g, long double size, long double of_g, long double about_mean);
long double bounds_dbeta(const bounds_step *s, const bounds_sums *sums);
long double bounds_dgamma(const bounds_step *s, const bounds_sums *sums);
long double bounds_dgamma_of_rows(const bounds_step *s, const bounds_sums *sums);
long double bounds_dx(const bounds_step *s, const bounds_sums *sums, long double size, long double of_g, long double about_mean);
long double bounds_accumulated(bounds_of who, long double old, long double added, long double of_added);

#endif
