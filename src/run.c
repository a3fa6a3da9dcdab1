/* SPDX-License-Identifier: Apache-2.0
 *
 * The public run functions, forward: put the arguments into their slots, check, hand the call to the backend. And what all
 * run functions share.
 */
#include "internal.h"

/* ---------------------------------------------------------------------------------------------------------- every call */

clbn_run clbn_run_of(const clbn_verb *verb, cl_command_queue queue, cl_uint n_wait, const cl_event *wait_list, cl_event *event) {
    clbn_run run = {.name = verb->name,
                    .operation = verb->operation,
                    .statistics = verb->statistics,
                    .queue = queue,
                    .n_wait = n_wait,
                    .wait_list = wait_list,
                    .event = event};
    for (int slot = 0; slot < CLBN_SLOT_COUNT; slot++) run.uses[slot] = verb->uses[slot];
    return run;
}

/* Has the call nothing to write, whatever it is given? */
static bool has_nothing_to_do(const clbn_plan *plan, const clbn_run *run) {
    if (run->operation == CLBN_UPDATE_RUNNING && run->count == 0) return true;
    if (plan->shape.channels == 0) return true;
    if (plan->shape.elements != 0) return false;
    return run->operation == CLBN_MOMENTS || (run->operation == CLBN_FORWARD && !clbn_has(run, CLBN_PARTS));
}

clbn_status clbn_enter(const clbn_plan *plan, clbn_run *run) {
    const clbn_backend *backend = plan->device->backend;
    for (int slot = 0; slot < CLBN_SLOT_COUNT; slot++) {
        run->on_host = run->on_host || run->buffers[slot].kind == CLBN_BUFFER_HOST;
    }
    if (run->event != NULL) *run->event = NULL;
    const bool integers = plan->x_type == CLBN_I8 || plan->y_type == CLBN_I8;
    CHECK(!integers || (run->operation == CLBN_FORWARD && run->statistics == CLBN_OF_POPULATION), plan->device,
          CLBN_ERROR_UNSUPPORTED, "%s is not for a plan of CLBN_I8; clbn_forward_inference is", run->name);
    run->is_idle = has_nothing_to_do(plan, run);
    TRY(backend->check_queue(plan, run));
    if (run->is_idle) return backend->idle(plan, run);
    TRY(clbn_check_run(plan, run));
    return backend->run(plan, run);
}

clbn_status clbn_check_fused(const clbn_plan *plan, const clbn_run *run) {
    static const clbn_slot residuals[] = {CLBN_RESIDUAL, CLBN_DRESIDUAL};
    for (int i = 0; i < 2; i++) {
        CHECK(plan->residual || !clbn_has(run, residuals[i]), plan->device, CLBN_ERROR_INVALID_ARGUMENT,
              "%s is given, and the plan was made without a residual", run->uses[residuals[i]].name);
    }
    CHECK(plan->mask || !clbn_has(run, CLBN_MASK), plan->device, CLBN_ERROR_INVALID_ARGUMENT,
          "mask is given, and the plan was made without a mask");
    return CLBN_SUCCESS;
}

clbn_status clbn_check_parts(const clbn_plan *plan, const clbn_run *run) {
    const bool given = clbn_has(run, CLBN_PARTS) || clbn_has(run, CLBN_COUNTS);
    if (!given && run->part_count == 0) return CLBN_SUCCESS;
    for (clbn_slot slot = CLBN_PARTS; slot <= CLBN_COUNTS; slot++) {
        CHECK(clbn_has(run, slot), plan->device, CLBN_ERROR_MISSING_BUFFER, "%s is absent; %s of %zu parts needs it",
              run->uses[slot].name, run->name, run->part_count);
    }
    const size_t most = PTRDIFF_MAX / sizeof(double) / CLBN_PART_REALS / clbn_max(plan->shape.channels, 1);
    CHECK(run->part_count >= 1 && run->part_count <= most, plan->device, CLBN_ERROR_INVALID_VALUE,
          "part_count is %zu; it must be 1 to %zu", run->part_count, most);
    return CLBN_SUCCESS;
}

/* ------------------------------------------------------------------------------------------------------------- forward */

#define USE(slot, name, access, required) [slot] = {name, access, required}
#define FORWARD_USES                                                                                          \
    USE(CLBN_X, "x", CLBN_READ, true), USE(CLBN_RESIDUAL, "residual", CLBN_READ, false),                      \
        USE(CLBN_MASK, "mask", CLBN_WRITE, false), USE(CLBN_GAMMA, "gamma", CLBN_READ, false),                \
        USE(CLBN_BETA, "beta", CLBN_READ, false), USE(CLBN_MEAN, "saved_mean", CLBN_WRITE, false),            \
        USE(CLBN_MEAN_LO, "saved_mean_lo", CLBN_WRITE, false), USE(CLBN_VAR, "saved_var", CLBN_WRITE, false), \
        USE(CLBN_INV_STD, "saved_inv_std", CLBN_WRITE, false)

static const clbn_verb training = {"clbn_forward_training",
                                   CLBN_FORWARD,
                                   CLBN_OF_BATCH,
                                   {FORWARD_USES, USE(CLBN_Y, "y", CLBN_WRITE, false),
                                    USE(CLBN_RUNNING_MEAN, "running_mean", CLBN_UPDATE, false),
                                    USE(CLBN_RUNNING_VAR, "running_var", CLBN_UPDATE, false),
                                    USE(CLBN_PARTS, "parts", CLBN_READ, false), USE(CLBN_COUNTS, "counts", CLBN_READ, false)}};

