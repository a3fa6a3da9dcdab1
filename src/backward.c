/* SPDX-License-Identifier: Apache-2.0
 *
 * The public run functions, backward: which inputs a gradient needs is decided here.
 */
#include "internal.h"

#define USE(slot, name, access, required) [slot] = {name, access, required}
#define BACKWARD_USES                                                                                              \
    USE(CLBN_DY, "dy", CLBN_READ, true), USE(CLBN_X, "x", CLBN_READ, true), USE(CLBN_DX, "dx", CLBN_WRITE, false), \
        USE(CLBN_DRESIDUAL, "dresidual", CLBN_WRITE, false), USE(CLBN_DGAMMA, "dgamma", CLBN_WRITE, false),        \
        USE(CLBN_DBETA, "dbeta", CLBN_WRITE, false), USE(CLBN_RESIDUAL, "residual", CLBN_READ, false),             \
        USE(CLBN_MASK, "mask", CLBN_READ, false), USE(CLBN_GAMMA, "gamma", CLBN_READ, false),                      \
        USE(CLBN_BETA, "beta", CLBN_READ, false)
#define SAVED_USES                                                                                        \
    USE(CLBN_MEAN, "saved_mean", CLBN_READ, false), USE(CLBN_MEAN_LO, "saved_mean_lo", CLBN_READ, false), \
        USE(CLBN_VAR, "saved_var", CLBN_READ, false), USE(CLBN_INV_STD, "saved_inv_std", CLBN_READ, false)

static const clbn_verb training = {
    "clbn_backward_training",
    CLBN_BACKWARD,
    CLBN_OF_BATCH,
    {BACKWARD_USES, SAVED_USES, USE(CLBN_PARTS, "parts", CLBN_READ, false), USE(CLBN_COUNTS, "counts", CLBN_READ, false)}};

static const clbn_verb inference = {"clbn_backward_inference",
                                    CLBN_BACKWARD,
                                    CLBN_OF_POPULATION,
                                    {BACKWARD_USES, USE(CLBN_RUNNING_MEAN, "running_mean", CLBN_READ, true),
                                     USE(CLBN_RUNNING_VAR, "running_var", CLBN_READ, true)}};

static const clbn_verb part = {
    "clbn_backward_part",
    CLBN_BACKWARD_PART,
    CLBN_OF_BATCH,
    {BACKWARD_USES, SAVED_USES, USE(CLBN_PART, "part", CLBN_WRITE, true), USE(CLBN_COUNT, "count", CLBN_WRITE, true)}};

/* Either all that a gradient needs of the saved statistics, or nothing of them. */
static void need_saved(const clbn_plan *plan, clbn_run *run, bool required) {
    const bool outside = plan->epsilon_rule == CLBN_EPSILON_OUTSIDE;
    bool any = required;
    for (clbn_slot slot = CLBN_MEAN; slot <= CLBN_INV_STD; slot++) any = any || clbn_has(run, slot);
    run->uses[CLBN_MEAN].required = any;
    run->uses[outside ? CLBN_VAR : CLBN_INV_STD].required = any;
}

static clbn_status check_gradients(const clbn_plan *plan, clbn_run *run) {
    static const struct {
        clbn_slot slot;
        unsigned bit;
    } gradients[] = {{CLBN_DX, CLBN_ACCUMULATE_DX},
                     {CLBN_DGAMMA, CLBN_ACCUMULATE_DGAMMA},
                     {CLBN_DBETA, CLBN_ACCUMULATE_DBETA},
                     {CLBN_DRESIDUAL, CLBN_ACCUMULATE_DRESIDUAL}};
    const unsigned known = CLBN_ACCUMULATE_DX | CLBN_ACCUMULATE_DGAMMA | CLBN_ACCUMULATE_DBETA | CLBN_ACCUMULATE_DRESIDUAL;
    CHECK((run->accumulate & ~known) == 0, plan->device, CLBN_ERROR_INVALID_ARGUMENT,
          "accumulate is 0x%x; it may hold the bits CLBN_ACCUMULATE_*, 0x%x", run->accumulate, known);
    bool any = run->operation == CLBN_BACKWARD_PART;
    for (size_t i = 0; i < sizeof gradients / sizeof *gradients; i++) {
        any = any || clbn_has(run, gradients[i].slot);
        if (run->accumulate & gradients[i].bit) run->uses[gradients[i].slot].access = CLBN_UPDATE;
    }
    CHECK(any, plan->device, CLBN_ERROR_MISSING_BUFFER,
          "dx, dgamma, dbeta and dresidual are all absent; at least one must be given");
    return CLBN_SUCCESS;
}

