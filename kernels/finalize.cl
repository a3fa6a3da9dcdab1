/* SPDX-License-Identifier: Apache-2.0
 *
 * Finalize: a channel's partial moments become its statistics: mean, var, inv_std, the running ones, and the constants of
 * its affine step. Reads like docs/semantics.md.
 */

/* Every per-channel array of a call. */
#define CHANNEL_PARAMETERS                                                                                                       \
    __global const real *gamma, ulong gamma_offset, __global const real *beta, ulong beta_offset, __global real *running_mean,   \
        ulong running_mean_offset, __global real *running_var, ulong running_var_offset, __global real *saved_mean,              \
        ulong saved_mean_offset, __global real *saved_mean_lo, ulong saved_mean_lo_offset, __global real *saved_var,             \
        ulong saved_var_offset, __global real *saved_inv_std, ulong saved_inv_std_offset, uint flags, real epsilon, real weight, \
        real keep, real low, real high

typedef struct {
    __global const real *gamma, *beta;
    __global real *running_mean, *running_var, *mean, *mean_lo, *var, *inv_std;
    uint flags;
    real epsilon;
    real weight, keep; /* running = keep * running + weight * batch */
    real low, high;    /* of the activation */
} channel_arrays;

#define CHANNEL_ARRAYS                                                                                                  \
    {                                                                                                                   \
        gamma + gamma_offset, beta + beta_offset, running_mean + running_mean_offset, running_var + running_var_offset, \
            saved_mean + saved_mean_offset, saved_mean_lo + saved_mean_lo_offset, saved_var + saved_var_offset,         \
            saved_inv_std + saved_inv_std_offset, flags, epsilon, weight, keep, low, high                               \
    }

/* What a channel's statistics may do beside normalizing. */
#define ARE_THERE 1u /* there were values */
#define MOVE_MEAN 2u
#define MOVE_VAR  4u
/* The statistics that normalize a channel, and the variance that goes into its running one. */
typedef struct {
    real mean, mean_lo, var, inv_std, running_var;
    uint moves;
} statistics;

/* v = ((x - mean) - mean_lo) * scale + beta. */
typedef struct {
    real mean, mean_lo, scale, beta;
} affine;

/* p + error is a * b exactly: half a significand by half a significand. */
real two_product(const real a, const real b, real *error) {
    const real ah = AS_REAL(AS_BITS(a) & UPPER), al = a - ah;
    const real bh = AS_REAL(AS_BITS(b) & UPPER), bl = b - bh;
    const real p = a * b;
    *error = ((ah * bh - p) + (ah * bl + al * bh)) + al * bl;
    return p;
}