static const clbn_verb inference = {"clbn_forward_inference",
                                    CLBN_FORWARD,
                                    CLBN_OF_POPULATION,
                                    {FORWARD_USES, USE(CLBN_Y, "y", CLBN_WRITE, true),
                                     USE(CLBN_RUNNING_MEAN, "running_mean", CLBN_READ, true),
                                     USE(CLBN_RUNNING_VAR, "running_var", CLBN_READ, true)}};

static clbn_status forward(const clbn_verb *verb, const clbn_plan *plan, cl_command_queue queue, const clbn_forward_args *args,
                           cl_uint n_wait, const cl_event *wait_list, cl_event *event) {
    if (plan == NULL) return CLBN_ERROR_INVALID_ARGUMENT;
    CHECK(args != NULL, plan->device, CLBN_ERROR_INVALID_ARGUMENT, "args is NULL");
    const bool of_batch = verb->statistics == CLBN_OF_BATCH;
    const bool weighs = of_batch && (args->running_mean.kind || args->running_var.kind);
    CHECK(!weighs || (args->update_weight >= 0 && args->update_weight <= 1), plan->device, CLBN_ERROR_INVALID_VALUE,
          "update_weight is %g; the weight of the new batch must be 0 to 1", args->update_weight);
    clbn_run run = clbn_run_of(verb, queue, n_wait, wait_list, event);
    run.buffers[CLBN_X] = args->x;
    run.buffers[CLBN_Y] = args->y;
    run.buffers[CLBN_RESIDUAL] = args->residual;
    run.buffers[CLBN_MASK] = args->mask;
    run.buffers[CLBN_GAMMA] = args->gamma;
    run.buffers[CLBN_BETA] = args->beta;
    run.buffers[CLBN_RUNNING_MEAN] = args->running_mean;
    run.buffers[CLBN_RUNNING_VAR] = args->running_var;
    run.buffers[CLBN_MEAN] = args->saved_mean;
    run.buffers[CLBN_MEAN_LO] = args->saved_mean_lo;
    run.buffers[CLBN_VAR] = args->saved_var;
    run.buffers[CLBN_INV_STD] = args->saved_inv_std;
    run.workspace = args->workspace;
    run.update_weight = args->update_weight;
    run.skip_nonfinite = args->skip_nonfinite != 0;
    if (of_batch) {
        run.buffers[CLBN_PARTS] = args->parts;
        run.buffers[CLBN_COUNTS] = args->counts;
        run.part_count = args->part_count;
    }
    TRY(clbn_check_fused(plan, &run));
    TRY(clbn_check_parts(plan, &run));
    run.uses[CLBN_RESIDUAL].required = plan->residual;
    run.uses[CLBN_MASK].required = plan->mask && of_batch && plan->shape.elements != 0;
    if (!clbn_has(&run, CLBN_Y) && of_batch) { /* statistics only: what goes with y is not looked at */
        run.uses[CLBN_RESIDUAL].access = run.uses[CLBN_MASK].access = CLBN_UNUSED;
    }
    return clbn_enter(plan, &run);
}

clbn_status clbn_forward_training(const clbn_plan *plan, cl_command_queue queue, const clbn_forward_args *args, cl_uint n_wait,
                                  const cl_event *wait_list, cl_event *event) {
    return forward(&training, plan, queue, args, n_wait, wait_list, event);
}

clbn_status clbn_forward_inference(const clbn_plan *plan, cl_command_queue queue, const clbn_forward_args *args, cl_uint n_wait,
                                   const cl_event *wait_list, cl_event *event) {
    return forward(&inference, plan, queue, args, n_wait, wait_list, event);
}

/* ------------------------------------------------------------------------------------------------------------- moments */

static const clbn_verb moments = {"clbn_moments",
                                  CLBN_MOMENTS,
                                  CLBN_OF_BATCH,
                                  {USE(CLBN_X, "x", CLBN_READ, true), USE(CLBN_MEAN, "mean", CLBN_WRITE, false),
                                   USE(CLBN_MEAN_LO, "mean_lo", CLBN_WRITE, false), USE(CLBN_VAR, "var", CLBN_WRITE, false)}};

clbn_status clbn_moments(const clbn_plan *plan, cl_command_queue queue, const clbn_moments_args *args, cl_uint n_wait,
                         const cl_event *wait_list, cl_event *event) {
    if (plan == NULL) return CLBN_ERROR_INVALID_ARGUMENT;
    CHECK(args != NULL, plan->device, CLBN_ERROR_INVALID_ARGUMENT, "args is NULL");
    CHECK(args->mean.kind || args->mean_lo.kind || args->var.kind || plan->shape.elements == 0, plan->device,
          CLBN_ERROR_MISSING_BUFFER, "mean, mean_lo and var are all absent; at least one must be given");
    clbn_run run = clbn_run_of(&moments, queue, n_wait, wait_list, event);
    run.buffers[CLBN_X] = args->x;
    run.buffers[CLBN_MEAN] = args->mean;
    run.buffers[CLBN_MEAN_LO] = args->mean_lo;
    run.buffers[CLBN_VAR] = args->var;
    run.workspace = args->workspace;
    return clbn_enter(plan, &run);
}
