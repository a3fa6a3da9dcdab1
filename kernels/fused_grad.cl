/* SPDX-License-Identifier: Apache-2.0
 *
 * Backward in one launch: a channel's group finds the statistics again if forward saved none, sums, and applies, so that the
 * second read of dy and x comes from a cache.
 */

/* Does the call bring the statistics that normalized? */
#define HAS_STATISTICS(flags)   (((flags) & (OF_POPULATION | HAS_MEAN)) != 0)
#define WRITES_GRADIENTS(flags) (((flags) & (HAS_DX | HAS_DRESIDUAL)) != 0)

/* Groups: channels, in strides. */
__kernel void fused_grad_planes(BACKWARD_INPUTS(VIEW_PARAMETERS), BACKWARD_OUTPUTS(VIEW_PARAMETERS), ulong outer, ulong channels,
                                ulong inner, __global real *dgamma, ulong dgamma_offset, __global real *dbeta, ulong dbeta_offset,
                                CHANNEL_PARAMETERS, __local real *scratch) {
    const channel_arrays arrays = CHANNEL_ARRAYS;
    const gradient_steps by = {{dy_row, x_row, residual_row, channels * mask_run},
                               dx_row,
                               dresidual_row,
                               NEXT_CHANNEL(outer * inner, y_store, dy_channel),
                               NEXT_CHANNEL(outer * inner, x_store, x_channel)};
    for (ulong c = get_group_id(1); c < channels; c += get_num_groups(1)) {
        statistics s;
        sums total;
        gradient_affine k;
        gradients_here t;
        BACKWARD_AT(t.in, 0, c, 0, c * mask_run);
        GRADIENTS_AT(t.out, 0, c, 0);
        if (HAS_STATISTICS(flags)) {
            statistics_again(c, channels, gamma, &arrays, &s);
        } else {
            moments m;
            plane_moments(t.in.x, x_unit, outer, x_row, (uint)inner, scratch, &m);
            statistics_of_batch(&m, &arrays, &s);
        }
        affine_of(c, &s, &arrays, &k.forward);
        plane_sums_of(&t.in, &by.in, outer, (uint)inner, &k.forward, &arrays, scratch, &total);
        if (SPEAKS) finish_sums(c, &total, outer * inner, &s, &arrays, dgamma + dgamma_offset, dbeta + dbeta_offset);
        slopes_of(&total, outer * inner, &s, &arrays, &k.mean_g, &k.slope);
        if (WRITES_GRADIENTS(flags)) gradient_rows(&t, &by, outer, (uint)inner, &k, &arrays);
    }
}

/* What of a work-item's columns' statistics is needed once more behind the sums. */
typedef struct {
    real mean[WIDE], mean_lo[WIDE], var[WIDE], inv_std[WIDE];
} column_statistics;

void put_found(column_statistics *found, const uint j, const statistics *s) {
    found->mean[j] = s->mean;
    found->mean_lo[j] = s->mean_lo;
    found->var[j] = s->var;
    found->inv_std[j] = s->inv_std;
}

void get_found(const column_statistics *found, const uint j, statistics *s) {
    s->mean = found->mean[j];
    s->mean_lo = found->mean_lo[j];
    s->var = found->var[j];
    s->inv_std = found->inv_std[j];
    s->running_var = 0;
    s->moves = 0;
}

/* The statistics of mine columns from start on, given or found again. */
void find_columns(const backward_run *t, const ulong x_row, const ulong outer, const ulong start, const uint mine,
                  const ulong channels, const channel_arrays *a, __local real *scratch, column_statistics *found) {
    column_lanes lanes_here;
    const bool given = HAS_STATISTICS(a->flags);
    uint n = 0;
    if (!given) n = column_moments(t->x, t->x_unit, (uint)outer, x_row, mine, &lanes_here, scratch);
    for (uint j = 0; j < mine; j++) {
        statistics s;
        if (given) {
            statistics_again(start + j, channels, a->gamma, a, &s);
        } else {
            moments m;
            merged_column(&lanes_here, n, j, mine, scratch, &m);
            statistics_of_batch(&m, a, &s);
        }
        put_found(found, j, &s);
    }
}

/* Groups: tiles of columns, in strides. A column is a channel. */
__kernel void fused_grad_columns(BACKWARD_INPUTS(ROW_PARAMETERS), BACKWARD_OUTPUTS(ROW_PARAMETERS), ulong outer, ulong channels,
                                 ulong each, __global real *dgamma, ulong dgamma_offset, __global real *dbeta, ulong dbeta_offset,
                                 CHANNEL_PARAMETERS, __local real *scratch) {
    const channel_arrays arrays = CHANNEL_ARRAYS;
    const gradient_steps by = {{dy_row, x_row, residual_row, mask_run}, dx_row, dresidual_row, 0, 0};
    for (ulong tile = get_group_id(0) * TILE_COLUMNS; tile < channels; tile += get_num_groups(0) * TILE_COLUMNS) {
        const ulong start = tile + LANE_X * each;
        const uint mine = tile_columns(start, channels, each);
        column_gradients k;
        column_statistics found;
        column_sums s;
        gradients_here t;
        BACKWARD_COLUMNS_AT(t.in, 0, start);
        GRADIENTS_COLUMNS_AT(t.out, 0, start);
        find_columns(&t.in, x_row, outer, start, mine, channels, &arrays, scratch, &found);
        for (uint j = 0; j < mine; j++) {
            affine one;
            statistics one_s;
            get_found(&found, j, &one_s);
            affine_of(start + j, &one_s, &arrays, &one);
            put_affine(&k.forward, j, &one);
        }
        column_sums_of(&t.in, &by.in, (uint)outer, mine, &k.forward, &arrays, scratch, &s);
        for (uint j = 0; j < mine; j++) {
            sums total;
            statistics one_s;
            added_column(&s, j, mine, scratch, &total);
            get_found(&found, j, &one_s);
            if (LANE_Y == 0) finish_sums(start + j, &total, outer, &one_s, &arrays, dgamma + dgamma_offset, dbeta + dbeta_offset);
            slopes_of(&total, outer, &one_s, &arrays, k.mean_g + j, k.slope + j);
        }
        if (WRITES_GRADIENTS(flags)) gradient_columns_rows(&t, &by, outer, mine, &k, &arrays);
    }
}
