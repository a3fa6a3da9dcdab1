/* SPDX-License-Identifier: Apache-2.0
 *
 * Apply: the elementwise affine step, y = ((x - mean) - mean_lo) * scale + beta, never a * x + b: with a large mean that
 * form loses what the two-float mean kept. y may be x.
 */

#define NORMALIZE(x, k) ((((x) - (k).mean) - (k).mean_lo) * (k).scale + (k).beta)

/* Values before p reaches an address that STORE_PAST_CACHES can take. */
uint before_aligned(const __global real *p) {
    const uint past = (uint)((ulong)p % sizeof(vec)) / (uint)sizeof(real);
    return past == 0 ? 0 : VEC - past;
}

/* ------------------------------------------------------------------------------------------------------------- planes */

/* One run of a channel's values, shared by the LX work-items of a row. */
void apply_run(const __global real *x, __global real *y, const uint length, const ulong row_step, const affine *affine_c,
               const uint flags) {
    const affine k = *affine_c;
    uint i = 0;
    if (TAKES_HINTS && (flags & PAST_CACHES) != 0) {
        const uint head = min(before_aligned(y), length);
        for (; i < head; i++) y[i] = NORMALIZE(x[i], k);
        for (; i + VEC <= length; i += VEC) {
            ASK_AHEAD(x, i, length, row_step);
            const vec v = NORMALIZE(LOAD_VEC(x + i), k);
            STORE_PAST_CACHES(v, y + i);
        }
    }
    const uint whole = length - (length - i) % VEC;
    for (i += LANE_X * VEC; i < whole; i += LX * VEC) STORE_VEC(NORMALIZE(LOAD_VEC(x + i), k), y + i);
    for (i = whole + LANE_X; i < length; i += LX) y[i] = NORMALIZE(x[i], k);
}

/* The group's rows of a chunk. */
void apply_rows(const __global real *x, __global real *y, const ulong rows, const ulong row_step, const uint length,
                const affine *k, const uint flags) {
    for (ulong r = LANE_Y; r < rows; r += LY) apply_run(x + r * row_step, y + r * row_step, length, row_step, k, flags);
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
__kernel void apply_planes(__global const real *x, ulong x_offset, __global real *y, ulong y_offset, PLANE_PARAMETERS,
                           __global const real *constants, ulong constants_offset, CHANNEL_PARAMETERS) {
    const channel_arrays arrays = CHANNEL_ARRAYS;
    const ulong width = channels * inner;
    const ulong block = (channels - 1) / get_num_groups(0) + 1, first = get_group_id(0) * block;
    for (ulong k = get_group_id(1); k < chunks; k += get_num_groups(1)) {
        chunk part;
        plane_chunk(k, outer, inner, rows_each, pieces, length_each, &part);
        for (ulong c = first; c < min(first + block, channels); c++) {
            statistics s;
            affine affine_c;
            statistics_for(c, channels, constants + constants_offset, &arrays, &s);
            affine_of(c, &s, &arrays, &affine_c);
            const ulong at = part.row * width + c * inner + part.start;
            apply_rows(x + x_offset + at, y + y_offset + at, part.rows, width, part.length, &affine_c, flags);
            if (k == 0) {
                if (SPEAKS) report(c, &s, &arrays);
            }
        }
    }
}

/* ------------------------------------------------------------------------------------------------------------ columns */

/* The affine step of a work-item's columns. */
typedef struct {
    real mean[WIDE], mean_lo[WIDE], scale[WIDE], beta[WIDE];
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

typedef struct {
    vec mean, mean_lo, scale, beta;
} affine_vec;

/* One row of a work-item's columns. */
void apply_row(const __global real *x, __global real *y, const uint columns, const ulong width, const column_affine *k,
               const uint flags) {
    uint j = 0;
    if (TAKES_HINTS && (flags & PAST_CACHES) != 0) {
        const uint head = min(before_aligned(y), columns);
        for (; j < head; j++) {
            const affine one = COLUMN_ONE(k, j);
            y[j] = NORMALIZE(x[j], one);
        }
        for (; j + VEC <= columns; j += VEC) {
            ASK_AHEAD(x, j, columns, width);
            const affine_vec these = COLUMN_VEC(k, j);
            const vec v = NORMALIZE(LOAD_VEC(x + j), these);
            STORE_PAST_CACHES(v, y + j);
        }
    }
    for (; j + VEC <= columns; j += VEC) {
        const affine_vec these = COLUMN_VEC(k, j);
        STORE_VEC(NORMALIZE(LOAD_VEC(x + j), these), y + j);
    }
    for (; j < columns; j++) {
        const affine one = COLUMN_ONE(k, j);
        y[j] = NORMALIZE(x[j], one);
    }
}

/* The work-item's rows of its columns. */
void apply_columns_rows(const __global real *x, __global real *y, const ulong rows, const ulong width, const uint columns,
                        const column_affine *k, const uint flags) {
    for (ulong r = LANE_Y; r < rows; r += LY) apply_row(x + r * width, y + r * width, columns, width, k, flags);
}

/* Groups: tiles of columns by slabs of rows_each rows, both in strides. columns: how many of them make a channel. */
__kernel void apply_columns(__global const real *x, ulong x_offset, __global real *y, ulong y_offset, ulong outer, ulong channels,
                            ulong columns, ulong slabs, ulong rows_each, __global const real *constants, ulong constants_offset,
                            CHANNEL_PARAMETERS) {
    const channel_arrays arrays = CHANNEL_ARRAYS;
    const ulong width = channels * columns;
    for (ulong tile = get_group_id(0) * TILE_COLUMNS; tile < width; tile += get_num_groups(0) * TILE_COLUMNS) {
        const ulong start = tile + LANE_X * WIDE;
        const uint mine = tile_columns(start, width);
        column_affine k;
        for (uint j = 0; j < mine; j++) {
            const ulong c = (start + j) / columns;
            statistics s;
            affine one;
            statistics_for(c, channels, constants + constants_offset, &arrays, &s);
            affine_of(c, &s, &arrays, &one);
            put_affine(&k, j, &one);
            if (LANE_Y == 0) {
                if (get_group_id(1) == 0 && c * columns == start + j) report(c, &s, &arrays);
            }
        }
        for (ulong slab = get_group_id(1); slab < slabs; slab += get_num_groups(1)) {
            const ulong row = slab * rows_each, at = row * width + start;
            apply_columns_rows(x + x_offset + at, y + y_offset + at, min(rows_each, outer - row), width, mine, &k, flags);
        }
    }
}
