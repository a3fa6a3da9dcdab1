/* SPDX-License-Identifier: Apache-2.0
 *
 * How a variant's work is cut: into work-items, groups and chunks. All cuts depend on the shape, the variant and the device alone, so
 * that the bits do too (those of a trial aside, which are finer).
 */
#include "opencl/opencl.h"

#include "flags.cl"

enum {
    GROUP = 256,          /* work-items of a group, where the device can */
    TRIAL = 1000,         /* elements that a trial, which must be small, gives a work-group */
    LEAST_ALONE = 16384,  /* elements worth a work-item of a CPU device */
    LEAST_GROUP = 8192,   /* elements worth a work-group */
    ALONE_APPLY = 65536,  /* elements of y worth a work-item of a CPU device */
    FOREIGN_ALONE = 2048, /* see most_alone */
    MOST_STEPS = 256,     /* see turns_suffice */
    MOST_TURNS = 32768,   /* and this */
    LONG_PLANE = 1024,    /* values of a plane worth finding its channel's constants for */
    MOST_CHUNKS = 1024,   /* partial moments of a channel, which one finalize merges */
    MOST_GROUPS = 65535   /* along a dimension of a launch */
};

static size_t power_of_two_from(size_t n) {
    size_t power = 1;
    while (power < n) power *= 2;
    return power;
}

/* What a work-item that works alone may be given. A CPU's: anything. Elsewhere little: GPUs have watchdogs. */
static size_t most_alone(const clbn_opencl *cl) {
    return cl->whole_vectors ? SIZE_MAX / MOST_CHUNKS : FOREIGN_ALONE;
}

/* Where turns are counted no more than half of what a group may take, each_step at a time: what is rounded up needs the rest. */
static size_t bearable(const clbn_opencl *cl, size_t elements, size_t each_step) {
    return cl->counts_turns ? clbn_min(elements, MOST_STEPS / 2 * each_step) : elements;
}

/* Elements a work-group should take: enough for each of several a compute unit. */
static size_t share(const clbn_plan *plan, const clbn_shape *s, bool alone, size_t each_step) {
    const clbn_opencl *cl = plan->device->state;
    const size_t even = s->elements / (16 * cl->compute_units);
    if (plan->is_trial) return TRIAL;
    return bearable(cl, alone ? clbn_min(clbn_max(LEAST_ALONE, even), most_alone(cl)) : clbn_max(LEAST_GROUP, even), each_step);
}

/* Columns that a work-item of a CPU device takes at most, where they stay in the caches; else twice as many, which memory is
 * faster at. */
size_t clbn_cl_near_columns(const clbn_tile *tile) {
    return tile->vec * tile->vectors / 2;
}

/* Of planes: what a group's work-items take in one step together. */
static size_t plane_step(const clbn_shape *s, const clbn_cl_plan *state, const clbn_cut *cut) {
    return cut->ly * clbn_min(s->inner, cut->lx * state->tile.vec);
}

