/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of making a plan: a variant that has not yet run on its device, with the plan's kinds, is first tried on a small problem
 * whose answer the CPU path knows. Where a driver gets it wrong the next variant is taken.
 * It must not know what a variant is: the backend says which sizes show all of it, and remembers.
 */
#include "trial.h"

#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------------------------------------------------- the batch */

static clbn_forward_args forward_args(const clbn_problem *p, const clbn_solver *s) {
    void *const *a = s->arrays;
    clbn_forward_args args = {.x = clbn_host(a[X]),
                              .y = clbn_host(a[Y]),
                              .gamma = clbn_host(a[GAMMA]),
                              .beta = clbn_host(a[BETA]),
                              .saved_mean = clbn_host(a[MEAN]),
                              .saved_mean_lo = clbn_host(a[MEAN_LO]),
                              .saved_var = clbn_host(a[VAR]),
                              .saved_inv_std = clbn_host(a[INV_STD]),
                              .update_weight = 0.5};
    if (p->config.residual) args.residual = clbn_host(a[RESIDUAL]);
    if (p->config.mask) args.mask = clbn_host(a[KEPT]);
    return args;
}

static clbn_status forward(const clbn_problem *p, const clbn_solver *s) {
    void *const *a = s->arrays;
    clbn_forward_args args = {.x = clbn_host(a[X]),
                              .y = clbn_host(a[Z]),
                              .gamma = clbn_host(a[GAMMA]),
                              .beta = clbn_host(a[BETA]),
                              .running_mean = clbn_host(a[MEAN_GIVEN]),
                              .running_var = clbn_host(a[VAR_GIVEN])};
    if (p->config.residual) args.residual = clbn_host(a[RESIDUAL]);
    TRY(clbn_forward_inference(s->plan, NULL, &args, 0, NULL, NULL));
    if (clbn_problem_is_integer(p)) return CLBN_SUCCESS;
    args = forward_args(p, s);
    args.running_mean = clbn_host(a[RUNNING_MEAN]);
    args.running_var = clbn_host(a[RUNNING_VAR]);
    return clbn_forward_training(s->plan, NULL, &args, 0, NULL, NULL);
}

/* What both sums and gradients are made of. */
static clbn_backward_args backward_args(const clbn_problem *p, const clbn_solver *s) {
    void *const *a = s->arrays;
    clbn_backward_args args = {.dy = clbn_host(a[DY]),
                               .x = clbn_host(a[X]),
                               .gamma = clbn_host(a[GAMMA]),
                               .beta = clbn_host(a[BETA]),
                               .dgamma = clbn_host(a[DGAMMA]),
                               .dbeta = clbn_host(a[DBETA]),
                               .saved_mean = clbn_host(a[MEAN]),
                               .saved_mean_lo = clbn_host(a[MEAN_LO]),
                               .saved_var = clbn_host(a[VAR]),
                               .saved_inv_std = clbn_host(a[INV_STD])};
    if (p->config.mask) args.mask = clbn_host(a[KEPT]);
    if (p->config.residual) args.residual = clbn_host(a[RESIDUAL]);
    return args;
}

static clbn_status gradients(const clbn_problem *p, const clbn_solver *s, clbn_backward_args args) {
    args.dx = clbn_host(s->arrays[DX]);
    if (p->config.residual) args.dresidual = clbn_host(s->arrays[DRESIDUAL]);
    return clbn_backward_training(s->plan, NULL, &args, 0, NULL, NULL);
}

static clbn_status backward(const clbn_problem *p, const clbn_solver *s) {
    return clbn_problem_is_integer(p) ? CLBN_SUCCESS : gradients(p, s, backward_args(p, s));
}

/* --------------------------------------------------------------------------------------- again, by what other calls launch
 *
 * The batch is normalized as one of three that are alike: two of the three parts are merged before. */
enum { ALIKE = 3 };

typedef clbn_status merge(const clbn_plan *, cl_command_queue, const clbn_merge_args *, cl_uint, const cl_event *, cl_event *);

/* From one part to two: itself, and what two of it make. */
static clbn_status merge_twins(const clbn_solver *s, merge *how) {
    void *const *a = s->arrays;
    const size_t bytes = CLBN_PART_REALS * s->plan->shape.channels * clbn_dtype_bytes(s->plan->real_type);
    char *second = (char *)a[PARTS] + bytes;
    uint64_t *counts = a[COUNTS];
    memcpy(second, a[PARTS], bytes);
    counts[1] = counts[0];
    const clbn_merge_args args = {.parts = clbn_host(a[PARTS]),
                                  .counts = clbn_host(counts),
                                  .part_count = 2,
                                  .part = clbn_host(a[MERGED]),
                                  .count = clbn_host(&counts[2])};
    TRY(how(s->plan, NULL, &args, 0, NULL, NULL));
    memcpy(second, a[MERGED], bytes);
    counts[1] = counts[2];
    return CLBN_SUCCESS;
}

