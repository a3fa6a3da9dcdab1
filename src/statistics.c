/* SPDX-License-Identifier: Apache-2.0
 *
 * The public run functions that take or give statistics without normalizing anything: parts of a batch's moments, their merge,
 * the update of running statistics, and folding them into a layer's weight.
 */
#include "internal.h"

#define USE(slot, name, access, required) [slot] = {name, access, required}

/* --------------------------------------------------------------------------------------------------------------- parts */

static const clbn_verb moments_part = {
    "clbn_moments_part",
    CLBN_MOMENTS_PART,
    CLBN_OF_BATCH,
    {USE(CLBN_X, "x", CLBN_READ, true), USE(CLBN_PART, "part", CLBN_WRITE, true), USE(CLBN_COUNT, "count", CLBN_WRITE, true)}};

#define MERGE_USES                                                                               \
    {                                                                                            \
        USE(CLBN_PARTS, "parts", CLBN_READ, true), USE(CLBN_COUNTS, "counts", CLBN_READ, true),  \
            USE(CLBN_PART, "part", CLBN_WRITE, true), USE(CLBN_COUNT, "count", CLBN_WRITE, true) \
    }
static const clbn_verb moments_merge = {"clbn_moments_merge", CLBN_MOMENTS_MERGE, CLBN_OF_BATCH, MERGE_USES};
static const clbn_verb backward_merge = {"clbn_backward_merge", CLBN_BACKWARD_MERGE, CLBN_OF_BATCH, MERGE_USES};

clbn_status clbn_moments_part(const clbn_plan *plan, cl_command_queue queue, const clbn_moments_part_args *args, cl_uint n_wait,
                              const cl_event *wait_list, cl_event *event) {
    if (plan == NULL) return CLBN_ERROR_INVALID_ARGUMENT;
    CHECK(args != NULL, plan->device, CLBN_ERROR_INVALID_ARGUMENT, "args is NULL");
    clbn_run run = clbn_run_of(&moments_part, queue, n_wait, wait_list, event);
    run.buffers[CLBN_X] = args->x;
    run.buffers[CLBN_PART] = args->part;
    run.buffers[CLBN_COUNT] = args->count;
    run.workspace = args->workspace;
    return clbn_enter(plan, &run);
}

static clbn_status merge(const clbn_verb *verb, const clbn_plan *plan, cl_command_queue queue, const clbn_merge_args *args,
                         cl_uint n_wait, const cl_event *wait_list, cl_event *event) {
    if (plan == NULL) return CLBN_ERROR_INVALID_ARGUMENT;
    CHECK(args != NULL, plan->device, CLBN_ERROR_INVALID_ARGUMENT, "args is NULL");
    clbn_run run = clbn_run_of(verb, queue, n_wait, wait_list, event);
    run.buffers[CLBN_PARTS] = args->parts;
    run.buffers[CLBN_COUNTS] = args->counts;
    run.buffers[CLBN_PART] = args->part;
    run.buffers[CLBN_COUNT] = args->count;
    run.part_count = args->part_count;
    CHECK(args->part_count != 0, plan->device, CLBN_ERROR_INVALID_VALUE, "part_count is 0; there must be a part to merge");
    TRY(clbn_check_parts(plan, &run));
    return clbn_enter(plan, &run);
}

clbn_status clbn_moments_merge(const clbn_plan *plan, cl_command_queue queue, const clbn_merge_args *args, cl_uint n_wait,
                               const cl_event *wait_list, cl_event *event) {
    return merge(&moments_merge, plan, queue, args, n_wait, wait_list, event);
}

clbn_status clbn_backward_merge(const clbn_plan *plan, cl_command_queue queue, const clbn_merge_args *args, cl_uint n_wait,
                                const cl_event *wait_list, cl_event *event) {
    return merge(&backward_merge, plan, queue, args, n_wait, wait_list, event);
}

/* -------------------------------------------------------------------------------------------------- running statistics */

