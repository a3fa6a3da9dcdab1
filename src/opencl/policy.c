/* SPDX-License-Identifier: Apache-2.0
 *
 * Policy: from three numbers and a device to a variant and to how its work is cut. All cuts depend on the shape, the
 * variant and the device alone, so that the bits do too.
 */
#include "opencl/opencl.h"

#include <string.h>

/* In the order tried; within a kind of device the first that suits is taken, and the last suits all. */
static const clbn_variant variants[] = {
    {"alone-fused-columns", true, true, true},  {"alone-split-columns", true, true, false},
    {"alone-fused-planes", true, false, true},  {"alone-split-planes", true, false, false},
    {"group-fused-columns", false, true, true}, {"group-split-columns", false, true, false},
    {"group-fused-planes", false, false, true}, {"group-split-planes", false, false, false},
};
enum { VARIANTS = sizeof variants / sizeof *variants };

const char *clbn_opencl_variant_name(size_t index) {
    return index < VARIANTS ? variants[index].name : NULL;
}

/* A CPU device's work-item walks 16 wide vectors, and a tile of 256 columns; elsewhere 16 bytes a work-item. */
static const clbn_tile alone_tile = {16, 16, true}, group_tile = {4, 1, false};

enum {
    GROUP = 256,             /* work-items of a group, where the device can */
    COLUMN_LANES = 8,        /* of which this many lie along a row of columns: 128 bytes */
    SMALL = 65536,           /* elements that one launch should do */
    LEAST_ALONE = 16384,     /* elements worth a work-item of a CPU device */
    LEAST_GROUP = 8192,      /* elements worth a work-group */
    ALONE_APPLY = 65536,     /* elements of y worth a work-item of a CPU device */
    FOREIGN_ALONE = 2048,    /* see most_alone */
    LONG_PLANE = 1024,       /* values of a plane worth finding its channel's constants for */
    MOST_CHUNKS = 1024,      /* partial moments of a channel, which one finalize merges */
    SHORT_PLANE = 16,        /* planes below this are summed as columns, given so many rows */
    WIDEST_CHANNEL = 64,     /* columns that may make a channel */
    MOST_GROUPS = 65535,     /* along a dimension of a launch */
    ALONE_CACHE = 512 << 10, /* bytes that stay in a core's cache, half of it */
    GROUP_CACHE = 128 << 10  /* bytes a work-group may hope to find again */
};

static size_t power_of_two_from(size_t n) {
    size_t power = 1;
    while (power < n) power *= 2;
    return power;
}

/* ------------------------------------------------------------------------------------------------------------ choosing */

/* What a work-item that works alone may be given. A CPU's: anything. Elsewhere little: GPUs have watchdogs, and llvmpipe ends a
 * work-item, silently, when its loops have turned 65535 times. */
static size_t most_alone(const clbn_opencl *cl) {
    return cl->whole_vectors ? SIZE_MAX / MOST_CHUNKS : FOREIGN_ALONE;
}

static bool can(const clbn_variant *v, const clbn_shape *s, const clbn_opencl *cl) {
    const bool counts_fit = s->count < (size_t)1 << 31;
    if (s->count / MOST_CHUNKS >= (size_t)1 << 31) return false; /* kernels count a chunk's values in 32 bits */
    if (v->alone && s->count > most_alone(cl) * (v->fused ? 1 : MOST_CHUNKS)) return false;
    if (v->columns && v->fused) return s->inner == 1 && counts_fit;
    if (v->columns) return s->inner <= WIDEST_CHANNEL;
    return !v->fused || counts_fit;
}

/* One launch that takes whole slices: where there are enough of them to go round, and each, read twice, stays in a cache. A CPU
 * device's planes need not: their second read costs the same in a launch of its own. */
static bool suits_fused(const clbn_variant *v, const clbn_shape *s, const clbn_opencl *cl) {
    const size_t tile = !v->columns ? 1 : v->alone ? (size_t)alone_tile.vec * alone_tile.vectors : group_tile.vec * COLUMN_LANES;
    const size_t slice_bytes = s->count * tile * sizeof(float);
    if (s->elements <= SMALL) return true;
    if (s->channels / tile < 4 * cl->compute_units) return false;
    return v->alone ? !v->columns || slice_bytes <= ALONE_CACHE : slice_bytes <= GROUP_CACHE;
}

static bool suits(const clbn_variant *v, const clbn_shape *s, const clbn_opencl *cl) {
    const bool columns = s->inner == 1 || (s->inner < SHORT_PLANE && s->outer >= SHORT_PLANE);
    return v->alone == cl->whole_vectors && v->columns == columns && can(v, s, cl) && (!v->fused || suits_fused(v, s, cl));
}

