/* SPDX-License-Identifier: Apache-2.0
 *
 * The public run functions: put the arguments into their slots, check, hand the call to the backend.
 */
#include "internal.h"

#include <math.h>

#define SLOT(slot, name, access, required) [slot] = {name, access, required}
#define FORWARD_SLOTS                                                                                                           \
    SLOT(CLBN_X, "x", CLBN_READ, true), SLOT(CLBN_GAMMA, "gamma", CLBN_READ, false), SLOT(CLBN_BETA, "beta", CLBN_READ, false), \
        SLOT(CLBN_MEAN, "saved_mean", CLBN_WRITE, false), SLOT(CLBN_MEAN_LO, "saved_mean_lo", CLBN_WRITE, false),               \
        SLOT(CLBN_VAR, "saved_var", CLBN_WRITE, false), SLOT(CLBN_INV_STD, "saved_inv_std", CLBN_WRITE, false)

static const clbn_verb training = {"clbn_forward_training",
                                   CLBN_OF_BATCH,
                                   {FORWARD_SLOTS, SLOT(CLBN_Y, "y", CLBN_WRITE, false),
                                    SLOT(CLBN_RUNNING_MEAN, "running_mean", CLBN_UPDATE, false),
                                    SLOT(CLBN_RUNNING_VAR, "running_var", CLBN_UPDATE, false)}};

static const clbn_verb inference = {"clbn_forward_inference",
                                    CLBN_OF_POPULATION,
                                    {FORWARD_SLOTS, SLOT(CLBN_Y, "y", CLBN_WRITE, true),
                                     SLOT(CLBN_RUNNING_MEAN, "running_mean", CLBN_READ, true),
                                     SLOT(CLBN_RUNNING_VAR, "running_var", CLBN_READ, true)}};

static const clbn_verb moments = {"clbn_moments",
                                  CLBN_OF_BATCH,
                                  {SLOT(CLBN_X, "x", CLBN_READ, true), SLOT(CLBN_MEAN, "mean", CLBN_WRITE, false),
                                   SLOT(CLBN_MEAN_LO, "mean_lo", CLBN_WRITE, false), SLOT(CLBN_VAR, "var", CLBN_WRITE, false)}};

static clbn_status check_and_run(const clbn_plan *plan, clbn_run *run) {
    const clbn_backend *backend = plan->device->backend;
    for (int slot = 0; slot < CLBN_SLOT_COUNT; slot++) {
        run->on_host = run->on_host || run->buffers[slot].kind == CLBN_BUFFER_HOST;
    }
    if (run->event != NULL) *run->event = NULL;
    TRY(backend->check_queue(plan, run));
    if (plan->shape.elements != 0) TRY(clbn_check_run(plan, run));
    return backend->forward(plan, run);
}

static clbn_status forward(const clbn_verb *verb, const clbn_plan *plan, cl_command_queue queue, const clbn_forward_args *args,
                           cl_uint n_wait, const cl_event *wait_list, cl_event *event) {
    if (plan == NULL) return CLBN_ERROR_INVALID_ARGUMENT;
    CHECK(args != NULL, plan->device, CLBN_ERROR_INVALID_ARGUMENT, "args is NULL");
    const bool weighs = verb->statistics == CLBN_OF_BATCH && (args->running_mean.kind || args->running_var.kind);
    CHECK(!weighs || (args->update_weight >= 0 && args->update_weight <= 1), plan->device, CLBN_ERROR_INVALID_VALUE,
          "update_weight is %g; the weight of the new batch must be 0 to 1", args->update_weight);
    clbn_run run = {.verb = verb,
                    .buffers = {[CLBN_X] = args->x,
                                [CLBN_Y] = args->y,
                                [CLBN_GAMMA] = args->gamma,
                                [CLBN_BETA] = args->beta,
                                [CLBN_RUNNING_MEAN] = args->running_mean,
                                [CLBN_RUNNING_VAR] = args->running_var,
                                [CLBN_MEAN] = args->saved_mean,
                                [CLBN_MEAN_LO] = args->saved_mean_lo,
                                [CLBN_VAR] = args->saved_var,
                                [CLBN_INV_STD] = args->saved_inv_std},
                    .workspace = args->workspace,
                    .update_weight = args->update_weight,
                    .queue = queue,
                    .n_wait = n_wait,
                    .wait_list = wait_list,
                    .event = event};
    return check_and_run(plan, &run);
}

clbn_status clbn_forward_training(const clbn_plan *plan, cl_command_queue queue, const clbn_forward_args *args, cl_uint n_wait,
                                  const cl_event *wait_list, cl_event *event) {
    return forward(&training, plan, queue, args, n_wait, wait_list, event);
}

clbn_status clbn_forward_inference(const clbn_plan *plan, cl_command_queue queue, const clbn_forward_args *args, cl_uint n_wait,
                                   const cl_event *wait_list, cl_event *event) {
    return forward(&inference, plan, queue, args, n_wait, wait_list, event);
}

clbn_status clbn_moments(const clbn_plan *plan, cl_command_queue queue, const clbn_moments_args *args, cl_uint n_wait,
                         const cl_event *wait_list, cl_event *event) {
    if (plan == NULL) return CLBN_ERROR_INVALID_ARGUMENT;
    CHECK(args != NULL, plan->device, CLBN_ERROR_INVALID_ARGUMENT, "args is NULL");
    CHECK(args->mean.kind || args->mean_lo.kind || args->var.kind || plan->shape.elements == 0, plan->device,
          CLBN_ERROR_MISSING_BUFFER, "mean, mean_lo and var are all absent; at least one must be given");
    clbn_run run = {
        .verb = &moments,
        .buffers = {[CLBN_X] = args->x, [CLBN_MEAN] = args->mean, [CLBN_MEAN_LO] = args->mean_lo, [CLBN_VAR] = args->var},
        .workspace = args->workspace,
        .queue = queue,
        .n_wait = n_wait,
        .wait_list = wait_list,
        .event = event};
    return check_and_run(plan, &run);
}