static const clbn_verb update_running = {"clbn_update_running",
                                         CLBN_UPDATE_RUNNING,
                                         CLBN_OF_BATCH,
                                         {USE(CLBN_MEAN, "mean", CLBN_READ, false), USE(CLBN_VAR, "var", CLBN_READ, false),
                                          USE(CLBN_RUNNING_MEAN, "running_mean", CLBN_UPDATE, false),
                                          USE(CLBN_RUNNING_VAR, "running_var", CLBN_UPDATE, false)}};

clbn_status clbn_update_running(const clbn_plan *plan, cl_command_queue queue, const clbn_update_args *args, cl_uint n_wait,
                                const cl_event *wait_list, cl_event *event) {
    if (plan == NULL) return CLBN_ERROR_INVALID_ARGUMENT;
    CHECK(args != NULL, plan->device, CLBN_ERROR_INVALID_ARGUMENT, "args is NULL");
    CHECK(args->update_weight >= 0 && args->update_weight <= 1, plan->device, CLBN_ERROR_INVALID_VALUE,
          "update_weight is %g; the weight of the new batch must be 0 to 1", args->update_weight);
    CHECK(args->running_mean.kind || args->running_var.kind, plan->device, CLBN_ERROR_MISSING_BUFFER,
          "running_mean and running_var are both absent; at least one must be given");
    clbn_run run = clbn_run_of(&update_running, queue, n_wait, wait_list, event);
    run.buffers[CLBN_MEAN] = args->mean;
    run.buffers[CLBN_VAR] = args->var;
    run.buffers[CLBN_RUNNING_MEAN] = args->running_mean;
    run.buffers[CLBN_RUNNING_VAR] = args->running_var;
    run.uses[CLBN_MEAN].required = clbn_has(&run, CLBN_RUNNING_MEAN);
    run.uses[CLBN_VAR].required = clbn_has(&run, CLBN_RUNNING_VAR);
    run.update_weight = args->update_weight;
    run.skip_nonfinite = args->skip_nonfinite != 0;
    run.count = args->count ? args->count : plan->shape.count;
    return clbn_enter(plan, &run);
}

/* -------------------------------------------------------------------------------------------------------------- folding */

static const clbn_verb fold = {"clbn_fold",
                               CLBN_FOLD,
                               CLBN_OF_POPULATION,
                               {USE(CLBN_X, "weight", CLBN_READ, true), USE(CLBN_Y, "folded_weight", CLBN_WRITE, true),
                                USE(CLBN_GAMMA, "gamma", CLBN_READ, false), USE(CLBN_BETA, "beta", CLBN_READ, false),
                                USE(CLBN_RUNNING_MEAN, "running_mean", CLBN_READ, true),
                                USE(CLBN_RUNNING_VAR, "running_var", CLBN_READ, true), USE(CLBN_BIAS, "bias", CLBN_READ, false),
                                USE(CLBN_FOLDED_BIAS, "folded_bias", CLBN_WRITE, true)}};

clbn_status clbn_fold(const clbn_plan *plan, cl_command_queue queue, const clbn_fold_args *args, cl_uint n_wait,
                      const cl_event *wait_list, cl_event *event) {
    if (plan == NULL) return CLBN_ERROR_INVALID_ARGUMENT;
    CHECK(args != NULL, plan->device, CLBN_ERROR_INVALID_ARGUMENT, "args is NULL");
    CHECK(plan->activation == CLBN_IDENTITY && !plan->residual && !plan->mask, plan->device, CLBN_ERROR_UNSUPPORTED,
          "the plan has an activation or a residual, which cannot be folded into a weight; make one without");
    clbn_run run = clbn_run_of(&fold, queue, n_wait, wait_list, event);
    run.buffers[CLBN_X] = args->weight;
    run.buffers[CLBN_Y] = args->folded_weight;
    run.buffers[CLBN_GAMMA] = args->gamma;
    run.buffers[CLBN_BETA] = args->beta;
    run.buffers[CLBN_RUNNING_MEAN] = args->running_mean;
    run.buffers[CLBN_RUNNING_VAR] = args->running_var;
    run.buffers[CLBN_BIAS] = args->bias;
    run.buffers[CLBN_FOLDED_BIAS] = args->folded_bias;
    return clbn_enter(plan, &run);
}