/* The first variant that suits. Where none can, the general one, for its refusal. */
static const clbn_variant *choose(const clbn_shape *s, const clbn_opencl *cl) {
    for (size_t i = 0; i < VARIANTS; i++) {
        if (suits(&variants[i], s, cl)) return &variants[i];
    }
    return cl->whole_vectors ? &variants[VARIANTS / 2 - 1] : &variants[VARIANTS - 1];
}

static const clbn_variant *named(const char *name) {
    for (size_t i = 0; i < VARIANTS; i++) {
        if (strcmp(variants[i].name, name) == 0) return &variants[i];
    }
    return NULL;
}

void clbn_cl_training_kernels(const clbn_variant *v, const char *names[CLBN_MOST_LAUNCHES + 1]) {
    memset(names, 0, (CLBN_MOST_LAUNCHES + 1) * sizeof *names);
    if (v->fused) {
        names[0] = v->columns ? "fused_columns" : "fused_planes";
    } else {
        names[0] = v->columns ? "moments_columns" : "moments_planes";
        names[1] = "finalize";
        names[2] = clbn_cl_apply_kernel(v);
    }
}

const char *clbn_cl_apply_kernel(const clbn_variant *v) {
    return v->columns ? "apply_columns" : "apply_planes";
}

/* ------------------------------------------------------------------------------------------------------------- cutting */

/* How large a group all the plan's kernels take. */
static clbn_status largest_group(const clbn_plan *plan, const clbn_cl_plan *state, size_t *group) {
    const clbn_opencl *cl = plan->device->state;
    const char *names[CLBN_MOST_LAUNCHES + 2];
    clbn_cl_training_kernels(state->variant, names);
    size_t count = 0;
    while (names[count]) count++;
    names[count++] = clbn_cl_apply_kernel(state->variant);
    *group = clbn_min(GROUP, cl->max_group);
    for (size_t i = 0; i < count; i++) {
        size_t limit = 0;
        cl_int code;
        cl_kernel kernel = clCreateKernel(state->program, names[i], &code);
        if (code != CL_SUCCESS) return clbn_cl_failed(plan->device, "clCreateKernel", code);
        code = clGetKernelWorkGroupInfo(kernel, cl->device, CL_KERNEL_WORK_GROUP_SIZE, sizeof limit, &limit, NULL);
        clReleaseKernel(kernel);
        if (code != CL_SUCCESS) return clbn_cl_failed(plan->device, "clGetKernelWorkGroupInfo", code);
        *group = clbn_max(clbn_min(*group, limit), 1);
    }
    return CLBN_SUCCESS;
}

/* Elements a work-group should take: enough for each of several a compute unit. */
static size_t share(const clbn_shape *s, const clbn_opencl *cl, bool alone) {
    const size_t even = s->elements / (16 * cl->compute_units);
    return alone ? clbn_min(clbn_max(LEAST_ALONE, even), most_alone(cl)) : clbn_max(LEAST_GROUP, even);
}

static clbn_cut cut_planes(const clbn_shape *s, const clbn_opencl *cl, const clbn_cl_plan *state, size_t group) {
    const size_t target = share(s, cl, state->tile.alone), vec = state->tile.vec;
    clbn_cut cut = {1, 1, 1, s->outer, 1, s->inner, 1, clbn_min(s->channels, MOST_GROUPS)};
    if (!state->tile.alone) {
        cut.lx = clbn_min(power_of_two_from(clbn_ceil_div(s->inner, vec)), clbn_min(group, cl->max_items[0]));
        cut.ly = clbn_min(group / cut.lx, cl->max_items[1]);
    }
    if (s->inner > target) {
        const size_t most = clbn_max(MOST_CHUNKS / s->outer, 1);
        cut.pieces = clbn_min(clbn_ceil_div(s->inner, target), most);
        cut.length_each = clbn_round_up(clbn_ceil_div(s->inner, cut.pieces), 64);
        cut.pieces = clbn_ceil_div(s->inner, cut.length_each);
    }
    cut.rows_each = clbn_max(clbn_max(target / (cut.length_each ? cut.length_each : 1), 1), clbn_ceil_div(s->outer, MOST_CHUNKS));
    cut.chunks = clbn_ceil_div(s->outer, cut.rows_each) * cut.pieces;
    cut.groups_x = clbn_min(cut.chunks, MOST_GROUPS);
    return cut;
}

