/* SPDX-License-Identifier: Apache-2.0
 *
 * What the two kinds of bench targets share: how long each buffer is, what it holds at first, and the call.
 */
#include "bench.h"

size_t bench_buffer_count(const bench_target *target, int buffer) {
    return buffer == BENCH_X || buffer == BENCH_Y ? target->count : target->channels;
}

/* x is noise between 0 and 1, from a counter; the running variance is 1, gamma is 1, what is left is 0. */
void bench_fill(int buffer, float *values, size_t count) {
    uint32_t state = 1;
    float constant = buffer == BENCH_GAMMA || buffer == BENCH_RUNNING_VAR ? 1.0F : 0.0F;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525U + 1013904223U;
        values[i] = buffer == BENCH_X ? (float)(state >> 8) * 0x1p-24F : constant;
    }
}

int bench_call(const bench_target *target, cl_command_queue queue, const clbn_buffer *buffers, size_t calls) {
    int training = target->op == MODE_TRAINING;
    clbn_buffer nothing = clbn_host(NULL);
    clbn_forward_args args = {.x = buffers[BENCH_X],
                              .y = buffers[BENCH_Y],
                              .gamma = buffers[BENCH_GAMMA],
                              .beta = buffers[BENCH_BETA],
                              .running_mean = buffers[BENCH_RUNNING_MEAN],
                              .running_var = buffers[BENCH_RUNNING_VAR],
                              .saved_mean = training ? buffers[BENCH_MEAN] : nothing,
                              .saved_mean_lo = training ? buffers[BENCH_MEAN_LO] : nothing,
                              .saved_inv_std = training ? buffers[BENCH_INV_STD] : nothing,
                              .update_weight = 0.1};
    clbn_status status = CLBN_SUCCESS;
    for (size_t i = 0; i < calls && status == CLBN_SUCCESS; i++)
        status = training ? clbn_forward_training(target->plan, queue, &args, 0, NULL, NULL)
                          : clbn_forward_inference(target->plan, queue, &args, 0, NULL, NULL);
    return status == CLBN_SUCCESS ? EXIT_DONE : fail_library(target->log, status, target->what);
}