static clbn_status check_absent(const clbn_plan *plan, const char *name, const clbn_buffer *buffer, const char *instead) {
    CHECK(buffer->kind == CLBN_BUFFER_ABSENT, plan->device, CLBN_ERROR_INVALID_ARGUMENT, "%s is given; it belongs to %s", name,
          instead);
    return CLBN_SUCCESS;
}

static clbn_status backward(const clbn_verb *verb, const clbn_plan *plan, cl_command_queue queue, const clbn_backward_args *args,
                            cl_uint n_wait, const cl_event *wait_list, cl_event *event) {
    if (plan == NULL) return CLBN_ERROR_INVALID_ARGUMENT;
    CHECK(args != NULL, plan->device, CLBN_ERROR_INVALID_ARGUMENT, "args is NULL");
    const bool of_batch = verb->statistics == CLBN_OF_BATCH, whole = verb->operation == CLBN_BACKWARD;
    clbn_run run = clbn_run_of(verb, queue, n_wait, wait_list, event);
    run.buffers[CLBN_DY] = args->dy;
    run.buffers[CLBN_X] = args->x;
    run.buffers[CLBN_DGAMMA] = args->dgamma;
    run.buffers[CLBN_DBETA] = args->dbeta;
    run.buffers[CLBN_GAMMA] = args->gamma;
    run.buffers[CLBN_BETA] = args->beta;
    run.buffers[CLBN_RESIDUAL] = args->residual;
    run.buffers[CLBN_MASK] = args->mask;
    run.accumulate = args->accumulate;
    run.workspace = args->workspace;
    if (of_batch) {
        run.buffers[CLBN_MEAN] = args->saved_mean;
        run.buffers[CLBN_MEAN_LO] = args->saved_mean_lo;
        run.buffers[CLBN_VAR] = args->saved_var;
        run.buffers[CLBN_INV_STD] = args->saved_inv_std;
    } else {
        run.buffers[CLBN_RUNNING_MEAN] = args->running_mean;
        run.buffers[CLBN_RUNNING_VAR] = args->running_var;
    }
    if (whole) {
        TRY(check_absent(plan, "part", &args->part, "clbn_backward_part"));
        TRY(check_absent(plan, "count", &args->count, "clbn_backward_part"));
        run.buffers[CLBN_DX] = args->dx;
        run.buffers[CLBN_DRESIDUAL] = args->dresidual;
        run.buffers[CLBN_PARTS] = of_batch ? args->parts : (clbn_buffer){0};
        run.buffers[CLBN_COUNTS] = of_batch ? args->counts : (clbn_buffer){0};
        run.part_count = of_batch ? args->part_count : 0;
    } else {
        TRY(check_absent(plan, "dx", &args->dx, "clbn_backward_training"));
        TRY(check_absent(plan, "dresidual", &args->dresidual, "clbn_backward_training"));
        TRY(check_absent(plan, "parts", &args->parts, "clbn_backward_training"));
        TRY(check_absent(plan, "counts", &args->counts, "clbn_backward_training"));
        CHECK(args->part_count == 0, plan->device, CLBN_ERROR_INVALID_ARGUMENT,
              "part_count is %zu; it belongs to clbn_backward_training", args->part_count);
        run.buffers[CLBN_PART] = args->part;
        run.buffers[CLBN_COUNT] = args->count;
    }
    TRY(clbn_check_fused(plan, &run));
    TRY(clbn_check_parts(plan, &run));
    TRY(check_gradients(plan, &run));
    if (of_batch) need_saved(plan, &run, whole ? clbn_has(&run, CLBN_PARTS) : plan->shape.elements != 0);
    run.uses[CLBN_X].required = of_batch || clbn_has(&run, CLBN_DGAMMA) || clbn_recomputes(plan);
    run.uses[CLBN_RESIDUAL].required = plan->residual && clbn_recomputes(plan);
    run.uses[CLBN_MASK].required = plan->mask && plan->shape.elements != 0;
    return clbn_enter(plan, &run);
}

clbn_status clbn_backward_training(const clbn_plan *plan, cl_command_queue queue, const clbn_backward_args *args, cl_uint n_wait,
                                   const cl_event *wait_list, cl_event *event) {
    return backward(&training, plan, queue, args, n_wait, wait_list, event);
}

clbn_status clbn_backward_inference(const clbn_plan *plan, cl_command_queue queue, const clbn_backward_args *args, cl_uint n_wait,
                                    const cl_event *wait_list, cl_event *event) {
    return backward(&inference, plan, queue, args, n_wait, wait_list, event);
}

clbn_status clbn_backward_part(const clbn_plan *plan, cl_command_queue queue, const clbn_backward_args *args, cl_uint n_wait,
                               const cl_event *wait_list, cl_event *event) {
    return backward(&part, plan, queue, args, n_wait, wait_list, event);
}
