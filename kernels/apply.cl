/* SPDX-License-Identifier: Apache-2.0
 *
 * Apply: the elementwise step, v = ((x - mean) - mean_lo) * scale + beta [+ residual], y = act(v). Never a * x + b: with a
 * large mean that form loses what the two-float mean kept. y may be x, or residual.
 */
#define NORMALIZE(x, k) ((((x) - (k)->mean) - (k)->mean_lo) * (k)->scale + (k)->beta)

/* The affine step of a vector's values. */
typedef struct {
    vec mean, mean_lo, scale, beta;
} affine_vec;

#define FORWARD_PARAMETERS(VIEW)                                                                                        \
    __global const x_store *x, VIEW(x), __global const y_store *residual, VIEW(residual), __global y_store *y, VIEW(y), \
        __global uchar *mask, ulong mask_offset, ulong mask_run

/* A run of a channel's values, or of columns: where it begins in each tensor. */
typedef struct {
    const __global x_store *x;
    const __global y_store *residual;
    __global y_store *y;
    __global uchar *mask;
    ulong x_unit, residual_unit, y_unit;
} forward_run;

/* Fills run with the place of (row, c, i); mask_at: the bytes of the runs before it. */
#define FORWARD_AT(run, row, c, i, mask_at)                                                                                \
    do {                                                                                                                   \
        (run).x = x + x_offset + (row)*x_row + (c)*x_channel + STEPS(i, x_unit);                                           \
        (run).residual = residual + residual_offset + (row)*residual_row + (c)*residual_channel + STEPS(i, residual_unit); \
        (run).y = y + y_offset + (row)*y_row + (c)*y_channel + STEPS(i, y_unit);                                           \
        (run).mask = mask + mask_offset + (mask_at) + (i) / 8;                                                             \
        (run).x_unit = x_unit;                                                                                             \
        (run).residual_unit = residual_unit;                                                                               \
        (run).y_unit = y_unit;                                                                                             \
    } while (0)

/* What rows have between them; next: see ASK_ON. */
typedef struct {
    ulong x, residual, y, mask, next;
} forward_steps;

void next_rows(forward_run *t, const forward_steps *by, const ulong rows) {
    t->x += rows * by->x;
    t->residual += rows * by->residual;
    t->y += rows * by->y;
    t->mask += rows * by->mask;
}

/* ----------------------------------------------------------------------------------------------------------------- values */

/* A vector of values at i. stream: past the caches. */
void forward_vec(const forward_run *t, const uint i, const affine_vec *k, const channel_arrays *a, const bool stream) {
    __global y_store *to = t->y + STEPS(i, t->y_unit);
    vec v = NORMALIZE(LOAD_X_VEC(t->x + STEPS(i, t->x_unit), t->x_unit), k);
#if RESIDUAL
    v += LOAD_Y_VEC(t->residual + STEPS(i, t->residual_unit), t->residual_unit);
#endif
#if MASK
    if ((a->flags & HAS_MASK) != 0) put_mask_vec(t->mask + i / 8, live_bits(v, a->low, a->high));
#endif
    (void)a; /* some kinds need it */
    const vec y = ACTIVATE_VEC(v, a->low, a->high);
    if (STREAMS && stream)
        STREAM_Y_VEC(y, to);
    else
        STORE_Y_VEC(y, to, t->y_unit);
}

/* One value at i. Returns its bit. */
uint forward_one(const forward_run *t, const uint i, const affine *k, const channel_arrays *a) {
    real v = NORMALIZE(LOAD_X(t->x + STEPS(i, t->x_unit)), k);
#if RESIDUAL
    v += LOAD_Y(t->residual + STEPS(i, t->residual_unit));
#endif
    (void)a;
    const real y = ACTIVATE(real, v, a->low, a->high);
    STORE_Y(y, t->y + STEPS(i, t->y_unit));
    return IS_DEAD(real, v, a->low, a->high) ? 0u : 1u;
}

