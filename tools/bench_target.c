/* SPDX-License-Identifier: Apache-2.0
 *
 * What the two kinds of bench targets share: which buffers an operation has, what they hold at first, and the call.
 */
#include <math.h>
#include <string.h>

#include "bench.h"

#define IN(op)   (1U << (op))
#define TRAINING IN(OP_TRAINING)
#define FORWARD  (IN(OP_TRAINING) | IN(OP_INFERENCE))
#define BACKWARD IN(OP_BACKWARD)
#define NOISE    NAN

/* Noise lies between 0 and 1: its mean and inv_std are what a training call would have saved. */
static const struct {
    unsigned ops;
    double value;
    int of_residual;
} uses[BENCH_BUFFERS] = {
    [BENCH_X] = {FORWARD | BACKWARD, NOISE, 0},
    [BENCH_Y] = {FORWARD, 0, 0},
    [BENCH_DX] = {BACKWARD, 0, 0},
    [BENCH_DY] = {BACKWARD, NOISE, 0},
    [BENCH_RESIDUAL] = {FORWARD | BACKWARD, NOISE, 1},
    [BENCH_DRESIDUAL] = {BACKWARD, 0, 1},
    [BENCH_GAMMA] = {FORWARD | BACKWARD, 1, 0},
    [BENCH_BETA] = {FORWARD | BACKWARD, 0, 0},
    [BENCH_DGAMMA] = {BACKWARD, 0, 0},
    [BENCH_DBETA] = {BACKWARD, 0, 0},
    [BENCH_RUNNING_MEAN] = {FORWARD, 0, 0},
    [BENCH_RUNNING_VAR] = {FORWARD, 1, 0},
    [BENCH_MEAN] = {TRAINING | BACKWARD, 0.5, 0},
    [BENCH_MEAN_LO] = {TRAINING | BACKWARD, 0, 0},
    [BENCH_INV_STD] = {TRAINING | BACKWARD, 3.46, 0},
};

size_t bench_bytes(const array *a) {
    return a->count * array_type_bytes(a->type);
}

int bench_output(const bench_target *target) {
    return target->op == OP_BACKWARD ? BENCH_DX : BENCH_Y;
}

/* Arrays know no bfloat16: its bits, the upper half of a float's, go where those of a float16 would. */
static void put(array *a, clbn_dtype type, size_t i, double value) {
    float single = (float)value;
    uint32_t bits;
    memcpy(&bits, &single, sizeof bits);
    if (type == CLBN_BF16)
        ((uint16_t *)a->data)[i] = (uint16_t)(bits >> 16);
    else
        array_put(a, i, value);
}

/* Noise repeats after so many elements, a prime: filling takes no longer than copying. */
#define PERIOD ((size_t)65521)

int bench_make(const bench_target *target, int buffer, array *a) {
    static const array_type types[] = {
        [CLBN_F32] = ARRAY_F32, [CLBN_F16] = ARRAY_F16, [CLBN_BF16] = ARRAY_F16, [CLBN_F64] = ARRAY_F64};
    int tensor = buffer < BENCH_TENSORS;
    clbn_dtype type = tensor ? target->dtype : target->real;
    uint32_t state = 1 + (uint32_t)buffer;
    if (!(uses[buffer].ops & (IN(target->op) | target->also)) || (uses[buffer].of_residual && !target->residual))
        return EXIT_DONE;
    TRY(array_make(a, (file_ref){"", target->what}, types[type], 1, tensor ? &target->count : &target->channels));
    for (size_t i = 0; i < a->count && i < PERIOD; i++) {
        state = state * 1664525U + 1013904223U;
        put(a, type, i, isnan(uses[buffer].value) ? (double)(state >> 8) * 0x1p-24 : uses[buffer].value);
    }
    for (size_t done = PERIOD; done < a->count; done += PERIOD) {
        size_t some = a->count - done < PERIOD ? a->count - done : PERIOD;
        size_t bytes = array_type_bytes(a->type);
        memcpy((char *)a->data + done * bytes, a->data, some * bytes);
    }
    return EXIT_DONE;
}

static clbn_status call_forward(const bench_target *target, cl_command_queue queue, const clbn_buffer *buffers, size_t calls) {
    clbn_forward_args args = {.x = buffers[BENCH_X],
                              .y = buffers[BENCH_Y],
                              .gamma = buffers[BENCH_GAMMA],
                              .beta = buffers[BENCH_BETA],
                              .running_mean = buffers[BENCH_RUNNING_MEAN],
                              .running_var = buffers[BENCH_RUNNING_VAR],
                              .saved_mean = buffers[BENCH_MEAN],
                              .saved_mean_lo = buffers[BENCH_MEAN_LO],
                              .saved_inv_std = buffers[BENCH_INV_STD],
                              .residual = buffers[BENCH_RESIDUAL],
                              .update_weight = 0.1};
    clbn_status status = CLBN_SUCCESS;
    for (size_t i = 0; i < calls && status == CLBN_SUCCESS; i++)
        status = target->op == OP_TRAINING ? clbn_forward_training(target->plan, queue, &args, 0, NULL, NULL)
                                           : clbn_forward_inference(target->plan, queue, &args, 0, NULL, NULL);
    return status;
}

static clbn_status call_backward(const bench_target *target, cl_command_queue queue, const clbn_buffer *buffers, size_t calls) {
    clbn_backward_args args = {.dy = buffers[BENCH_DY],
                               .x = buffers[BENCH_X],
                               .dx = buffers[BENCH_DX],
                               .dgamma = buffers[BENCH_DGAMMA],
                               .dbeta = buffers[BENCH_DBETA],
                               .dresidual = buffers[BENCH_DRESIDUAL],
                               .gamma = buffers[BENCH_GAMMA],
                               .beta = buffers[BENCH_BETA],
                               .residual = buffers[BENCH_RESIDUAL],
                               .saved_mean = buffers[BENCH_MEAN],
                               .saved_mean_lo = buffers[BENCH_MEAN_LO],
                               .saved_inv_std = buffers[BENCH_INV_STD]};
    clbn_status status = CLBN_SUCCESS;
    for (size_t i = 0; i < calls && status == CLBN_SUCCESS; i++)
        status = clbn_backward_training(target->plan, queue, &args, 0, NULL, NULL);
    return status;
}

int bench_call(const bench_target *target, cl_command_queue queue, const clbn_buffer *buffers, size_t calls) {
    clbn_buffer own[BENCH_BUFFERS] = {{.kind = CLBN_BUFFER_ABSENT}}; /* those of other operations are absent */
    for (int i = 0; i < BENCH_BUFFERS; i++)
        if (uses[i].ops & IN(target->op)) own[i] = buffers[i];
    clbn_status status =
        target->op == OP_BACKWARD ? call_backward(target, queue, own, calls) : call_forward(target, queue, own, calls);
    return status == CLBN_SUCCESS ? EXIT_DONE : fail_library(target->log, status, target->what);
}
