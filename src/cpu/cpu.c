/* SPDX-License-Identifier: Apache-2.0
 *
 * The CPU path: the fallback where there is no OpenCL device, and the oracle that devices are compared with. Everything is
 * computed in double and rounded once.
 *
 * Work is cut into chunks by the shape alone and merged in index order, so the bits do not depend on the number of threads.
 * A tensor is seen as planes (contiguous runs of inner values, stats a channel at a time) or, where inner is small, as a
 * matrix whose rows are channels * inner wide and whose columns are summed side by side.
 * Formulas: docs/semantics.md.
 */
#include "cpu/loops.h"
#include "internal.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Values a chunk holds, about; columns a chunk is wide; below how many values a second thread costs more than it brings. */
enum { CHUNK = 65536, TILE = CLBN_CPU_MOST_COLUMNS, ALONE = 65536 };
/* Planes shorter than this are columns, if there are enough rows of them. */
enum { SHORT_PLANE = 16 };

typedef struct cpu_plan {
    const clbn_cpu_loops *loops;
    bool columns;
    size_t chunks;             /* a channel's (planes), or of all rows (columns) */
    size_t runs, pieces;       /* planes: a chunk is runs planes, or one of pieces parts of a plane */
    size_t width, rows, tiles; /* columns: row length, rows a chunk, tiles a row */
    bool stream;               /* does y leave the caches anyway? */
} cpu_plan;

/* ------------------------------------------------------------------------------------------------------------- device */