static clbn_cut cut_columns(const clbn_shape *s, const clbn_opencl *cl, const clbn_cl_plan *state, size_t group) {
    const size_t vec = state->tile.vec, width = s->channels * s->inner;
    clbn_cut cut = {1, 1, 1, s->outer, 1, 0, 1, 1};
    if (!state->tile.alone) {
        const size_t room =
            cl->local_bytes / (CLBN_MOMENTS_REALS * sizeof(float) * vec); /* work-items whose columns fit local memory */
        cut.lx =
            clbn_min(clbn_min(power_of_two_from(clbn_ceil_div(width, vec)), COLUMN_LANES), clbn_min(group, cl->max_items[0]));
        cut.ly = clbn_min(clbn_max(clbn_min(group, room) / cut.lx, 1), cl->max_items[1]);
    }
    const size_t tile = cut.lx * vec * state->tile.vectors, target = share(s, cl, state->tile.alone);
    cut.rows_each = clbn_max(clbn_max(target / clbn_min(width, tile), 1), clbn_ceil_div(s->outer, MOST_CHUNKS));
    cut.chunks = clbn_ceil_div(s->outer, cut.rows_each);
    cut.groups_x = clbn_min(clbn_ceil_div(width, tile), MOST_GROUPS);
    cut.groups_y = clbn_min(cut.chunks, MOST_GROUPS);
    return cut;
}

/* Apply merges nothing, so it takes planes in memory's order: a row of several channels a group, where a plane is long enough to
 * pay for its channel's constants. */
static clbn_cut cut_apply(const clbn_shape *s, const clbn_opencl *cl, const clbn_cl_plan *state) {
    clbn_cut cut = state->work;
    if (state->variant->columns) return cut;
    if (cut.pieces == 1 && s->inner >= LONG_PLANE) {
        cut.rows_each = 1;
        cut.chunks = s->outer;
    }
    const size_t target = state->tile.alone ? clbn_min(ALONE_APPLY, most_alone(cl)) : LEAST_GROUP;
    const size_t each = clbn_max(target / (cut.rows_each * cut.length_each), 1);
    cut.groups_x = clbn_min(clbn_ceil_div(s->channels, each), MOST_GROUPS);
    cut.groups_y = clbn_min(cut.chunks, MOST_GROUPS);
    return cut;
}

/* A fused kernel takes all rows in one go. */
static clbn_cut fuse(clbn_cut cut, bool columns) {
    *(columns ? &cut.groups_y : &cut.groups_x) = 1;
    return cut;
}

static clbn_cut cut_finalize(const clbn_shape *s, const clbn_opencl *cl, const clbn_cl_plan *state, size_t group) {
    const size_t entries = state->work.chunks * state->columns;
    clbn_cut cut = {1, 1, 0, 0, 0, 0, 1, 1};
    if (!state->tile.alone) {
        cut.lx = clbn_min(power_of_two_from(s->channels), clbn_min(clbn_min(group, 32), cl->max_items[0]));
        cut.ly = clbn_min(power_of_two_from(entries), clbn_min(group / cut.lx, cl->max_items[1]));
    }
    cut.groups_x = clbn_min(clbn_ceil_div(s->channels, cut.lx), MOST_GROUPS);
    return cut;
}

clbn_status clbn_cl_choose(const clbn_plan *plan, const char *variant, clbn_cl_plan *state) {
    const clbn_shape *s = &plan->shape;
    const clbn_opencl *cl = plan->device->state;
    state->variant = variant ? named(variant) : choose(s, cl);
    CHECK(state->variant != NULL, plan->device, CLBN_ERROR_INVALID_ARGUMENT,
          "variant is \"%s\"; clbn_variant_name lists those there are", variant);
    CHECK(can(state->variant, s, cl), plan->device, CLBN_ERROR_UNSUPPORTED, "variant %s cannot do %zu x %zu x %zu",
          state->variant->name, s->outer, s->channels, s->inner);
    state->tile = state->variant->alone ? alone_tile : group_tile;
    state->columns = state->variant->columns ? s->inner : 1;
    if (s->elements == 0) return CLBN_SUCCESS;
    size_t group;
    TRY(clbn_cl_program(plan->device, &state->tile, &state->program));
    TRY(largest_group(plan, state, &group));
    state->work = state->variant->columns ? cut_columns(s, cl, state, group) : cut_planes(s, cl, state, group);
    state->apply = cut_apply(s, cl, state);
    state->fused = fuse(state->work, state->variant->columns);
    state->finalize = cut_finalize(s, cl, state, group);
    const size_t bytes = s->elements * sizeof(float);
    state->past_caches = state->tile.alone && 2 * (double)bytes > 0.75 * (double)(cl->cache_bytes ? cl->cache_bytes : 1 << 24);
    if (!state->variant->fused) {
        state->constants_count = 4 * s->channels;
        state->parts_count = CLBN_MOMENTS_REALS * state->work.chunks * s->channels * state->columns;
    }
    return CLBN_SUCCESS;
}
