/* SPDX-License-Identifier: Apache-2.0
 *
 * What is done channel by channel and touches no batch: statistics from the caller's parts, their merge, the update of running
 * statistics, a folded bias. Parts are parts[part_count][PART_REALS][channels] with counts[part_count], taken in index order.
 */
#define PARTS_PARAMETERS \
    __global const real *parts, ulong parts_offset, __global const ulong *counts, ulong counts_offset, ulong part_count
#define EACH_CHANNEL(c)         \
    ulong c = get_global_id(0); \
    c < channels;               \
    c += get_global_size(0)

void merge_given(const ulong c, const ulong channels, __global const real *parts, __global const ulong *counts,
                 const ulong part_count, moments *m) {
    *m = (moments){0, 0, 0, 0, 0};
    for (ulong k = 0; k < part_count; k++) {
        const __global real *p = parts + k * PART_REALS * channels + c;
        const moments one = {counts[k], p[0], p[channels], p[2 * channels], p[3 * channels]};
        if (one.n != 0) merge(m, &one);
    }
}

/* Returns how many values they are of. */
ulong add_given(const ulong c, const ulong channels, __global const real *parts, __global const ulong *counts,
                const ulong part_count, sums *total) {
    ulong n = 0;
    *total = (sums){0, 0, 0, 0};
    for (ulong k = 0; k < part_count; k++) {
        const __global real *p = parts + k * PART_REALS * channels + c;
        const sums one = {p[0], p[channels], p[2 * channels], p[3 * channels]};
        if (counts[k] != 0) add_sums(total, &one);
        n += counts[k];
    }
    return n;
}

__kernel void finalize_parts(ulong channels, PARTS_PARAMETERS, __global real *constants, ulong constants_offset, PART_PARAMETERS,
                             CHANNEL_PARAMETERS) {
    const channel_arrays arrays = CHANNEL_ARRAYS;
    for (EACH_CHANNEL(c)) {
        moments m;
        merge_given(c, channels, parts + parts_offset, counts + counts_offset, part_count, &m);
        finish_channel(c, channels, &m, &arrays, constants + constants_offset, part + part_offset, count + count_offset);
    }
}

__kernel void finalize_sums_parts(ulong channels, PARTS_PARAMETERS, GRADIENT_PARAMETERS, CHANNEL_PARAMETERS) {
    const channel_arrays arrays = CHANNEL_ARRAYS;
    for (EACH_CHANNEL(c)) {
        sums total;
        const ulong n = add_given(c, channels, parts + parts_offset, counts + counts_offset, part_count, &total);
        finish_channel_sums(c, channels, &total, n, &arrays, dgamma + dgamma_offset, dbeta + dbeta_offset, part + part_offset,
                            count + count_offset, constants + constants_offset);
    }
}

__kernel void merge_sums_parts(ulong channels, PARTS_PARAMETERS, PART_PARAMETERS) {
    for (EACH_CHANNEL(c)) {
        sums total;
        const ulong n = add_given(c, channels, parts + parts_offset, counts + counts_offset, part_count, &total);
        put_part(part + part_offset, c, channels, total.g, total.g_lo, total.p, total.p_lo);
        if (c == 0) count[count_offset] = n;
    }
}

/* running_* take the statistics at saved_mean and saved_var, of n values. */
__kernel void update_running_alone(ulong channels, ulong n, CHANNEL_PARAMETERS) {
    const channel_arrays arrays = CHANNEL_ARRAYS;
    for (EACH_CHANNEL(c)) {
        statistics s;
        s.mean = (flags & HAS_MEAN) != 0 ? arrays.mean[c] : (real)0;
        s.mean_lo = 0;
        s.var = (flags & HAS_VAR) != 0 ? arrays.var[c] : (real)0;
        s.inv_std = 0;
        running_part_of(n, flags, &s);
        update_running(c, &s, &arrays);
    }
}

__kernel void fold_bias(ulong channels, __global const real *bias, ulong bias_offset, __global real *folded, ulong folded_offset,
                        CHANNEL_PARAMETERS) {
    const channel_arrays arrays = CHANNEL_ARRAYS;
    for (EACH_CHANNEL(c)) {
        statistics s;
        statistics_of_population(c, &arrays, &s);
        const real scale = (flags & HAS_GAMMA) != 0 ? arrays.gamma[c] * s.inv_std : s.inv_std;
        const real shift = (flags & HAS_BETA) != 0 ? arrays.beta[c] : (real)0;
        const real from = (flags & HAS_BIAS) != 0 ? bias[bias_offset + c] : (real)0;
        folded[folded_offset + c] = (from - s.mean) * scale + shift;
    }
}