static clbn_cut cut_planes(const clbn_plan *plan, const clbn_opencl *cl, const clbn_cl_plan *state, size_t group) {
    const clbn_shape *s = &state->shape;
    const size_t vec = state->tile.vec;
    clbn_cut cut = {1, 1, 1, s->outer, 1, s->inner, 1, clbn_min(s->channels, MOST_GROUPS)};
    if (!state->tile.alone) {
        cut.lx = clbn_min(power_of_two_from(clbn_ceil_div(s->inner, vec)), clbn_min(group, cl->max_items[0]));
        cut.ly = clbn_min(group / cut.lx, cl->max_items[1]);
    }
    const size_t target = share(plan, s, state->tile.alone, plane_step(s, state, &cut));
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

/* Columns of so wide a row that a work-item takes: all take the same. */
static size_t columns_each(const clbn_cl_plan *state, size_t width) {
    const clbn_tile *tile = &state->tile;
    if (!tile->alone) return tile->vec * tile->vectors;
    const size_t most = clbn_cl_near_columns(tile) * (state->past_caches ? 2 : 1);
    return clbn_round_up(clbn_ceil_div(width, clbn_ceil_div(width, most)), tile->vec);
}

static clbn_cut cut_columns(const clbn_plan *plan, const clbn_opencl *cl, const clbn_cl_plan *state, size_t group) {
    const clbn_shape *s = &state->shape;
    const size_t vec = state->tile.vec, width = s->channels * s->inner;
    clbn_cut cut = {1, 1, 1, s->outer, 1, columns_each(state, width), 1, 1};
    if (!state->tile.alone) {
        const size_t each = PARTS * clbn_dtype_bytes(plan->real_type) * vec;
        const size_t room = cl->local_bytes / 4 * 3 / each; /* work-items whose columns fit, with memory to spare */
        cut.lx = clbn_min(clbn_min(power_of_two_from(clbn_ceil_div(width, vec)), CLBN_CL_COLUMN_LANES),
                          clbn_min(group, cl->max_items[0]));
        cut.ly = clbn_min(clbn_max(clbn_min(group, room) / cut.lx, 1), cl->max_items[1]);
    }
    const size_t tile = cut.lx * cut.length_each, row = clbn_min(width, tile);
    const size_t target = share(plan, s, state->tile.alone, cut.ly * row / clbn_ceil_div(cut.length_each, vec));
    cut.rows_each = clbn_max(clbn_max(target / row, 1), clbn_ceil_div(s->outer, MOST_CHUNKS));
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
    const size_t target =
        bearable(cl, state->tile.alone ? clbn_min(ALONE_APPLY, most_alone(cl)) : LEAST_GROUP, plane_step(s, state, &cut));
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

/* What touches no batch: a work-item a channel. */
static clbn_cut cut_by_channel(const clbn_shape *s, const clbn_opencl *cl, const clbn_cl_plan *state, size_t group) {
    clbn_cut cut = {1, 1, 0, 0, 0, 0, 1, 1};
    if (!state->tile.alone) cut.lx = clbn_min(power_of_two_from(s->channels), clbn_min(clbn_min(group, 64), cl->max_items[0]));
    const size_t most = state->tile.alone && !cl->counts_turns ? 4 * cl->compute_units : MOST_GROUPS;
    cut.groups_x = clbn_min(clbn_ceil_div(s->channels, cut.lx), most);
    return cut;
}

void clbn_cl_cut(const clbn_plan *plan, clbn_cl_plan *state, size_t group) {
    const clbn_opencl *cl = plan->device->state;
    const clbn_shape *s = &state->shape;
    const size_t largest = clbn_max(clbn_dtype_bytes(plan->x_type), clbn_dtype_bytes(plan->y_type));
    const double bytes = 2 * (double)s->elements * (double)largest, cache = (double)(cl->cache_bytes ? cl->cache_bytes : 1 << 24);
    state->past_caches = state->tile.alone && bytes > 0.75 * cache;
    if (s->elements != 0) {
        state->work = state->variant->columns ? cut_columns(plan, cl, state, group) : cut_planes(plan, cl, state, group);
        state->apply = cut_apply(s, cl, state);
        state->fused = fuse(state->work, state->variant->columns);
    }
    state->finalize = cut_finalize(s, cl, state, group);
    state->by_channel = cut_by_channel(s, cl, state, group);
    state->mask_run = clbn_ceil_div(state->variant->columns ? s->channels * s->inner : s->inner, 8);
    state->constants_count = CONSTANTS * s->channels;
    state->parts_count = PARTS * state->work.chunks * s->channels * state->columns;
}

/* ------------------------------------------------------------------------------------------------------------- limits */

size_t clbn_cl_group(const clbn_opencl *cl) {
    return clbn_min(GROUP, cl->max_group);
}

/* Vectors, or ends of rows, that a work-item takes one after the other where so many groups share the chunks, and so many the channels
 * or tiles; of fused kernels a group takes all rows in one go. */
static size_t steps_of(const clbn_cl_plan *state, const clbn_cut *cut, size_t chunk_groups, size_t other_groups) {
    const clbn_shape *s = &state->shape;
    const bool columns = state->variant->columns, all = cut == &state->fused;
    const size_t others = columns ? clbn_ceil_div(s->channels * s->inner, cut->lx * cut->length_each) : s->channels;
    const size_t of_row = clbn_ceil_div(all && !columns ? s->inner : cut->length_each, state->tile.vec * (columns ? 1 : cut->lx));
    const size_t rows = all ? clbn_ceil_div(s->outer, cut->ly)
                            : clbn_ceil_div(cut->chunks, chunk_groups) * clbn_ceil_div(cut->rows_each, cut->ly);
    return rows * clbn_ceil_div(others, other_groups) * of_row;
}

/* What a work-item takes of the channels in a launch by channels, with so many entries each. */
static bool turns_by_channel_suffice(const clbn_cl_plan *state, const clbn_cut *cut, size_t entries) {
    const size_t channels = clbn_ceil_div(state->shape.channels, cut->groups_x * cut->lx), each = clbn_ceil_div(entries, cut->ly);
    return each <= MOST_TURNS && channels * clbn_max(each, 1) <= MOST_TURNS;
}

/* llvmpipe counts 65535 turns of a work-item's loops, some 130 a step at most where rows are of one value; of an entry of a merge it is
 * one. */
static bool turns_suffice(const clbn_cl_plan *state) {
    const clbn_cut *const work = state->variant->fused ? &state->fused : &state->work, *const apply = &state->apply;
    const bool columns = state->variant->columns;
    return steps_of(state, work, columns ? work->groups_y : work->groups_x, columns ? work->groups_x : work->groups_y) <=
               MOST_STEPS &&
           steps_of(state, apply, apply->groups_y, apply->groups_x) <= MOST_STEPS &&
           turns_by_channel_suffice(state, &state->finalize, state->work.chunks * state->columns) &&
           turns_by_channel_suffice(state, &state->by_channel, 1);
}

bool clbn_cl_may_take(const clbn_plan *plan, clbn_cl_plan *state) {
    const clbn_opencl *cl = plan->device->state;
    const clbn_variant *v = state->variant;
    const clbn_shape *s = &state->shape;
    if (s->count / MOST_CHUNKS >= (size_t)1 << 31) return false; /* kernels count a chunk's values in 32 bits */
    if (v->alone && s->count > most_alone(cl) * (v->fused ? 1 : MOST_CHUNKS)) return false;
    if (!cl->counts_turns || plan->is_trial || s->elements == 0) return true; /* a trial is small */
    clbn_cl_cut(plan, state, clbn_cl_group(cl));
    return turns_suffice(state);
}

bool clbn_cl_may_merge(const clbn_plan *plan, size_t parts) {
    const clbn_opencl *cl = plan->device->state;
    const clbn_cl_plan *state = plan->state;
    return !cl->counts_turns || parts == 0 || turns_by_channel_suffice(state, &state->by_channel, parts);
}