static clbn_status forward_by_parts(const clbn_problem *p, const clbn_solver *s) {
    void *const *a = s->arrays;
    const clbn_moments_part_args part = {.x = clbn_host(a[X]), .part = clbn_host(a[PARTS]), .count = clbn_host(a[COUNTS])};
    TRY(clbn_moments_part(s->plan, NULL, &part, 0, NULL, NULL));
    TRY(merge_twins(s, clbn_moments_merge));
    clbn_forward_args args = forward_args(p, s);
    args.parts = clbn_host(a[PARTS]), args.counts = clbn_host(a[COUNTS]), args.part_count = 2;
    TRY(clbn_forward_training(s->plan, NULL, &args, 0, NULL, NULL));
    const clbn_update_args update = {.mean = clbn_host(a[MEAN]),
                                     .var = clbn_host(a[VAR]),
                                     .running_mean = clbn_host(a[RUNNING_MEAN]),
                                     .running_var = clbn_host(a[RUNNING_VAR]),
                                     .update_weight = 0.5,
                                     .count = p->values};
    return clbn_update_running(s->plan, NULL, &update, 0, NULL, NULL);
}

/* Where inference put its y. */
static clbn_status fold(const clbn_problem *p, const clbn_solver *s) {
    void *const *a = s->arrays;
    const clbn_fold_args args = {.weight = clbn_host(a[X]),
                                 .bias = clbn_host(a[BETA]),
                                 .gamma = clbn_host(a[GAMMA]),
                                 .beta = clbn_host(a[BETA]),
                                 .running_mean = clbn_host(a[MEAN_GIVEN]),
                                 .running_var = clbn_host(a[VAR_GIVEN]),
                                 .folded_weight = clbn_host(a[Z]),
                                 .folded_bias = clbn_host(a[FOLDED_BIAS])};
    if (p->config.activation != CLBN_IDENTITY || p->config.residual || p->config.mask) return CLBN_SUCCESS;
    return clbn_fold(s->plan, NULL, &args, 0, NULL, NULL);
}

static clbn_status backward_by_parts(const clbn_problem *p, const clbn_solver *s) {
    clbn_backward_args args = backward_args(p, s);
    args.part = clbn_host(s->arrays[PARTS]), args.count = clbn_host(s->arrays[COUNTS]);
    TRY(clbn_backward_part(s->plan, NULL, &args, 0, NULL, NULL));
    TRY(merge_twins(s, clbn_backward_merge));
    args = backward_args(p, s);
    args.parts = clbn_host(s->arrays[PARTS]), args.counts = clbn_host(s->arrays[COUNTS]), args.part_count = 2;
    TRY(gradients(p, s, args));
    return fold(p, s);
}

/* ------------------------------------------------------------------------------------------------------------ a trial */

/* Inputs are made once, and are by_cpu's; each solver has its outputs. */
static clbn_status allocate(clbn_problem *p, const clbn_device *device) {
    for (int array = 0; array < ARRAYS; array++) {
        const bool tensor = array <= DY || (array >= Y && array <= DRESIDUAL);
        size_t bytes = (tensor ? p->elements * p->spread : p->dims[1]) * sizeof(double);
        if (array == PARTS || array == MERGED) bytes *= 2 * CLBN_PART_REALS;
        if (array == COUNTS) bytes = ALIKE * sizeof(uint64_t);
        if (array == KEPT) bytes = clbn_max(p->by_cpu.plan->mask_bytes, p->by_device.plan->mask_bytes) + 1;
        p->by_cpu.arrays[array] = calloc(1, bytes);
        p->by_device.arrays[array] = array < INPUTS ? p->by_cpu.arrays[array] : calloc(1, bytes);
        CHECK(p->by_cpu.arrays[array] && p->by_device.arrays[array], device, CLBN_ERROR_OUT_OF_HOST_MEMORY,
              "no host memory for a plan's trial");
    }
    return CLBN_SUCCESS;
}

static void release(clbn_problem *p) {
    for (int array = 0; array < ARRAYS; array++) {
        if (array >= INPUTS) free(p->by_device.arrays[array]);
        free(p->by_cpu.arrays[array]);
    }
    clbn_plan_destroy(p->by_device.plan);
    clbn_plan_destroy(p->by_cpu.plan);
}

