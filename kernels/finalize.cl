/* SPDX-License-Identifier: Apache-2.0
 *
 * Finalize: a channel's partial moments become its statistics: mean, var, inv_std, the running ones, and the constants of
 * its affine step. Reads like docs/semantics.md.
 */

/* The statistics that normalize a channel. */
typedef struct {
    real mean, mean_lo, var, inv_std;
} statistics;

/* y = ((x - mean) - mean_lo) * scale + beta. */
typedef struct {
    real mean, mean_lo, scale, beta;
} affine;

/* p + error is a * b exactly: 12 bits by 12 bits. */
real two_product(const real a, const real b, real *error) {
#pragma OPENCL FP_CONTRACT OFF
    const real ah = as_float(as_uint(a) & 0xfffff000u), al = a - ah;
    const real bh = as_float(as_uint(b) & 0xfffff000u), bl = b - bh;
    const real p = a * b;
    *error = ((ah * bh - p) + (ah * bl + al * bh)) + al * bl;
    return p;
}

/* 1 / sqrt(v) to about half an ulp: one Newton step, r + r * (1 - v * r * r) / 2, on v scaled by a power of 4. 0 for v = 0. */
real inverse_root(const real v) {
#pragma OPENCL FP_CONTRACT OFF
    const real up = v < (real)0x1p-60f ? (real)0x1p80f : v > (real)0x1p60f ? (real)0x1p-80f : (real)1;
    const real back = v < (real)0x1p-60f ? (real)0x1p40f : v > (real)0x1p60f ? (real)0x1p-40f : (real)1;
    const real scaled = v * up, r = (real)1 / sqrt(scaled);
    real product_lo, square_lo;
    const real product = two_product(scaled, r, &product_lo);
    const real square = two_product(product, r, &square_lo);
    const real rest = (((real)1 - square) - square_lo) - product_lo * r;
    const real refined = (r + r * (rest * (real)0.5)) * back;
    return v == 0 ? 0 : isinf(v) ? 0 : refined;
}

/* What (x - mean) is multiplied with, without gamma. */
real inverse_deviation(const real var, const real epsilon, const uint flags) {
    if ((flags & EPSILON_OUTSIDE) == 0) return inverse_root(var + epsilon);
    const real root = inverse_root(var);
    const real deviation = (var == 0 || isinf(var) ? var : var * root) + epsilon;
    return deviation == 0 ? (real)0 : (real)1 / deviation;
}

void statistics_of_batch(const moments *m, const channel_arrays *a, statistics *s) {
    s->mean = m->hi;
    s->mean_lo = m->lo;
    s->var = (m->m2 + m->m2_lo) / a->count;
    s->inv_std = inverse_deviation(s->var, a->epsilon, a->flags);
}

void statistics_of_population(const ulong c, const channel_arrays *a, statistics *s) {
    s->mean = a->running_mean[c];
    s->mean_lo = 0;
    s->var = a->running_var[c];
    s->inv_std = inverse_deviation(s->var, a->epsilon, a->flags);
}

void affine_of(const ulong c, const statistics *s, const channel_arrays *a, affine *k) {
    k->mean = s->mean;
    k->mean_lo = s->mean_lo;
    k->scale = (a->flags & HAS_GAMMA) != 0 ? a->gamma[c] * s->inv_std : s->inv_std;
    k->beta = (a->flags & HAS_BETA) != 0 ? a->beta[c] : 0;
}

void write_statistics(const ulong c, const statistics *s, const channel_arrays *a) {
    if ((a->flags & HAS_MEAN) != 0) a->mean[c] = s->mean;
    if ((a->flags & HAS_MEAN_LO) != 0) a->mean_lo[c] = s->mean_lo;
    if ((a->flags & HAS_VAR) != 0) a->var[c] = s->var;
    if ((a->flags & HAS_INV_STD) != 0) a->inv_std[c] = s->inv_std;
}

/* A weight of 1 replaces whatever was there, NaN too; a weight of 0 never comes here. */
real moved(const real running, const real batch, const real weight, const real keep) {
    return keep == 0 ? batch : keep * running + weight * batch;
}

void update_running(const ulong c, const statistics *s, const channel_arrays *a) {
    if ((a->flags & UPDATE_RUNNING) == 0) return;
    if ((a->flags & HAS_RUNNING_MEAN) != 0) a->running_mean[c] = moved(a->running_mean[c], s->mean, a->weight, a->keep);
    if ((a->flags & HAS_RUNNING_VAR) != 0) {
        a->running_var[c] = moved(a->running_var[c], s->var * a->bessel, a->weight, a->keep);
    }
}

/* A channel's statistics in the workspace: constants[4][channels]. */
void put_statistics(__global real *constants, const ulong c, const ulong channels, const statistics *s) {
    constants[c] = s->mean;
    constants[channels + c] = s->mean_lo;
    constants[2 * channels + c] = s->var;
    constants[3 * channels + c] = s->inv_std;
}

void get_statistics(__global const real *constants, const ulong c, const ulong channels, statistics *s) {
    s->mean = constants[c];
    s->mean_lo = constants[channels + c];
    s->var = constants[2 * channels + c];
    s->inv_std = constants[3 * channels + c];
}

/* Merges parts[PARTS][chunks][channels * columns] by channel into constants[4][channels]. LX channels a group at a time, LY
 * work-items a channel; scratch holds PARTS * LX * LY reals. */
__kernel void finalize(ulong channels, ulong columns, ulong chunks, __global const real *parts, ulong parts_offset,
                       __global real *constants, ulong constants_offset, CHANNEL_PARAMETERS, __local real *scratch) {
    const channel_arrays arrays = CHANNEL_ARRAYS;
    const uint across = get_local_size(0), along = get_local_size(1), lane_x = get_local_id(0), lane_y = get_local_id(1);
    const ulong width = channels * columns;
    for (ulong first = get_group_id(0) * across; first < channels; first += get_num_groups(0) * across) {
        const ulong c = first + lane_x;
        moments m = {0, 0, 0, 0, 0};
        for (ulong i = c < channels ? lane_y : chunks * columns; i < chunks * columns; i += along) {
            const ulong k = i / columns, at = k * width + c * columns + (i - k * columns);
            moments part;
            get_global(parts + parts_offset + at, chunks * width, &part);
            merge(&m, &part);
        }
        if (!ALONE) {
            GROUP_BARRIER; /* whoever still reads scratch */
            put_local(scratch + lane_y * across + lane_x, across * along, &m);
            group_merge(scratch, across, along);
            get_local(scratch + lane_x, across * along, &m);
        }
        if (lane_y == 0 && c < channels) {
            statistics s;
            statistics_of_batch(&m, &arrays, &s);
            put_statistics(constants + constants_offset, c, channels, &s);
            write_statistics(c, &s, &arrays);
            update_running(c, &s, &arrays);
        }
    }
}
