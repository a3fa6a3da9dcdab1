/* SPDX-License-Identifier: Apache-2.0
 *
 * The CPU path: the fallback where there is no OpenCL device, and the oracle that devices are compared with. Everything is
 * computed in double and rounded once. Here: the device, plans, and which steps a call takes.
 */
#include "cpu/cpu.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

/* ------------------------------------------------------------------------------------------------------------- device */

#if defined(__x86_64__) || defined(__i386__)
/* Not every compiler's __builtin_cpu_supports knows it. */
static bool has_f16c(void) {
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C) != 0;
}

static bool has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}

static bool has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && has_f16c();
}
#endif

static const clbn_cpu_loops *best_loops(bool portable) {
#if defined(__x86_64__) || defined(__i386__)
    if (!portable && clbn_cpu_loops_avx512 && has_avx512()) return clbn_cpu_loops_avx512;
    if (!portable && clbn_cpu_loops_avx2 && has_avx2()) return clbn_cpu_loops_avx2;
#endif
    (void)portable;
    return &clbn_cpu_loops_portable;
}

clbn_status clbn_cpu_device_open(clbn_device *device, bool portable) {
    const clbn_cpu_loops *loops = best_loops(portable);
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    clbn_device_info *info = &device->info;
    *info = (clbn_device_info){.name = "cpu",
                               .platform = "clbn",
                               .kind = CLBN_DEVICE_CPU_PATH,
                               .compute_units = (unsigned)omp_get_max_threads(),
                               .memory_bytes = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0,
                               .has_fp64 = 1,
                               .usable = 1};
    snprintf(info->device, sizeof info->device, "CPU path (%s)", loops->name);
    snprintf(info->version, sizeof info->version, "clbn %s", clbn_version());
    device->backend = &clbn_cpu_backend;
    device->state = (void *)(uintptr_t)loops; /* const, static: nothing to free */
    return CLBN_SUCCESS;
}

static void device_close(clbn_device *device) {
    device->state = NULL;
}

/* --------------------------------------------------------------------------------------------------------------- plan */

/* From the kernel, which knows what is shared; glibc's own answer is ten times too large on some processors. */
static size_t last_level_cache_bytes(void) {
    size_t bytes = 0;
    FILE *file = fopen("/sys/devices/system/cpu/cpu0/cache/index3/size", "r");
    if (file) {
        size_t number = 0;
        char unit = '\0';
        if (fscanf(file, "%zu%c", &number, &unit) >= 1) bytes = number << (unit == 'K' ? 10 : unit == 'M' ? 20 : 0);
        fclose(file);
    }
    return bytes ? bytes : (size_t)16 << 20;
}

static clbn_status plan_open(clbn_plan *plan, const clbn_config *config) {
    CHECK(config->variant == NULL, plan->device, CLBN_ERROR_UNSUPPORTED,
          "variant is \"%s\"; the CPU path has no variants to force", config->variant);
    cpu_plan *state = calloc(1, sizeof *state);
    CHECK(state != NULL, plan->device, CLBN_ERROR_OUT_OF_HOST_MEMORY, "no host memory for a plan");
    state->loops = plan->device->state;
    clbn_cpu_cut(plan, state);
    state->activation = (clbn_cpu_activation){(int)plan->activation, plan->slope, plan->low, plan->high};
    state->element_bytes = clbn_max(clbn_dtype_bytes(plan->x_type), clbn_dtype_bytes(plan->y_type));
    state->cache_bytes = last_level_cache_bytes();
    state->stream = plan->shape.elements * state->element_bytes > state->cache_bytes / 16 * 7;
    plan->mask_bytes = plan->mask ? clbn_cpu_mask_bytes(state) : 0;
    plan->info.variant = state->columns ? "cpu-columns" : "cpu-planes";
    plan->state = state;
    return CLBN_SUCCESS;
}

static void plan_close(clbn_plan *plan) {
    free(plan->state);
}

/* -------------------------------------------------------------------------------------------------------------- checks */

static clbn_status check_queue(const clbn_plan *plan, const clbn_run *run) {
    CHECK(run->queue == NULL, plan->device, CLBN_ERROR_INVALID_QUEUE, "queue is given; a plan of the CPU path takes NULL");
    CHECK(run->n_wait == 0 && run->wait_list == NULL && run->event == NULL, plan->device, CLBN_ERROR_INVALID_WAIT_LIST,
          "a wait list or event is given; a plan of the CPU path takes none");
    CHECK(run->workspace.kind == CLBN_BUFFER_ABSENT, plan->device, CLBN_ERROR_WRONG_MEMORY,
          "workspace is given; a plan of the CPU path needs none");
    return CLBN_SUCCESS;
}

static clbn_status check_buffer(const clbn_plan *plan, const char *name, clbn_buffer buffer, size_t element_bytes, size_t bytes,
                                clbn_access access, clbn_region *region) {
    (void)buffer, (void)element_bytes, (void)bytes, (void)access, (void)region;
    return clbn_tell(plan->device, CLBN_ERROR_WRONG_MEMORY, 0, "%s is a cl_mem; a plan of the CPU path takes host pointers only",
                     name);
}

/* -------------------------------------------------------------------------------------------------------------- a call */

double *clbn_cpu_room(size_t doubles) {
    const size_t bytes = clbn_round_up(doubles * sizeof(double), 64);
    double *room = aligned_alloc(64, bytes);
    if (room) memset(room, 0, bytes);
    return room;
}

static bool any(const clbn_run *run, clbn_slot a, clbn_slot b) {
    return clbn_has(run, a) || clbn_has(run, b);
}

