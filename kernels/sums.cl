/* SPDX-License-Identifier: Apache-2.0
 *
 * Backward's reduce: one read of dy and x gives each channel's sums of g and of g * (x - mean), where g is dy behind the
 * activation. Sums are about the mean, never of g * x. A lane adds a block plainly and blocks exactly, in two floats.
 */

/* Rows of columns that are added plainly. */
#define SUM_ROWS_EACH 16

#define BACKWARD_INPUTS(VIEW)                                                                                                   \
    __global const y_store *dy, VIEW(dy), __global const x_store *x, VIEW(x), __global const y_store *residual, VIEW(residual), \
        __global const uchar *mask, ulong mask_offset, ulong mask_run

/* A run of a channel's values, or of columns: where it begins in each input. */
typedef struct {
    const __global y_store *dy;
    const __global x_store *x;
    const __global y_store *residual;
    const __global uchar *mask;
    ulong dy_unit, x_unit, residual_unit;
} backward_run;

#define BACKWARD_AT(run, row, c, i, mask_at)                                                                               \
    do {                                                                                                                   \
        (run).dy = dy + dy_offset + (row)*dy_row + (c)*dy_channel + STEPS(i, dy_unit);                                     \
        (run).x = x + x_offset + (row)*x_row + (c)*x_channel + STEPS(i, x_unit);                                           \
        (run).residual = residual + residual_offset + (row)*residual_row + (c)*residual_channel + STEPS(i, residual_unit); \
        (run).mask = mask + mask_offset + (mask_at) + (i) / 8;                                                             \
        (run).dy_unit = dy_unit;                                                                                           \
        (run).x_unit = x_unit;                                                                                             \
        (run).residual_unit = residual_unit;                                                                               \
    } while (0)
#define BACKWARD_COLUMNS_AT(run, row, i)                                 \
    do {                                                                 \
        const ulong dy_channel = 0, x_channel = 0, residual_channel = 0; \
        BACKWARD_AT(run, row, 0, i, (row)*mask_run);                     \
    } while (0)

typedef struct {
    ulong dy, x, residual, mask;
} backward_steps;

void next_gradient_rows(backward_run *t, const backward_steps *by, const ulong rows) {
    t->dy += rows * by->dy;
    t->x += rows * by->x;
    t->residual += rows * by->residual;
    t->mask += rows * by->mask;
}

/* ----------------------------------------------------------------------------------------------------------------- values */

/* g of the vector at i, and x - mean, or 0 where the call needs no x. */
vec gradient_vec(const backward_run *t, const uint i, const affine_vec *k, const channel_arrays *a, vec *distance) {
    const vec dy = LOAD_Y_VEC(t->dy + STEPS(i, t->dy_unit), t->dy_unit);
    vec d = 0;
    if (RECOMPUTES || (a->flags & HAS_X) != 0) d = (LOAD_X_VEC(t->x + STEPS(i, t->x_unit), t->x_unit) - k->mean) - k->mean_lo;
    *distance = d;
#if MASK
    return masked_vec(dy, get_mask_vec(t->mask + i / 8), a->low);
#elif RECOMPUTES
    vec v = d * k->scale + k->beta;
#if RESIDUAL
    v += LOAD_Y_VEC(t->residual + STEPS(i, t->residual_unit), t->residual_unit);
#endif
    return GRADIENT_VEC(dy, v, a->low, a->high);
#else
    return dy;
#endif
}

/* The same of one value. */
real gradient_one(const backward_run *t, const uint i, const affine *k, const channel_arrays *a, real *distance) {
    const real dy = LOAD_Y(t->dy + STEPS(i, t->dy_unit));
    real d = 0;
    if (RECOMPUTES || (a->flags & HAS_X) != 0) d = (LOAD_X(t->x + STEPS(i, t->x_unit)) - k->mean) - k->mean_lo;
    *distance = d;
#if MASK
    return (t->mask[i / 8] >> (i % 8) & 1u) != 0 ? dy : DEADENED(real, dy, a->low);
#elif RECOMPUTES
    real v = d * k->scale + k->beta;
#if RESIDUAL
    v += LOAD_Y(t->residual + STEPS(i, t->residual_unit));
#endif
    return GRADIENT(real, dy, v, a->low, a->high);
#else
    return dy;
#endif
}

/* ------------------------------------------------------------------------------------------------------------------- sums */

/* Of g, and of g * (x - mean), in two floats each. */
typedef struct {
    real g, g_lo, p, p_lo;
} sums;

