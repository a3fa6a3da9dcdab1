/* SPDX-License-Identifier: Apache-2.0
 *
 * The values of a forward and a backward call in some manner: a batch's, as its storage types hold them.
 */
#ifndef CLBN_TESTS_MATERIAL_H
#define CLBN_TESTS_MATERIAL_H

#include "cases.h"
#include "manner.h"

typedef struct material {
    const batch *b;
    manner m;
    double epsilon;       /* the manner's, or what the data needs */
    double update_weight; /* the manner's, as is the next, unless set anew before the first call */
    clbn_running_variance running_variance;
    double *x, *residual, *dy, *old_dx, *old_dresidual;                         /* as x; all dense */
    double *gamma, *beta, *running_mean, *running_var, *old_dgamma, *old_dbeta; /* channels each */
} material;

/* b must outlive it. */
void material_make(material *m, const batch *b, const manner *how);
void material_free(material *m);

/* What the manner leaves out: NULL where the call gets none. */
const double *material_gamma(const material *m);
const double *material_beta(const material *m);
const double *material_residual(const material *m);

#endif