/* The bits of single values from the start of a byte on: one lane's, in order. */
typedef struct {
    uint bits;
} bit_row;

void put_bit(const forward_run *t, const uint i, const uint length, const uint bit, bit_row *row, const uint flags) {
#if MASK
    row->bits |= bit << (i % 8);
    if (i % 8 == 7 || i + 1 == length) {
        if ((flags & HAS_MASK) != 0) t->mask[i / 8] = (uchar)row->bits;
        row->bits = 0;
    }
#else
    (void)t, (void)i, (void)length, (void)bit, (void)row, (void)flags;
#endif
}

/* How many values stand before the first that can be streamed; all, where none can. */
uint before_stream(const forward_run *t, const uint length, const uint flags) {
    if (!STREAMS || (flags & PAST_CACHES) == 0) return length;
    const uint head = BEFORE_ALIGNED(t->y);
    return MASK && head != 0 ? length : min(head, length);
}

/* ------------------------------------------------------------------------------------------------------------- planes */

/* One run of a channel's values, shared by the LX work-items of a row. */
void apply_run(const forward_run *t, const uint length, const forward_steps *by, const affine *k, const channel_arrays *a) {
    const affine_vec kv = {(vec)k->mean, (vec)k->mean_lo, (vec)k->scale, (vec)k->beta};
    bit_row row = {0};
    const uint head = before_stream(t, length, a->flags);
    const bool stream = head < length;
    const uint start = stream ? head : 0, whole = length - (length - start) % VEC;
    for (uint i = start + LANE_X * VEC; i < whole; i += LX * VEC) {
        if (STREAMS) ASK_ON(t->x, i, length, by->x, by->next);
        forward_vec(t, i, &kv, a, stream);
    }
    /* The lane that would be next takes the rest, and what stands before. */
    const bool next = (whole - start) / VEC % LX == LANE_X;
    for (uint i = next ? 0 : length; i < length; i++) {
        if (i == start) i = whole;
        if (i < length) put_bit(t, i, length, forward_one(t, i, k, a), &row, a->flags);
    }
}

/* The group's rows of a chunk, t at the first. */
void apply_rows(forward_run *t, const forward_steps *by, const ulong rows, const uint length, const affine *k,
                const channel_arrays *a) {
    next_rows(t, by, LANE_Y);
    for (ulong r = LANE_Y; r < rows; r += LY) {
        apply_run(t, length, by, k, a);
        next_rows(t, by, LY);
    }
}

/* The statistics that normalize channel c: the population's, or those that finalize left. */
void statistics_for(const ulong c, const ulong channels, __global const real *constants, const channel_arrays *a, statistics *s) {
    if ((a->flags & OF_POPULATION) != 0)
        statistics_of_population(c, a, s);
    else
        get_statistics(constants, c, channels, s);
}

/* What the one work-item that speaks for a channel writes beside y. */
void report(const ulong c, const statistics *s, const channel_arrays *a) {
    if ((a->flags & OF_POPULATION) != 0) write_statistics(c, s, a);
    update_running(c, s, a);
}

/* Groups: blocks of adjacent channels by chunks, so that they go through memory in its order. */
__kernel void apply_planes(FORWARD_PARAMETERS(VIEW_PARAMETERS), PLANE_PARAMETERS, __global const real *constants,
                           ulong constants_offset, CHANNEL_PARAMETERS) {
    const channel_arrays arrays = CHANNEL_ARRAYS;
    const forward_steps by = {x_row, residual_row, y_row, channels * mask_run, 0};
    const ulong block = (channels - 1) / get_num_groups(0) + 1, first = get_group_id(0) * block;
    for (ulong k = get_group_id(1); k < chunks; k += get_num_groups(1)) {
        chunk part;
        plane_chunk(k, outer, inner, rows_each, pieces, length_each, &part);
        for (ulong c = first; c < min(first + block, channels); c++) {
            statistics s;
            affine affine_c;
            forward_run t;
            statistics_for(c, channels, constants + constants_offset, &arrays, &s);
            affine_of(c, &s, &arrays, &affine_c);
            FORWARD_AT(t, part.row, c, part.start, (part.row * channels + c) * mask_run);
            apply_rows(&t, &by, (s.moves & ARE_THERE) != 0 ? part.rows : 0, part.length, &affine_c, &arrays);
            if (k == 0) {
                if (SPEAKS) report(c, &s, &arrays);
            }
        }
    }
}

