/* SPDX-License-Identifier: Apache-2.0
 *
 * One launch for a channel's whole way: its group reduces, finalizes and applies, so that the second read of x comes from a
 * cache, and a small batch pays for one launch.
 */

/* Groups: channels, in strides. */
__kernel void fused_planes(FORWARD_PARAMETERS(VIEW_PARAMETERS), ulong outer, ulong channels, ulong inner, CHANNEL_PARAMETERS,
                           __local real *scratch) {
    const channel_arrays arrays = CHANNEL_ARRAYS;
    const forward_steps by = {x_row, residual_row, y_row, channels * mask_run, NEXT_CHANNEL(outer * inner, x_store, x_channel)};
    for (ulong c = get_group_id(1); c < channels; c += get_num_groups(1)) {
        moments m;
        statistics s;
        affine k;
        forward_run t;
        FORWARD_AT(t, 0, c, 0, c * mask_run);
        plane_moments(t.x, x_unit, outer, x_row, (uint)inner, scratch, &m);
        statistics_of_batch(&m, &arrays, &s);
        affine_of(c, &s, &arrays, &k);
        if ((flags & HAS_Y) != 0) apply_rows(&t, &by, outer, (uint)inner, &k, &arrays);
        if (SPEAKS) {
            write_statistics(c, &s, &arrays);
            update_running(c, &s, &arrays);
        }
    }
}

/* Groups: tiles of columns, in strides. A column is a channel. */
__kernel void fused_columns(FORWARD_PARAMETERS(ROW_PARAMETERS), ulong outer, ulong channels, ulong each, CHANNEL_PARAMETERS,
                            __local real *scratch) {
    const channel_arrays arrays = CHANNEL_ARRAYS;
    const forward_steps by = {x_row, residual_row, y_row, mask_run, 0};
    for (ulong tile = get_group_id(0) * TILE_COLUMNS; tile < channels; tile += get_num_groups(0) * TILE_COLUMNS) {
        const ulong start = tile + LANE_X * each;
        const uint mine = tile_columns(start, channels, each);
        column_lanes lanes_here;
        column_affine k;
        forward_run t;
        FORWARD_COLUMNS_AT(t, 0, start);
        const uint n = column_moments(t.x, x_unit, (uint)outer, x_row, mine, &lanes_here, scratch);
        for (uint j = 0; j < mine; j++) {
            moments m;
            statistics s;
            affine one;
            merged_column(&lanes_here, n, j, mine, scratch, &m);
            statistics_of_batch(&m, &arrays, &s);
            affine_of(start + j, &s, &arrays, &one);
            put_affine(&k, j, &one);
            if (LANE_Y == 0) {
                write_statistics(start + j, &s, &arrays);
                update_running(start + j, &s, &arrays);
            }
        }
        if ((flags & HAS_Y) != 0) apply_columns_rows(&t, &by, outer, mine, &k, &arrays);
    }
}