/* A plan of the CPU path has no variants, and does without the expressions of an activation that it does not judge. */
static clbn_status make_plans(clbn_problem *p, clbn_device *device, clbn_device *cpu) {
    TRY(clbn_plan_make(device, &p->config, true, &p->by_device.plan));
    clbn_config config = p->config;
    config.variant = NULL;
    if (config.activation == CLBN_CUSTOM) config.activation = CLBN_IDENTITY;
    return clbn_plan_make(cpu, &config, true, &p->by_cpu.plan);
}

typedef clbn_status solution(const clbn_problem *, const clbn_solver *);

/* Each time by other numbers: what an earlier call left somewhere must not look like an answer. */
static clbn_status solve(clbn_problem *p, solution *forwards, solution *backwards, bool *right) {
    clbn_problem_fill(p);
    TRY(forwards(p, &p->by_cpu));
    clbn_problem_avoid_kinks(p);
    TRY(backwards(p, &p->by_cpu));
    TRY(forwards(p, &p->by_device));
    TRY(backwards(p, &p->by_device));
    *right = clbn_problem_is_right(p);
    return CLBN_SUCCESS;
}

static clbn_status solve_all(clbn_problem *p, bool *right) {
    TRY(solve(p, forward, backward, right));
    if (!*right || clbn_problem_is_integer(p)) return CLBN_SUCCESS;
    p->values *= ALIKE;
    return solve(p, forward_by_parts, backward_by_parts, right);
}

/* While a variant is tried what stops it is a notice: the next one may do. */
static void as_notice(void *user_data, clbn_status status, cl_int native, const char *sentence) {
    const clbn_device *device = user_data;
    (void)status;
    clbn_tell(device, CLBN_SUCCESS, native, "a trial: %s", sentence);
}

/* One problem. Fails where there was no host memory for it, which says nothing of the variant. */
static clbn_status try_problem(const clbn_plan *plan, const clbn_trial *trial, unsigned which, bool *right) {
    const clbn_device *device = plan->device;
    clbn_device quiet = {.backend = device->backend, .message = as_notice, .user_data = plan->device, .info = device->info};
    clbn_device cpu = {.message = as_notice, .user_data = plan->device};
    clbn_problem p = {.elements = 0};
    quiet.state = device->state;
    atomic_init(&quiet.references, 1); /* this function's: plans come and go */
    atomic_init(&cpu.references, 1);
    TRY(clbn_cpu_device_open(&cpu, false));
    clbn_problem_describe(&p, plan, trial, which);
    clbn_status status = make_plans(&p, &quiet, &cpu);
    if (status == CLBN_SUCCESS) status = allocate(&p, &quiet);
    *right = false;
    if (status == CLBN_SUCCESS) status = solve_all(&p, right);
    *right = *right && status == CLBN_SUCCESS;
    release(&p);
    cpu.backend->device_close(&cpu);
    CHECK(status != CLBN_ERROR_OUT_OF_HOST_MEMORY, device, status, "no host memory to try variant %s", plan->info.variant);
    return CLBN_SUCCESS;
}

/* Is the plan's variant right on its device? Tried once a device, variant and kinds. */
static clbn_status prove(const clbn_plan *plan, bool *right) {
    const clbn_backend *backend = plan->device->backend;
    clbn_trial trial;
    *right = true;
    if (backend->trial == NULL || plan->device->skip_trials || plan->shape.elements == 0) return CLBN_SUCCESS;
    backend->trial(plan, &trial);
    if (trial.verdict == CLBN_UNTRIED) {
        for (unsigned k = 0; k < CLBN_TRIAL_PROBLEMS && *right; k++) TRY(try_problem(plan, &trial, k, right));
        trial.verdict = *right ? CLBN_RIGHT : CLBN_WRONG;
        backend->remember(plan, trial.verdict);
    }
    *right = trial.verdict == CLBN_RIGHT;
    return CLBN_SUCCESS;
}

clbn_status clbn_plan_create(clbn_device *device, const clbn_config *config, clbn_plan **plan) {
    for (;;) {
        bool right = false;
        TRY(clbn_plan_make(device, config, false, plan));
        const clbn_status status = prove(*plan, &right);
        if (right && status == CLBN_SUCCESS) return CLBN_SUCCESS;
        const char *variant = (*plan)->info.variant; /* a constant of the backend's */
        clbn_plan_destroy(*plan);
        *plan = NULL;
        TRY(status);
        CHECK(config->variant == NULL, device, CLBN_ERROR_UNSUPPORTED,
              "variant %s gives wrong results on %s; its driver is %s, a known problem showed it", variant, device->info.device,
              device->info.driver);
        clbn_tell(device, CLBN_SUCCESS, 0, "variant %s gives wrong results on %s: passed by", variant, device->info.device);
    }
}