void add_sums(sums *a, const sums *b) {
    TWO_SUM(real, g, g_lo, a->g, b->g);
    TWO_SUM(real, p, p_lo, a->p, b->p);
    a->g = g;
    a->g_lo += b->g_lo + g_lo;
    a->p = p;
    a->p_lo += b->p_lo + p_lo;
}

/* A sum as one real; an infinite one has no rest. */
real joined(const real sum, const real rest) {
    return isfinite(sum) ? sum + rest : sum;
}

/* Sums in memory are SUMS arrays of reals. */
#define DEFINE_SUMS_IN(space, put, get)                         \
    void put(space real *at, const ulong step, const sums *s) { \
        at[0] = s->g;                                           \
        at[step] = s->g_lo;                                     \
        at[2 * step] = s->p;                                    \
        at[3 * step] = s->p_lo;                                 \
    }                                                           \
    void get(const space real *at, const ulong step, sums *s) { \
        s->g = at[0];                                           \
        s->g_lo = at[step];                                     \
        s->p = at[2 * step];                                    \
        s->p_lo = at[3 * step];                                 \
    }
DEFINE_SUMS_IN(__global, put_global_sums, get_global_sums)
DEFINE_SUMS_IN(__local, put_local_sums, get_local_sums)

DEFINE_GROUP_TREE(group_add, sums, put_local_sums, get_local_sums, add_sums)

/* Sums of a vector's lanes. */
typedef struct {
    vec g, g_lo, p, p_lo;
} lane_sums;

void take_sums(lane_sums *s, const vec e, const vec q) {
    TWO_SUM(vec, g, g_lo, s->g, e);
    TWO_SUM(vec, p, p_lo, s->p, q);
    s->g = g;
    s->g_lo += g_lo;
    s->p = p;
    s->p_lo += p_lo;
}

void add_lanes(const lane_sums *s, sums *total) {
    real g[VEC], g_lo[VEC], p[VEC], p_lo[VEC];
    STORE_OWN(s->g, g);
    STORE_OWN(s->g_lo, g_lo);
    STORE_OWN(s->p, p);
    STORE_OWN(s->p_lo, p_lo);
    for (uint j = 0; j < VEC; j++) {
        const sums one = {g[j], g_lo[j], p[j], p_lo[j]};
        add_sums(total, &one);
    }
}

/* ------------------------------------------------------------------------------------------------------------- planes */

/* Plain sums over rows rows of vectors vectors, LX apart, from value i on, in chains as in plane_sums. */
void plane_gradients(const backward_run *first, const backward_steps *by, const uint rows, const uint i, const uint vectors,
                     const affine_vec *k, const channel_arrays *a, vec *sum, vec *products) {
    backward_run t = *first;
    vec e[4] = {(vec)0, (vec)0, (vec)0, (vec)0}, q[4] = {(vec)0, (vec)0, (vec)0, (vec)0};
    const uint step = LX * VEC;
    for (uint r = 0; r < rows; r++) {
        uint v = 0;
        for (; v + 4 <= vectors; v += 4) {
            for (uint u = 0; u < 4; u++) {
                vec d;
                const uint at = i + (v + u) * step;
                ASK_AHEAD(t.x, at, i + vectors * step, by->x);
                ASK_AHEAD(t.dy, at, i + vectors * step, by->dy);
                const vec g = gradient_vec(&t, at, k, a, &d);
                e[u] += g;
                q[u] += g * d;
            }
        }
        if (v < vectors) { /* what fills no four takes turns with them */
            vec rest_e = 0, rest_q = 0;
            for (; v < vectors; v++) {
                vec d;
                const vec g = gradient_vec(&t, i + v * step, k, a, &d);
                rest_e += g;
                rest_q += g * d;
            }
            rest_e += e[0], e[0] = e[1], e[1] = e[2], e[2] = e[3], e[3] = rest_e;
            rest_q += q[0], q[0] = q[1], q[1] = q[2], q[2] = q[3], q[3] = rest_q;
        }
        next_gradient_rows(&t, by, LY);
    }
    *sum = (e[0] + e[1]) + (e[2] + e[3]);
    *products = (q[0] + q[1]) + (q[2] + q[3]);
}

