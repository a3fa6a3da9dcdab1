/* SPDX-License-Identifier: Apache-2.0
 *
 * Backward's reduce where columns lie side by side: as sums.cl, a sum a column.
 */
typedef struct {
    real g[WIDE], g_lo[WIDE], p[WIDE], p_lo[WIDE];
} column_sums;

/* Takes rows rows of the vector of columns at j, into the sums from slot on. */
void take_column_vec(column_sums *s, const uint slot, const uint j, const backward_run *first, const backward_steps *by,
                     const uint rows, const column_affine *k, const channel_arrays *a) {
    const affine_vec these = COLUMN_VEC(k, j);
    backward_run t = *first;
    lane_sums lanes_here = {LOAD_OWN(s->g + slot), LOAD_OWN(s->g_lo + slot), LOAD_OWN(s->p + slot), LOAD_OWN(s->p_lo + slot)};
    vec e = 0, q = 0;
    for (uint r = 0; r < rows;) {
        const uint end = min(rows, r + CHAINED);
        vec chain_e = 0, chain_q = 0;
        for (; r < end; r++) {
            vec d;
            const vec g = gradient_vec(&t, j, &these, a, &d);
            chain_e += g;
            chain_q += g * d;
            next_gradient_rows(&t, by, LY);
        }
        e += chain_e;
        q += chain_q;
    }
    take_sums(&lanes_here, e, q);
    STORE_OWN(lanes_here.g, s->g + slot);
    STORE_OWN(lanes_here.g_lo, s->g_lo + slot);
    STORE_OWN(lanes_here.p, s->p + slot);
    STORE_OWN(lanes_here.p_lo, s->p_lo + slot);
}

/* Takes rows rows of one column, which is its slot too. */
void take_column(column_sums *s, const uint j, const backward_run *first, const backward_steps *by, const uint rows,
                 const column_affine *k, const channel_arrays *a) {
    const affine one = COLUMN_ONE(k, j);
    backward_run t = *first;
    sums total = {s->g[j], s->g_lo[j], s->p[j], s->p_lo[j]};
    for (uint r = 0; r < rows; r++) {
        real d;
        const real g = gradient_one(&t, j, &one, a, &d);
        const sums here = {g, 0, g * d, 0};
        add_sums(&total, &here);
        next_gradient_rows(&t, by, LY);
    }
    s->g[j] = total.g;
    s->g_lo[j] = total.g_lo;
    s->p[j] = total.p;
    s->p_lo[j] = total.p_lo;
}

/* Asks for the next block of rows in memory's order, so that the walk down this one finds the next there. */
void ask_rows(const backward_run *t, const backward_steps *by, const uint columns, const uint v) {
    if (!TAKES_HINTS) return;
    for (uint r = 0; r < SUM_ROWS_EACH; r++) {
        const uint line = v * SUM_ROWS_EACH + r, lines = (columns + VEC - 1) / VEC, row = line / lines;
        if (row >= SUM_ROWS_EACH) return;
        const uint j = (line - row * lines) * VEC;
        ASK_FOR(t->dy + (SUM_ROWS_EACH + row) * by->dy + j);
        ASK_FOR(t->x + (SUM_ROWS_EACH + row) * by->x + j);
    }
}

/* A work-item's share of rows rows, those LANE_Y + n * LY, of its columns. */
void column_sums_share(const backward_run *first, const backward_steps *by, const uint rows, const uint columns,
                       const column_affine *k, const channel_arrays *a, column_sums *s) {
    const uint mine = rows > LANE_Y ? (rows - LANE_Y - 1) / LY + 1 : 0;
    backward_run t = *first;
    for (uint j = 0; j < min((uint)WIDE, columns + VEC); j++) s->g[j] = s->g_lo[j] = s->p[j] = s->p_lo[j] = 0;
    next_gradient_rows(&t, by, LANE_Y);
    for (uint r = 0; r < mine; r += SUM_ROWS_EACH) {
        const uint now = min(mine - r, (uint)SUM_ROWS_EACH);
        for (uint j = 0; j < columns; j += VEC) {
            const uint at = VECTOR_AT(j / VEC, columns);
            if (at + VEC <= columns) {
                ask_rows(&t, by, columns, j / VEC);
                take_column_vec(s, j, at, &t, by, now, k, a);
            } else {
                for (uint i = j; i < columns; i++) take_column(s, i, &t, by, now, k, a);
            }
        }
        next_gradient_rows(&t, by, (ulong)now * LY);
    }
}