/* 1 / sqrt(v) to about half an ulp: one Newton step, r + r * (1 - v * r * r) / 2, on v scaled by a power of 4. 0 for v = 0. */
real inverse_root(const real v) {
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

/* Which running statistics n values move, and by which variance. */
void running_part_of(const ulong n, const uint flags, statistics *s) {
    const bool unbiased = (flags & UNBIASED) != 0,
               skipped = (flags & SKIP_NONFINITE) != 0 && !(isfinite(s->mean) && isfinite(s->var));
    s->running_var = unbiased && n > 1 ? s->var * ((real)1 + (real)1 / (real)(n - 1)) : s->var;
    s->moves = n == 0 ? 0u : ARE_THERE;
    if (n == 0 || skipped) return;
    s->moves |= unbiased && n == 1 ? MOVE_MEAN : MOVE_MEAN | MOVE_VAR;
}

void statistics_of_batch(const moments *m, const channel_arrays *a, statistics *s) {
    s->mean = m->hi;
    s->mean_lo = m->lo;
    s->var = m->n == 0 ? (real)0 : (m->m2 + m->m2_lo) / (real)m->n;
    s->inv_std = inverse_deviation(s->var, a->epsilon, a->flags);
    running_part_of(m->n, a->flags, s);
}

void statistics_of_population(const ulong c, const channel_arrays *a, statistics *s) {
    s->mean = a->running_mean[c];
    s->mean_lo = 0;
    s->var = a->running_var[c];
    s->inv_std = inverse_deviation(s->var, a->epsilon, a->flags);
    s->running_var = 0;
    s->moves = ARE_THERE;
}

void affine_of(const ulong c, const statistics *s, const channel_arrays *a, affine *k) {
    k->mean = s->mean;
    k->mean_lo = s->mean_lo;
    k->scale = (a->flags & HAS_GAMMA) != 0 ? a->gamma[c] * s->inv_std : s->inv_std;
    k->beta = (a->flags & HAS_BETA) != 0 ? a->beta[c] : 0;
    if ((a->flags & FOLDS) != 0) k->mean = k->beta = 0;
}

void write_statistics(const ulong c, const statistics *s, const channel_arrays *a) {
    if ((s->moves & ARE_THERE) == 0) return;
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
    if ((a->flags & HAS_RUNNING_MEAN) != 0 && (s->moves & MOVE_MEAN) != 0) {
        a->running_mean[c] = moved(a->running_mean[c], s->mean, a->weight, a->keep);
    }
    if ((a->flags & HAS_RUNNING_VAR) != 0 && (s->moves & MOVE_VAR) != 0) {
        a->running_var[c] = moved(a->running_var[c], s->running_var, a->weight, a->keep);
    }
}

/* A channel's statistics in the workspace: constants[6][channels]. */
void put_statistics(__global real *constants, const ulong c, const ulong channels, const statistics *s) {
    constants[c] = s->mean;
    constants[channels + c] = s->mean_lo;
    constants[2 * channels + c] = s->var;
    constants[3 * channels + c] = s->inv_std;
    constants[4 * channels + c] = s->running_var;
    constants[5 * channels + c] = (real)s->moves;
}

void get_statistics(__global const real *constants, const ulong c, const ulong channels, statistics *s) {
    s->mean = constants[c];
    s->mean_lo = constants[channels + c];
    s->var = constants[2 * channels + c];
    s->inv_std = constants[3 * channels + c];
    s->running_var = constants[4 * channels + c];
    s->moves = (uint)constants[5 * channels + c];
}

/* A part, as clbn.h has it: five arrays of channels reals, and one count. */
#define PART_REALS      5
#define PART_PARAMETERS __global real *part, ulong part_offset, __global ulong *count, ulong count_offset

void put_part(__global real *part, const ulong c, const ulong channels, const real a, const real a_lo, const real b,
              const real b_lo) {
    part[c] = a;
    part[channels + c] = isfinite(a) ? a_lo : (real)0;
    part[2 * channels + c] = b;
    part[3 * channels + c] = isfinite(b) ? b_lo : (real)0;
    part[4 * channels + c] = 0;
}

/* What finalize does with a channel's moments. */
void finish_channel(const ulong c, const ulong channels, const moments *m, const channel_arrays *a, __global real *constants,
                    __global real *part, __global ulong *count) {
    if ((a->flags & HAS_PART) != 0) {
        put_part(part, c, channels, m->hi, m->lo, m->m2, m->m2_lo);
        if (c == 0) *count = m->n;
        return;
    }
    statistics s;
    statistics_of_batch(m, a, &s);
    put_statistics(constants, c, channels, &s);
    write_statistics(c, &s, a);
    update_running(c, &s, a);
}

/* Merges parts[PARTS][chunks][channels * columns] by channel into constants[6][channels], or into a part. LX channels a group
 * at a time, LY work-items a channel; scratch holds PARTS * LX * LY reals. */
__kernel void finalize(ulong channels, ulong columns, ulong chunks, __global const real *parts, ulong parts_offset,
                       __global real *constants, ulong constants_offset, PART_PARAMETERS, CHANNEL_PARAMETERS,
                       __local real *scratch) {
    const channel_arrays arrays = CHANNEL_ARRAYS;
    const uint across = get_local_size(0), along = get_local_size(1), lane_x = get_local_id(0), lane_y = get_local_id(1);
    const ulong width = channels * columns;
    for (ulong first = get_group_id(0) * across; first < channels; first += get_num_groups(0) * across) {
        const ulong c = first + lane_x;
        moments m = {0, 0, 0, 0, 0};
        for (ulong i = c < channels ? lane_y : chunks * columns; i < chunks * columns; i += along) {
            const ulong k = i / columns, at = k * width + c * columns + (i - k * columns);
            moments one;
            get_global(parts + parts_offset + at, chunks * width, &one);
            merge(&m, &one);
        }
        if (!ALONE) {
            GROUP_BARRIER; /* whoever still reads scratch */
            put_local(scratch + lane_y * across + lane_x, across * along, &m);
            group_merge(scratch, across, along);
            get_local(scratch + lane_x, across * along, &m);
        }
        if (lane_y == 0 && c < channels) {
            finish_channel(c, channels, &m, &arrays, constants + constants_offset, part + part_offset, count + count_offset);
        }
    }
}
