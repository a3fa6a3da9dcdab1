/* SPDX-License-Identifier: Apache-2.0
 *
 * How the CPU path sees a plan's tensors, and where it cuts them: by shape and strides alone.
 */
#include "cpu/cpu.h"

/* Values a chunk holds, about; columns a tile is wide; rows a chunk of columns has at least. */
enum { CHUNK = 65536, TILE = CLBN_CPU_MOST_COLUMNS, LEAST_ROWS = 64 };
/* Planes shorter than this are columns, if there are enough rows of them. */
enum { SHORT_PLANE = 16 };
/* Rows narrower than NARROW are seen as fewer of up to WIDE columns, and at least FOLDED_ROWS of them. */
enum { NARROW = 64, WIDE = 256, FOLDED_ROWS = 8 };

/* ------------------------------------------------------------------------------------------------------------ reorder */

typedef bool (*view_test)(const clbn_shape *shape, const clbn_view *view);

static bool all_views(const clbn_plan *plan, const cpu_plan *state, view_test test) {
    for (int t = 0; t < CLBN_TENSOR_COUNT; t++) {
        const bool used = plan->residual || (t != CLBN_RESIDUAL && t != CLBN_DRESIDUAL);
        if (used && !test(&state->shape, &state->views[t])) return false;
    }
    return true;
}

static bool follows_on(const clbn_shape *s, const clbn_view *v) {
    return s->outer == 1 || v->outer == s->inner * v->unit;
}
static bool channels_are_last(const clbn_shape *s, const clbn_view *v) {
    return v->channel < v->unit && follows_on(s, v);
}
static bool is_transposed(const clbn_shape *s, const clbn_view *v) {
    (void)s;
    return v->outer < v->channel;
}

/* The same elements as other three numbers, where that makes neighbours in memory neighbours: one channel becomes one plane,
 * channels that strides put last become columns, columns that they put one behind the other planes. */
static void reorder(const clbn_plan *plan, cpu_plan *state) {
    clbn_shape *s = &state->shape;
    const size_t outer = s->outer, inner = s->inner;
    if (s->elements == 0) return;
    const bool one_plane = s->channels == 1 && outer > 1 && all_views(plan, state, follows_on) && inner > 1;
    const bool transposed = inner == 1 && outer > 1 && (s->channels == 1 || all_views(plan, state, is_transposed));
    const bool columns = s->channels > 1 && inner > 1 && all_views(plan, state, channels_are_last);
    if (one_plane || transposed) *s = (clbn_shape){1, s->channels, outer * inner, s->elements, s->count};
    if (columns) *s = (clbn_shape){outer * inner, s->channels, 1, s->elements, s->count};
    for (int t = 0; t < CLBN_TENSOR_COUNT; t++) {
        clbn_view *v = &state->views[t];
        if (transposed) v->unit = v->outer;
        if (columns) v->outer = v->unit;
    }
}

static bool rows_follow_on(const clbn_shape *s, const clbn_view *v) {
    return v->outer == s->channels * v->channel;
}

/* Several narrow rows become one, a channel several columns of it: a power of two that divides the rows. */
static void fold_rows(const clbn_plan *plan, cpu_plan *state) {
    clbn_shape *s = &state->shape;
    if (s->inner != 1 || s->channels >= NARROW || !all_views(plan, state, rows_follow_on)) return;
    size_t fold = 1;
    while (2 * fold * s->channels <= WIDE && s->outer % (2 * fold) == 0 && s->outer / (2 * fold) >= FOLDED_ROWS) fold *= 2;
    if (fold == 1) return;
    state->lanes = fold;
    state->lane_step = s->channels;
    *s = (clbn_shape){s->outer / fold, s->channels * fold, 1, s->elements, s->count};
    for (int t = 0; t < CLBN_TENSOR_COUNT; t++) state->views[t].outer *= fold;
}

/* ---------------------------------------------------------------------------------------------------------------- cut */