static const clbn_cpu_loops *best_loops(bool portable) {
#if defined(__x86_64__) || defined(__i386__)
    if (!portable && clbn_cpu_loops_avx512 && __builtin_cpu_supports("avx512f")) return clbn_cpu_loops_avx512;
    if (!portable && clbn_cpu_loops_avx2 && __builtin_cpu_supports("avx2")) return clbn_cpu_loops_avx2;
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

static void cut(cpu_plan *state, const clbn_shape *shape) {
    state->columns = shape->inner == 1 || (shape->inner < SHORT_PLANE && shape->outer >= SHORT_PLANE);
    if (state->columns) {
        state->width = shape->channels * shape->inner;
        state->rows = clbn_round_up(clbn_max(CHUNK / clbn_max(state->width, 1), 1), 16);
        state->chunks = clbn_ceil_div(shape->outer, state->rows);
        state->tiles = clbn_ceil_div(state->width, TILE);
    } else {
        state->pieces = clbn_ceil_div(shape->inner, CHUNK);
        state->runs = shape->inner && state->pieces == 1 ? CHUNK / shape->inner : 1;
        state->chunks = state->pieces > 1 ? shape->outer * state->pieces : clbn_ceil_div(shape->outer, state->runs);
    }
}

static clbn_status plan_open(clbn_plan *plan, const clbn_config *config) {
    CHECK(config->variant == NULL, plan->device, CLBN_ERROR_UNSUPPORTED,
          "variant is \"%s\"; the CPU path has no variants to force", config->variant);
    CHECK(plan->x_type == CLBN_F32 && plan->y_type == CLBN_F32 && plan->activation == CLBN_IDENTITY && !plan->residual,
          plan->device, CLBN_ERROR_UNSUPPORTED, "this plan is not there yet");
    cpu_plan *state = calloc(1, sizeof *state);
    CHECK(state != NULL, plan->device, CLBN_ERROR_OUT_OF_HOST_MEMORY, "no host memory for a plan");
    state->loops = plan->device->state;
    cut(state, &plan->shape);
    const size_t bytes = plan->shape.elements * sizeof(float), cache = last_level_cache_bytes();
    state->stream = bytes > cache / 2;
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

/* ------------------------------------------------------------------------------------------------------- one channel */

static float *pointer(const clbn_run *run, clbn_slot slot) {
    const clbn_buffer *buffer = &run->buffers[slot];
    return buffer->kind == CLBN_BUFFER_ABSENT ? NULL : (float *)buffer->host + buffer->offset;
}

static double inverse_deviation(const clbn_plan *plan, double var) {
    const double deviation = plan->epsilon_rule == CLBN_EPSILON_INSIDE ? sqrt(var + plan->epsilon) : sqrt(var) + plan->epsilon;
    return deviation == 0 ? 0 : 1 / deviation;
}

/* The weights 0 and 1 are exact, whatever the other value is. */
static double moved(double running, double batch, double weight) {
    return weight == 0 ? running : weight == 1 ? batch : (1 - weight) * running + weight * batch;
}

static void update_running(const clbn_plan *plan, const clbn_run *run, size_t c, const clbn_cpu_moments *m) {
    float *mean = pointer(run, CLBN_RUNNING_MEAN), *var = pointer(run, CLBN_RUNNING_VAR);
    const bool unbiased = plan->running_variance == CLBN_RUNNING_UNBIASED;
    if (mean) mean[c] = (float)moved(mean[c], m->mean, run->update_weight);
    if (var && !(unbiased && m->count == 1)) var[c] = (float)moved(var[c], m->m2 / (m->count - unbiased), run->update_weight);
}

/* Writes channel c's statistics, updates the running ones, and gives the constants of its affine step. m is not used
 * where the population's statistics normalize. */
static clbn_cpu_constants finish_channel(const clbn_plan *plan, const clbn_run *run, size_t c, const clbn_cpu_moments *m) {
    const bool of_batch = run->statistics == CLBN_OF_BATCH;
    const float *gamma = pointer(run, CLBN_GAMMA), *beta = pointer(run, CLBN_BETA);
    const double mean = of_batch ? m->mean : (double)pointer(run, CLBN_RUNNING_MEAN)[c];
    const double var = of_batch ? m->m2 / m->count : (double)pointer(run, CLBN_RUNNING_VAR)[c];
    const double inv_std = inverse_deviation(plan, var);
    float *out;
    if ((out = pointer(run, CLBN_MEAN)) != NULL) out[c] = (float)mean;
    if ((out = pointer(run, CLBN_MEAN_LO)) != NULL) out[c] = (float)(mean - (double)(float)mean);
    if ((out = pointer(run, CLBN_VAR)) != NULL) out[c] = (float)var;
    if ((out = pointer(run, CLBN_INV_STD)) != NULL) out[c] = (float)inv_std;
    if (of_batch) update_running(plan, run, c, m);
    return (clbn_cpu_constants){mean, gamma ? (double)gamma[c] * inv_std : inv_std, beta ? (double)beta[c] : 0};
}

/* ------------------------------------------------------------------------------------------------------------- planes */

typedef struct piece {
    size_t start, runs, stride, length;
} piece;

/* Chunk k of channel c. */
static piece plane_piece(const clbn_plan *plan, size_t c, size_t k) {
    const cpu_plan *state = plan->state;
    const clbn_shape *s = &plan->shape;
    const size_t stride = s->channels * s->inner;
    if (state->pieces > 1) {
        const size_t i = k % state->pieces * CHUNK;
        return (piece){k / state->pieces * stride + c * s->inner + i, 1, stride, clbn_min(CHUNK, s->inner - i)};
    }
    const size_t o = k * state->runs;
    return (piece){o * stride + c * s->inner, clbn_min(state->runs, s->outer - o), stride, s->inner};
}

static clbn_cpu_moments plane_moments(const clbn_plan *plan, const float *x, size_t c, size_t k) {
    const piece p = plane_piece(plan, c, k);
    return ((const cpu_plan *)plan->state)->loops->planes_moments(x + p.start, p.runs, p.stride, p.length);
}

static void plane_apply(const clbn_plan *plan, const float *x, float *y, size_t c, size_t k, clbn_cpu_constants constants) {
    const cpu_plan *state = plan->state;
    const piece p = plane_piece(plan, c, k);
    state->loops->planes_apply(x + p.start, y + p.start, p.runs, p.stride, p.length, constants, state->stream && x != y);
}

/* y in memory's order, where every channel's constants are known. */
static void planes_apply(const clbn_plan *plan, const float *x, float *y, const clbn_cpu_constants *constants) {
    const cpu_plan *state = plan->state;
    const clbn_shape *s = &plan->shape;
    if (state->pieces > 1) {
        const size_t chunks = state->chunks;
#pragma omp parallel for schedule(guided) if (s->elements > ALONE)
        for (size_t t = 0; t < s->channels * chunks; t++) plane_apply(plan, x, y, t / chunks, t % chunks, constants[t / chunks]);
        return;
    }
    const size_t planes = s->outer * s->channels, each = CHUNK / s->inner;
#pragma omp parallel for schedule(guided) if (s->elements > ALONE)
    for (size_t first = 0; first < planes; first += each) {
        for (size_t plane = first; plane < clbn_min(first + each, planes); plane++) {
            const size_t start = plane * s->inner;
            state->loops->planes_apply(x + start, y + start, 1, s->inner, s->inner, constants[plane % s->channels],
                                       state->stream && x != y);
        }
    }
}

/* A thread takes a channel from its moments to its y, so that the second read of x comes from a cache. */
static void planes_by_channel(const clbn_plan *plan, const clbn_run *run, const float *x, float *y) {
    const cpu_plan *state = plan->state;
#pragma omp parallel for schedule(guided) if (plan->shape.elements > ALONE)
    for (size_t c = 0; c < plan->shape.channels; c++) {
        clbn_cpu_moments m = {0, 0, 0};
        for (size_t k = 0; k < state->chunks; k++) m = clbn_cpu_merge(m, plane_moments(plan, x, c, k));
        const clbn_cpu_constants constants = finish_channel(plan, run, c, &m);
        for (size_t k = 0; k < state->chunks && y; k++) plane_apply(plan, x, y, c, k, constants);
    }
}

/* Threads share each channel's chunks: for few, large channels, and where the population's statistics are at hand. */
static clbn_status planes_by_chunk(const clbn_plan *plan, const clbn_run *run, const float *x, float *y) {
    const cpu_plan *state = plan->state;
    const bool of_batch = run->statistics == CLBN_OF_BATCH;
    const size_t channels = plan->shape.channels, chunks = state->chunks, tasks = of_batch ? channels * chunks : 1;
    clbn_cpu_moments *parts = malloc(tasks * sizeof *parts);
    clbn_cpu_constants *constants = malloc(channels * sizeof *constants);
    clbn_status status = CLBN_SUCCESS;
    if (parts == NULL || constants == NULL) {
        status = clbn_tell(plan->device, CLBN_ERROR_OUT_OF_HOST_MEMORY, 0, "no host memory for %zu partial statistics", tasks);
        goto out;
    }
    if (of_batch) {
#pragma omp parallel for schedule(guided)
        for (size_t t = 0; t < tasks; t++) parts[t] = plane_moments(plan, x, t / chunks, t % chunks);
    }
    for (size_t c = 0; c < channels; c++) {
        clbn_cpu_moments m = {0, 0, 0};
        if (of_batch) {
            for (size_t k = 0; k < chunks; k++) m = clbn_cpu_merge(m, parts[c * chunks + k]);
        }
        constants[c] = finish_channel(plan, run, c, &m);
    }
    if (y) planes_apply(plan, x, y, constants);
out:
    free(constants);
    free(parts);
    return status;
}

/* ------------------------------------------------------------------------------------------------------------ columns */

/* Moments of every chunk's columns into mean and m2 ([chunk][width]), merged into the first chunk's. */
static void columns_reduce(const clbn_plan *plan, const float *x, double *mean, double *m2) {
    const cpu_plan *state = plan->state;
    const size_t outer = plan->shape.outer, width = state->width, tiles = state->tiles;
#pragma omp parallel if (plan->shape.elements > ALONE)
    {
#pragma omp for schedule(guided)
        for (size_t t = 0; t < state->chunks * tiles; t++) {
            const size_t k = t / tiles, r = k * state->rows, c = t % tiles * TILE, columns = clbn_min(TILE, width - c);
            state->loops->columns_moments(x + r * width + c, clbn_min(state->rows, outer - r), width, columns,
                                          mean + k * width + c, m2 + k * width + c);
        }
#pragma omp for schedule(guided)
        for (size_t tile = 0; tile < tiles; tile++) {
            const size_t c = tile * TILE, columns = clbn_min(TILE, width - c);
            for (size_t k = 1; k < state->chunks; k++) {
                const size_t before = k * state->rows, rows = clbn_min(state->rows, outer - before);
                state->loops->columns_merge(columns, (double)before, mean + c, m2 + c, (double)rows, mean + k * width + c,
                                            m2 + k * width + c);
            }
        }
    }
}

/* From each column's moments (in mean and m2) to each column's constants (mean, scale, beta). */
static void columns_finish(const clbn_plan *plan, const clbn_run *run, double *mean, const double *m2, double *scale,
                           double *beta) {
    const size_t inner = plan->shape.inner;
    for (size_t c = 0; c < plan->shape.channels; c++) {
        clbn_cpu_moments m = {0, 0, 0};
        if (run->statistics == CLBN_OF_BATCH) {
            for (size_t i = c * inner; i < (c + 1) * inner; i++) {
                m = clbn_cpu_merge(m, (clbn_cpu_moments){(double)plan->shape.outer, mean[i], m2[i]});
            }
        }
        const clbn_cpu_constants constants = finish_channel(plan, run, c, &m);
        for (size_t i = c * inner; i < (c + 1) * inner; i++) {
            mean[i] = constants.mean;
            scale[i] = constants.scale;
            beta[i] = constants.beta;
        }
    }
}

static void columns_apply(const clbn_plan *plan, const float *x, float *y, const double *mean, const double *scale,
                          const double *beta) {
    const cpu_plan *state = plan->state;
    const size_t outer = plan->shape.outer, width = state->width, tiles = state->tiles;
#pragma omp parallel for schedule(guided) if (plan->shape.elements > ALONE)
    for (size_t t = 0; t < state->chunks * tiles; t++) {
        const size_t r = t / tiles * state->rows, c = t % tiles * TILE, start = r * width + c;
        state->loops->columns_apply(x + start, y + start, clbn_min(state->rows, outer - r), width, clbn_min(TILE, width - c),
                                    mean + c, scale + c, beta + c, state->stream && x != y);
    }
}

static clbn_status columns(const clbn_plan *plan, const clbn_run *run, const float *x, float *y) {
    const cpu_plan *state = plan->state;
    const bool of_batch = run->statistics == CLBN_OF_BATCH;
    const size_t parts = (of_batch ? state->chunks : 1) * state->width;
    double *mean = malloc((2 * parts + 2 * state->width) * sizeof *mean);
    CHECK(mean != NULL, plan->device, CLBN_ERROR_OUT_OF_HOST_MEMORY, "no host memory for %zu partial statistics", parts);
    double *m2 = mean + parts, *scale = m2 + parts, *beta = scale + state->width;
    if (of_batch) columns_reduce(plan, x, mean, m2);
    columns_finish(plan, run, mean, m2, scale, beta);
    if (y) columns_apply(plan, x, y, mean, scale, beta);
    free(mean);
    return CLBN_SUCCESS;
}

/* ------------------------------------------------------------------------------------------------------------ forward */

static clbn_status idle(const clbn_plan *plan, const clbn_run *run) {
    (void)plan, (void)run;
    return CLBN_SUCCESS;
}

static clbn_status run_call(const clbn_plan *plan, const clbn_run *run) {
    CHECK((run->operation == CLBN_FORWARD || run->operation == CLBN_MOMENTS) && !clbn_has(run, CLBN_PARTS), plan->device,
          CLBN_ERROR_UNSUPPORTED, "%s is not there yet", run->name);
    const cpu_plan *state = plan->state;
    const float *x = pointer(run, CLBN_X);
    float *y = pointer(run, CLBN_Y);
    if (state->columns) return columns(plan, run, x, y);
    const size_t threads = (size_t)omp_get_max_threads();
    if (run->statistics == CLBN_OF_POPULATION) return planes_by_chunk(plan, run, x, y);
    if (threads == 1 || plan->shape.elements <= ALONE || plan->shape.channels >= 8 * threads) {
        planes_by_channel(plan, run, x, y);
        return CLBN_SUCCESS;
    }
    return planes_by_chunk(plan, run, x, y);
}

const clbn_backend clbn_cpu_backend = {.name = "cpu",
                                       .device_close = device_close,
                                       .plan_open = plan_open,
                                       .plan_close = plan_close,
                                       .check_queue = check_queue,
                                       .check_buffer = check_buffer,
                                       .run = run_call,
                                       .idle = idle};
