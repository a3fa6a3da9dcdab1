/* SPDX-License-Identifier: Apache-2.0
 *
 * A forward call and its backward call, with guarded buffers, on one plan, in some manner.
 */
#ifndef CLBN_TESTS_STAGE_H
#define CLBN_TESTS_STAGE_H

#include "judgement.h"
#include "material.h"
#include "tensor.h"

/* The tensors of a stage, in the order of tensors. */
typedef enum role { ROLE_X, ROLE_Y, ROLE_RESIDUAL, ROLE_DX, ROLE_DY, ROLE_DRESIDUAL, ROLES } role;

typedef struct stage {
    const material *of;
    clbn_plan *plan;
    cl_command_queue queue; /* NULL on the CPU path */
    char title[900];
    size_t strides[ROLES][CLBN_MAX_RANK];
    tensor tensors[ROLES];
    guarded gamma, beta, running_mean, running_var, mean, mean_lo, var, inv_std, dgamma, dbeta, mask, workspace;
    outcome out;
} stage;

/* Makes the plan: SUCCESS, or why there is none. note goes into the title. queue: of the device, NULL on the CPU path. */
clbn_status stage_open(stage *s, clbn_device *device, cl_command_queue queue, const material *of, const char *variant,
                       const char *note);
void stage_close(stage *s);
/* Is it float64 on a device without it? Then the test fails where status and sentence do not say so. */
int stage_is_refused_for_f64(const material *m, clbn_status status);

/* Each does its call and fails the test where it fails, or writes what it must not; what it leaves is added to out. Backward comes
 * behind forward, whose saved statistics and mask it is given. */
void stage_forward(stage *s);
void stage_backward(stage *s);
void stage_moments(stage *s);

#endif