static bool is_dense(const clbn_shape *s, const clbn_view *v) {
    return (s->inner == 1 || v->unit == 1) && (s->channels == 1 || v->channel == s->inner) &&
           (s->outer == 1 || v->outer == s->channels * s->inner);
}

/* Bytes of runs planes, as blocks of them are made: see chunk.c. */
static size_t mask_of_runs(const cpu_plan *state, size_t runs) {
    const size_t inner = state->shape.inner, most = CLBN_CPU_BLOCK / inner;
    if (most <= 1) return runs * clbn_ceil_div(inner, 8);
    return runs / most * clbn_ceil_div(most * inner, 8) + clbn_ceil_div(runs % most * inner, 8);
}

void clbn_cpu_cut(const clbn_plan *plan, cpu_plan *state) {
    clbn_shape *s = &state->shape;
    *s = plan->shape;
    for (int t = 0; t < CLBN_TENSOR_COUNT; t++) state->views[t] = plan->views[t];
    reorder(plan, state);
    state->columns = s->inner == 1 || (s->inner < SHORT_PLANE && s->outer >= SHORT_PLANE);
    state->lanes = state->columns ? clbn_max(s->inner, 1) : 1;
    state->lane_step = 1;
    if (s->elements) fold_rows(plan, state);
    for (int t = 0; t < CLBN_TENSOR_COUNT; t++) state->dense[t] = is_dense(s, &state->views[t]);
    if (s->elements == 0) return;
    if (state->columns) {
        state->width = s->channels * s->inner;
        state->rows = clbn_round_up(clbn_max(CHUNK / state->width, LEAST_ROWS), 16);
        state->chunks = clbn_ceil_div(s->outer, state->rows);
        state->tiles = clbn_ceil_div(state->width, TILE);
        state->wraps = state->tiles == 1 && state->width >= CLBN_CPU_WRAP && state->width * clbn_dtype_bytes(plan->x_type) % 64;
        state->mask_pitch = state->width > CLBN_CPU_BLOCK_WIDTH ? clbn_ceil_div(state->width, 8) : 0;
    } else {
        state->pieces = clbn_ceil_div(s->inner, CHUNK);
        state->runs = state->pieces == 1 ? clbn_min(CHUNK / s->inner, s->outer) : 1;
        state->chunks = state->pieces > 1 ? s->outer * state->pieces : clbn_ceil_div(s->outer, state->runs);
        const size_t before = (s->outer - 1) / state->runs;
        state->mask_pitch = before * mask_of_runs(state, state->runs) + mask_of_runs(state, s->outer - before * state->runs);
    }
}

size_t clbn_cpu_mask_bytes(const cpu_plan *state) {
    const clbn_shape *s = &state->shape;
    if (s->elements == 0) return 0;
    if (!state->columns) return s->channels * state->mask_pitch;
    return state->mask_pitch ? s->outer * state->mask_pitch : clbn_ceil_div(s->elements, 8);
}

size_t clbn_cpu_mask_start(const cpu_plan *state, size_t c, size_t k) {
    const size_t start = c * state->mask_pitch;
    if (state->pieces == 1) return start + k * mask_of_runs(state, state->runs);
    return start + k / state->pieces * clbn_ceil_div(state->shape.inner, 8) + k % state->pieces * (CHUNK / 8);
}

cpu_piece clbn_cpu_plane_piece(const cpu_plan *state, size_t c, size_t k) {
    const clbn_shape *s = &state->shape;
    if (state->pieces > 1) {
        const size_t i = k % state->pieces * CHUNK;
        return (cpu_piece){k / state->pieces, 1, c * s->inner + i, clbn_min(CHUNK, s->inner - i)};
    }
    const size_t o = k * state->runs;
    return (cpu_piece){o, clbn_min(state->runs, s->outer - o), c * s->inner, s->inner};
}

cpu_piece clbn_cpu_column_piece(const cpu_plan *state, size_t k, size_t t) {
    const size_t r = k * state->rows, j = t * TILE;
    return (cpu_piece){r, clbn_min(state->rows, state->shape.outer - r), j, clbn_min(TILE, state->width - j)};
}