/* ------------------------------------------------------------------------------------------------------------ columns */

/* Columns, and as many more behind them as a vector that begins among them reaches: see wrap_columns. */
#define WRAPPED (WIDE + 2 * VEC)

/* The affine step of a work-item's columns. */
typedef struct {
    real mean[WRAPPED], mean_lo[WRAPPED], scale[WRAPPED], beta[WRAPPED];
} column_affine;

void put_affine(column_affine *k, const uint j, const affine *one) {
    k->mean[j] = one->mean;
    k->mean_lo[j] = one->mean_lo;
    k->scale[j] = one->scale;
    k->beta[j] = one->beta;
}

#define COLUMN_VEC(k, j) \
    { LOAD_OWN((k)->mean + (j)), LOAD_OWN((k)->mean_lo + (j)), LOAD_OWN((k)->scale + (j)), LOAD_OWN((k)->beta + (j)) }
#define COLUMN_ONE(k, j) \
    { (k)->mean[j], (k)->mean_lo[j], (k)->scale[j], (k)->beta[j] }

/* One row of a work-item's columns. */
void apply_row(const forward_run *t, const uint columns, const ulong ahead_step, const column_affine *k,
               const channel_arrays *a) {
    bit_row row = {0};
    const uint head = before_stream(t, columns, a->flags);
    const bool stream = head < columns;
    const uint start = stream ? head : 0, whole = columns - (columns - start) % VEC;
    for (uint j = start; j < whole; j += VEC) {
        const affine_vec these = COLUMN_VEC(k, j);
        if (STREAMS) ASK_AHEAD(t->x, j, columns, ahead_step);
        forward_vec(t, j, &these, a, stream);
    }
    for (uint j = 0; j < columns; j++) {
        if (j == start) j = whole;
        if (j < columns) {
            const affine one = COLUMN_ONE(k, j);
            put_bit(t, j, columns, forward_one(t, j, &one, a), &row, a->flags);
        }
    }
}

/* Rows of so many columns that follow each other without a gap in all tensors, and whose ends fill no vectors, are one run of values:
 * only its own ends are single ones, and all between can be streamed. */
#if ALONE && !MASK && !STRIDED
#define ONE_RUN(columns, adjoin) ((columns) % VEC != 0 && (adjoin))
#else
#define ONE_RUN(columns, adjoin) ((void)(adjoin), false)
#endif

/* Where columns begin anew in such a run: behind whole rows of a vector at least. */
uint wrap_of(const uint columns) {
    return columns < VEC ? (VEC / columns + 1) * columns : columns;
}

/* The next vector's, or value's, column. */
#define WRAP(j, by, wrap) ((j) + (by) < (wrap) ? (j) + (by) : (j) + (by) - (wrap))

/* Repeats what holds for columns columns behind them. */
void wrap_columns(real *of, const uint columns) {
    const uint end = wrap_of(columns) + VEC;
    for (uint j = columns; j < end; j++) of[j] = of[j - columns];
}

void wrap_affine(column_affine *k, const uint columns) {
    wrap_columns(k->mean, columns);
    wrap_columns(k->mean_lo, columns);
    wrap_columns(k->scale, columns);
    wrap_columns(k->beta, columns);
}

void next_values(forward_run *t, const uint values) {
    t->x += values;
    t->residual += values;
    t->y += values;
}