static void add_step(cpu_call *call, bool needed, cpu_step step) {
    if (needed) call->steps[call->step_count++] = step;
}

/* Steps of a call on elements; whatever is known before any of them is prepared. */
static void list_steps(cpu_call *call) {
    const clbn_run *run = call->run;
    const bool of_batch = run->statistics == CLBN_OF_BATCH, parts = clbn_has(run, CLBN_PARTS);
    const bool dx = clbn_has(run, CLBN_DX), own = any(run, CLBN_DGAMMA, CLBN_DBETA) || (of_batch && dx);
    switch (run->operation) {
    case CLBN_FORWARD:
        add_step(call, of_batch && !parts, STEP_MOMENTS);
        add_step(call, clbn_has(run, CLBN_Y), STEP_FORWARD);
        break;
    case CLBN_MOMENTS:
    case CLBN_MOMENTS_PART:
        add_step(call, true, STEP_MOMENTS);
        break;
    case CLBN_BACKWARD:
        add_step(call, of_batch && !clbn_has(run, CLBN_MEAN) && (own || clbn_recomputes(call->plan)), STEP_MOMENTS);
        add_step(call, own && !parts, STEP_SUMS);
        add_step(call, any(run, CLBN_DX, CLBN_DRESIDUAL), STEP_BACKWARD);
        break;
    case CLBN_BACKWARD_PART:
        add_step(call, true, STEP_SUMS);
        break;
    case CLBN_FOLD:
        add_step(call, true, STEP_FORWARD);
        break;
    default:
        break;
    }
}

static void prepare(const void *context, size_t range) {
    const cpu_call *call = context;
    const size_t first = range * CLBN_CPU_RANGE;
    clbn_cpu_channels_prepare(call, first, clbn_min(call->plan->shape.channels - first, CLBN_CPU_RANGE));
}

static clbn_status perform(const clbn_plan *plan, const clbn_run *run) {
    const cpu_plan *state = plan->state;
    const size_t channels = plan->shape.channels, pitch = clbn_round_up(channels * state->lanes, CLBN_CPU_LANES) + CLBN_CPU_WRAP;
    cpu_call call = {.plan = plan, .state = state, .run = run};
    if (clbn_has(run, CLBN_PARTS)) call.parts_count = (double)clbn_cpu_parts_count(run);
    if (clbn_has(run, CLBN_PARTS) && call.parts_count == 0 && run->operation == CLBN_FORWARD) return CLBN_SUCCESS;
    double *room = clbn_cpu_room((FIELD_COUNT + 2) * pitch);
    clbn_status status = CLBN_SUCCESS;
    CHECK(room != NULL, plan->device, CLBN_ERROR_OUT_OF_HOST_MEMORY, "no host memory for %zu channels", channels);
    call.var = room + (size_t)FIELD_COUNT * pitch;
    call.inv_std = call.var + pitch;
    for (int f = 0; f < FIELD_COUNT; f++) call.fields[f] = room + (size_t)f * pitch;
    for (int t = 0; t < CLBN_TENSOR_COUNT; t++) call.tensors[t] = clbn_cpu_tensor(&call, (clbn_slot)t);
    if (clbn_has(run, CLBN_MASK)) call.mask = (unsigned char *)run->buffers[CLBN_MASK].host + run->buffers[CLBN_MASK].offset;
    call.sums_of_x = run->statistics == CLBN_OF_BATCH || clbn_has(run, CLBN_DGAMMA);
    if (plan->shape.elements) list_steps(&call);
    clbn_cpu_each(clbn_ceil_div(channels, CLBN_CPU_RANGE), channels > CLBN_CPU_ALONE / 16, prepare, &call);
    if (clbn_has(run, CLBN_COUNT)) clbn_cpu_count_write(run, plan->shape.count);
    if (call.step_count) status = clbn_cpu_perform(&call);
    free(room);
    return status;
}

static clbn_status merge(const clbn_plan *plan, const clbn_run *run) {
    const cpu_step step = run->operation == CLBN_MOMENTS_MERGE ? STEP_MOMENTS : STEP_SUMS;
    for (size_t c = 0; c < plan->shape.channels; c++) {
        const cpu_partial total = clbn_cpu_parts_merge(plan, run, step, c);
        double sums[4];
        for (int k = 0; k < 4; k++) sums[k] = clbn_cpu_partial_sum(step, &total, k);
        const cpu_totals totals = {0, {&sums[0], &sums[1], &sums[2], &sums[3]}};
        clbn_cpu_parts_write(plan, run, c, 1, &totals);
    }
    clbn_cpu_count_write(run, clbn_cpu_parts_count(run));
    return CLBN_SUCCESS;
}

static clbn_status run_call(const clbn_plan *plan, const clbn_run *run) {
    switch (run->operation) {
    case CLBN_MOMENTS_MERGE:
    case CLBN_BACKWARD_MERGE:
        return merge(plan, run);
    case CLBN_UPDATE_RUNNING:
        clbn_cpu_channels_update(plan, run);
        return CLBN_SUCCESS;
    default:
        return perform(plan, run);
    }
}

static clbn_status idle(const clbn_plan *plan, const clbn_run *run) {
    (void)plan, (void)run;
    return CLBN_SUCCESS;
}

const clbn_backend clbn_cpu_backend = {.name = "cpu",
                                       .device_close = device_close,
                                       .plan_open = plan_open,
                                       .plan_close = plan_close,
                                       .check_queue = check_queue,
                                       .check_buffer = check_buffer,
                                       .run = run_call,
                                       .idle = idle};
