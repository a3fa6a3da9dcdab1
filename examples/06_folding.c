/* SPDX-License-Identifier: Apache-2.0
 *
 * 06: a linear layer and its normalization become one layer, for inference.
 *
 * h = x · w + bias by CLBlast's SGEMM, 1797 digits of 64 pixels to 32 values each, then y = batch normalization of h by running
 * statistics; then both folded into w and bias, in place, and y again by a single SGEMM. Bias is w's last row, for an input that
 * is always 1. The same layer in host arrays is folded on the CPU path, and compared. Skipped where there is no OpenCL device. */
#include "table.h"

#include <clbn.h>
#include <clblast_c.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 1797, IN = 64, OUT = 32, SKIPPED = 77 };
static float x[ROWS][IN + 1], w[IN + 1][OUT], folded[IN + 1][OUT], y[ROWS * OUT], again[ROWS * OUT], mean[OUT], var[OUT];

/* A sum of 65 terms is off by at most 65 * 6e-8 of the terms' size, which is below ten deviations of a column: 4e-5, and twice. y
 * reaches four deviations, so the bound is that of the largest. */
static const double bound = 2e-5;

static clbn_status make(clbn_device *device, size_t rows, clbn_plan **plan) {
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 2;
    config.dims = (const size_t[]){rows, OUT};
    return clbn_plan_create(device, &config, plan);
}

static int linear(cl_mem in, cl_mem weight, cl_mem out, cl_command_queue queue) {
    const CLBlastTranspose no = CLBlastTransposeNo;
    return (int)CLBlastSgemm(CLBlastLayoutRowMajor, no, no, ROWS, OUT, IN + 1, 1.0f, in, 0, IN + 1, weight, 0, OUT, 0.0f, out, 0,
                             OUT, &queue, NULL);
}

/* In place. The plan's dims are the weight's, [in][out], and its channels the outputs. */
static clbn_status fold(const clbn_plan *plan, cl_command_queue queue, clbn_buffer weight, clbn_buffer bias,
                        clbn_buffer running_mean, clbn_buffer running_var) {
    clbn_fold_args args = {.weight = weight, .bias = bias, .running_mean = running_mean, .running_var = running_var};
    args.folded_weight = weight;
    args.folded_bias = bias;
    return clbn_fold(plan, queue, &args, 0, NULL, NULL);
}

/* y by layer and normalization, again by the folded layer, and the folded layer: on the device's queue, which is in order. */
static int on_the_device(clbn_device *device) {
    enum { X, W, MEAN, VAR, H, Y, MEMS };
    const size_t sizes[MEMS] = {sizeof x, sizeof w, sizeof mean, sizeof var, sizeof y, sizeof y};
    void *const from[MEMS] = {x, w, mean, var, y, y};
    cl_int code = CL_SUCCESS;
    cl_context context = NULL;
    cl_command_queue queue = NULL;
    cl_mem m[MEMS] = {NULL};
    clbn_plan *layer = NULL, *weight = NULL;
    int failed = 1;
    TRY(clbn_device_get_cl(device, &context, NULL, &queue));
    TRY(make(device, ROWS, &layer));
    TRY(make(device, IN, &weight));
    for (int i = 0; i < MEMS; i++)
        CL((m[i] = clCreateBuffer(context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, sizes[i], from[i], &code), code));

    /* The population is all the digits: a training call of weight 1 leaves its statistics. */
    clbn_forward_args args = {.x = clbn_mem(m[H], 0), .update_weight = 1};
    args.running_mean = clbn_mem(m[MEAN], 0);
    args.running_var = clbn_mem(m[VAR], 0);
    CL(linear(m[X], m[W], m[H], queue));
    TRY(clbn_forward_training(layer, queue, &args, 0, NULL, NULL));
    args.y = clbn_mem(m[Y], 0);
    TRY(clbn_forward_inference(layer, queue, &args, 0, NULL, NULL));

    TRY(fold(weight, queue, clbn_mem(m[W], 0), clbn_mem(m[W], IN * OUT), args.running_mean, args.running_var));
    CL(linear(m[X], m[W], m[H], queue));
    void *const to[MEMS] = {[W] = folded, [MEAN] = mean, [VAR] = var, [H] = again, [Y] = y};
    for (int i = W; i < MEMS; i++) CL(clEnqueueReadBuffer(queue, m[i], CL_TRUE, 0, sizes[i], to[i], 0, NULL, NULL));
    failed = 0;
done:
    clbn_plan_destroy(weight);
    clbn_plan_destroy(layer);
    for (int i = 0; i < MEMS; i++)
        if (m[i]) clReleaseMemObject(m[i]);
    CLBlastClearCache();
    return failed;
}

int main(void) {
    clbn_device *device = NULL, *cpu = NULL;
    clbn_plan *weight = NULL;
    int exit_code = EXIT_FAILURE;
    table digits;
    if (table_read(DATA "digits.csv", &digits)) return EXIT_FAILURE;
    for (size_t i = 0; i < (IN + 1) * OUT; i++) w[i / OUT][i % OUT] = (float)sin((double)i * (double)i); /* any weights will do */
    for (size_t i = 0; i < ROWS * IN; i++) x[i / IN][i % IN] = digits.values[i];
    for (size_t i = 0; i < ROWS; i++) x[i][IN] = 1;
    const clbn_status status = clbn_device_create("opencl", NULL, &device);
    if (status == CLBN_ERROR_NO_DEVICE) exit_code = SKIPPED;
    TRY(status);
    if (on_the_device(device)) goto done;

    TRY(clbn_device_create("cpu", NULL, &cpu));
    TRY(make(cpu, IN, &weight));
    TRY(fold(weight, NULL, clbn_host(w), clbn_host(w[IN]), clbn_host(mean), clbn_host(var)));
    const double off = largest_error(again, y, ROWS * OUT), apart = largest_error(folded[0], w[0], (IN + 1) * OUT);
    printf("the folded layer is off by %.1e of the largest y; host arrays fold to within %.1e of the device's\n", off, apart);
    if (off <= bound && apart <= 2e-6) exit_code = EXIT_SUCCESS;
done:
    clbn_plan_destroy(weight);
    clbn_device_destroy(cpu);
    clbn_device_destroy(device);
    table_free(&digits);
    return exit_code;
}