/* Rows of columns columns as one run of count values. */
void apply_wrapped(forward_run *t, const ulong count, const uint columns, const column_affine *k, const channel_arrays *a) {
    const uint wrap = wrap_of(columns), most = (uint)min(count, (ulong)VEC), head = before_stream(t, most, a->flags);
    const bool stream = head < most;
    uint j = 0;
    for (ulong i = 0; i < count;) {
        const bool whole = i >= (stream ? head : 0) && count - i >= VEC;
        const uint values = whole ? VEC : 1;
        if (whole) {
            const affine_vec these = COLUMN_VEC(k, j);
            if (STREAMS) ASK_FOR(t->x + AHEAD);
            forward_vec(t, 0, &these, a, stream);
        } else {
            const affine one = COLUMN_ONE(k, j);
            forward_one(t, 0, &one, a);
        }
        next_values(t, values);
        j = WRAP(j, values, wrap);
        i += values;
    }
}

/* The work-item's rows of its columns, t at the first. k is wrapped for one run. */
void apply_columns_rows(forward_run *t, const forward_steps *by, const ulong rows, const uint columns, column_affine *k,
                        const channel_arrays *a) {
    if (ONE_RUN(columns, by->x == columns && by->y == columns && by->residual == columns)) {
        wrap_affine(k, columns);
        apply_wrapped(t, rows * columns, columns, k, a);
        return;
    }
    next_rows(t, by, LANE_Y);
    for (ulong r = LANE_Y; r < rows; r += LY) {
        apply_row(t, columns, by->x, k, a);
        next_rows(t, by, LY);
    }
}

/* Columns have no channel of their own to step by. */
#define FORWARD_COLUMNS_AT(run, row, i)                                 \
    do {                                                                \
        const ulong x_channel = 0, residual_channel = 0, y_channel = 0; \
        FORWARD_AT(run, row, 0, i, (row)*mask_run);                     \
    } while (0)

/* Behind sums from the last rows to the first: what was read last may still be in a cache. */
#define SLAB(turn, slabs, flags) (((flags)&OF_POPULATION) != 0 ? (turn) : (slabs)-1 - (turn))

/* Groups: tiles of columns by slabs of rows_each rows, both in strides. columns: how many of them make a channel; each: see
 * TILE_COLUMNS. */
__kernel void apply_columns(FORWARD_PARAMETERS(ROW_PARAMETERS), ulong outer, ulong channels, ulong columns, ulong slabs,
                            ulong rows_each, ulong each, __global const real *constants, ulong constants_offset,
                            CHANNEL_PARAMETERS) {
    const channel_arrays arrays = CHANNEL_ARRAYS;
    const forward_steps by = {x_row, residual_row, y_row, mask_run, 0};
    const ulong width = channels * columns;
    for (ulong tile = get_group_id(0) * TILE_COLUMNS; tile < width; tile += get_num_groups(0) * TILE_COLUMNS) {
        const ulong start = tile + LANE_X * each;
        const uint mine = tile_columns(start, width, each);
        uint moves = 0;
        column_affine k;
        for (uint j = 0; j < mine; j++) {
            const ulong c = (start + j) / columns;
            statistics s;
            affine one;
            statistics_for(c, channels, constants + constants_offset, &arrays, &s);
            affine_of(c, &s, &arrays, &one);
            moves |= s.moves;
            put_affine(&k, j, &one);
            if (LANE_Y == 0) {
                if (get_group_id(1) == 0 && c * columns == start + j) report(c, &s, &arrays);
            }
        }
        const ulong end = (moves & ARE_THERE) != 0 ? slabs : 0; /* statistics of no values touch no y */
        for (ulong turn = get_group_id(1); turn < end; turn += get_num_groups(1)) {
            const ulong row = SLAB(turn, slabs, flags) * rows_each;
            forward_run t;
            FORWARD_COLUMNS_AT(t, row, start);
            apply_columns_rows(&t, &by, min(rows_each, outer - row), mine, &k, &arrays);
        }
    }
}