/* Sums of the work-item's columns over all rows of the group. In ALONE they are s already; else they are in scratch, which must
 * hold SUMS * LX * WIDE * LY reals, and added_column reads them. */
void column_sums_of(const backward_run *first, const backward_steps *by, const uint rows, const uint columns,
                    const column_affine *k, const channel_arrays *a, __local real *scratch, column_sums *s) {
    column_sums_share(first, by, rows, columns, k, a, s);
    if (ALONE) return;
    const uint row = LX * WIDE;
    GROUP_BARRIER; /* whoever still reads scratch */
    for (uint j = 0; j < WIDE; j++) {
        const sums one = {s->g[j], s->g_lo[j], s->p[j], s->p_lo[j]};
        put_local_sums(scratch + LANE_Y * row + LANE_X * WIDE + j, row * LY, &one);
    }
    group_add(scratch, row, LY);
}

/* Column j of columns. */
void added_column(const column_sums *s, const uint j, const uint columns, const __local real *scratch, sums *one) {
    const uint slot = SLOT_OF(j, columns);
    if (ALONE)
        *one = (sums){s->g[slot], s->g_lo[slot], s->p[slot], s->p_lo[slot]};
    else
        get_local_sums(scratch + LANE_X * WIDE + j, LX * WIDE * LY, one);
}

/* The affine steps of mine columns from start on, of which columns make a channel. */
void column_affine_again(const ulong start, const uint mine, const ulong channels, const ulong columns,
                         __global const real *constants, const channel_arrays *a, column_affine *k) {
    for (uint j = 0; j < mine; j++) {
        const ulong c = (start + j) / columns;
        statistics s;
        affine one;
        statistics_again(c, channels, constants, a, &s);
        affine_of(c, &s, a, &one);
        put_affine(k, j, &one);
    }
}

/* Sums of every column over every slab of rows_each rows: parts[SUMS][slabs][width]. Groups: tiles by slabs, both in
 * strides. */
__kernel void sums_columns(BACKWARD_INPUTS(ROW_PARAMETERS), ulong outer, ulong channels, ulong columns, ulong slabs,
                           ulong rows_each, ulong each, __global real *parts, ulong parts_offset, __global const real *constants,
                           ulong constants_offset, CHANNEL_PARAMETERS, __local real *scratch) {
    const channel_arrays arrays = CHANNEL_ARRAYS;
    const backward_steps by = {dy_row, x_row, residual_row, mask_run};
    const ulong width = channels * columns;
    for (ulong tile = get_group_id(0) * TILE_COLUMNS; tile < width; tile += get_num_groups(0) * TILE_COLUMNS) {
        const ulong start = tile + LANE_X * each;
        const uint mine = tile_columns(start, width, each);
        column_affine k;
        column_affine_again(start, mine, channels, columns, constants + constants_offset, &arrays, &k);
        for (ulong slab = get_group_id(1); slab < slabs; slab += get_num_groups(1)) {
            const ulong row = slab * rows_each;
            backward_run t;
            column_sums s;
            BACKWARD_COLUMNS_AT(t, row, start);
            column_sums_of(&t, &by, (uint)min(rows_each, outer - row), mine, &k, &arrays, scratch, &s);
            for (uint j = LANE_Y == 0 ? 0 : mine; j < mine; j++) {
                sums one;
                added_column(&s, j, mine, scratch, &one);
                put_global_sums(parts + parts_offset + slab * width + start + j, slabs * width, &one);
            }
        }
    }
}