/* Adds the sums over rows rows of the values [i, end) to total: those that fill no vector. */
void plane_tail_gradients(const backward_run *first, const backward_steps *by, const uint rows, const uint i, const uint end,
                          const affine *k, const channel_arrays *a, sums *total) {
    backward_run t = *first;
    sums block = {0, 0, 0, 0};
    for (uint r = 0; r < rows; r++) {
        for (uint j = i; j < end; j++) {
            real d;
            const real g = gradient_one(&t, j, k, a, &d);
            const sums one = {g, 0, g * d, 0};
            add_sums(&block, &one);
        }
        next_gradient_rows(&t, by, LY);
    }
    add_sums(total, &block);
}

/* The group's sums over rows rows of length values; in ALONE the work-item's own. Needs SUMS * LX * LY reals of scratch. */
void plane_sums_of(const backward_run *first, const backward_steps *by, const ulong rows, const uint length, const affine *k,
                   const channel_arrays *a, __local real *scratch, sums *total) {
    const affine_vec kv = {(vec)k->mean, (vec)k->mean_lo, (vec)k->scale, (vec)k->beta};
    lane_sums s = {(vec)0, (vec)0, (vec)0, (vec)0};
    plane_walk w;
    backward_run t = *first;
    walk_planes(rows, length, &w);
    *total = (sums){0, 0, 0, 0};
    next_gradient_rows(&t, by, LANE_Y);
    for (ulong r = 0; r < w.rows; r += w.block_rows) {
        const uint now = (uint)min(w.rows - r, (ulong)w.block_rows);
        for (uint v = 0; v < w.vectors; v += w.block_vectors) {
            vec e, q;
            plane_gradients(&t, by, now, (LANE_X + v * LX) * VEC, min(w.vectors - v, w.block_vectors), &kv, a, &e, &q);
            take_sums(&s, e, q);
        }
        if (w.tail != 0) plane_tail_gradients(&t, by, now, w.tail_at, length, k, a, total);
        next_gradient_rows(&t, by, (ulong)now * LY);
    }
    add_lanes(&s, total);
    if (ALONE) return;
    GROUP_BARRIER; /* whoever still reads scratch */
    put_local_sums(scratch + LANE_Y * LX + LANE_X, LX * LY, total);
    group_add(scratch, 1, LX * LY);
    get_local_sums(scratch, LX * LY, total);
}

/* The statistics that normalized channel c: the population's, those that forward saved, or those that finalize found again. */
void statistics_again(const ulong c, const ulong channels, __global const real *constants, const channel_arrays *a,
                      statistics *s) {
    if ((a->flags & (OF_POPULATION | HAS_MEAN)) != HAS_MEAN) {
        statistics_for(c, channels, constants, a, s);
        return;
    }
    const bool outside = (a->flags & EPSILON_OUTSIDE) != 0;
    s->mean = a->mean[c];
    s->mean_lo = (a->flags & HAS_MEAN_LO) != 0 ? a->mean_lo[c] : (real)0;
    s->var = outside ? a->var[c] : (real)0;
    s->inv_std = outside ? inverse_deviation(s->var, a->epsilon, a->flags) : a->inv_std[c];
    s->running_var = 0;
    s->moves = ARE_THERE;
}

/* Sums of every chunk: parts[SUMS][chunks][channels]. Groups: chunks by channels, both in strides. */
__kernel void sums_planes(BACKWARD_INPUTS(VIEW_PARAMETERS), PLANE_PARAMETERS, __global real *parts, ulong parts_offset,
                          __global const real *constants, ulong constants_offset, CHANNEL_PARAMETERS, __local real *scratch) {
    const channel_arrays arrays = CHANNEL_ARRAYS;
    const backward_steps by = {dy_row, x_row, residual_row, channels * mask_run};
    for (ulong c = get_group_id(1); c < channels; c += get_num_groups(1)) {
        statistics s;
        affine affine_c;
        statistics_again(c, channels, constants + constants_offset, &arrays, &s);
        affine_of(c, &s, &arrays, &affine_c);
        for (ulong k = get_group_id(0); k < chunks; k += get_num_groups(0)) {
            chunk part;
            backward_run t;
            sums total;
            plane_chunk(k, outer, inner, rows_each, pieces, length_each, &part);
            BACKWARD_AT(t, part.row, c, part.start, (part.row * channels + c) * mask_run);
            plane_sums_of(&t, &by, part.rows, part.length, &affine_c, &arrays, scratch, &total);
            if (SPEAKS) put_global_sums(parts + parts_offset + k * channels + c, chunks * channels, &total);
        }
    }
}
