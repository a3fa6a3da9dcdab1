/* SPDX-License-Identifier: Apache-2.0
 *
 * 02: clbn inside a pipeline of its user's: own context, queue, buffers and events.
 *
 * A linear layer h = x · w by CLBlast's SGEMM, 1797 digits of 64 pixels to 32 values each, then y = batch normalization of h
 * on the same queue. The host waits once, for y. */
#include "table.h"

#include <clbn.h>
#include <clblast_c.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { IN = 64, OUT = 32, MAX_DEVICES = 64 };

/* The OpenCL device that clbn's "auto" tries first, as OpenCL knows it; NULL if there is none. */
static cl_device_id pick_device(void) {
    clbn_device_info infos[MAX_DEVICES];
    cl_platform_id platforms[MAX_DEVICES];
    cl_device_id devices[MAX_DEVICES];
    size_t count = 0, i = 0;
    unsigned platform, device;
    if (clbn_device_list(NULL, infos, MAX_DEVICES, &count) || count > MAX_DEVICES) return NULL;
    while (i < count && !(infos[i].usable && infos[i].auto_rank == 0)) i++;
    if (i == count || sscanf(infos[i].name, "%u:%u", &platform, &device) != 2) return NULL;
    if (clGetPlatformIDs(MAX_DEVICES, platforms, NULL)) return NULL;
    if (clGetDeviceIDs(platforms[platform], CL_DEVICE_TYPE_ALL, MAX_DEVICES, devices, NULL)) return NULL;
    printf("%s: %s\n", infos[i].name, infos[i].device);
    return devices[device];
}

/* Every column of y against the layer and the normalization computed here. SGEMM's sums of 64 terms are off by at most
 * 64 * 6e-8 of the terms' size, which is below ten deviations of a column; clbn adds 1e-6. */
static int check(const float *x, const float *w, const float *y, float *h, size_t rows, double epsilon) {
    double worst = 0, mean, deviation;
    for (size_t c = 0; c < OUT; c++) {
        for (size_t i = 0; i < rows; i++) {
            double sum = 0;
            for (size_t k = 0; k < IN; k++) sum += (double)x[i * IN + k] * (double)w[k * OUT + c];
            h[i] = (float)sum;
        }
        column_moments(h, rows, 1, 0, &mean, &deviation);
        for (size_t i = 0; i < rows; i++) {
            double should = ((double)h[i] - mean) / sqrt(deviation * deviation + epsilon);
            worst = worse(worst, fabs((double)y[i * OUT + c] - should));
        }
    }
    printf("%zu x %d -> %d, normalized: largest error %.1e\n", rows, IN, OUT, worst);
    return !(worst <= 4e-5);
}

int main(void) {
    cl_int code = CL_SUCCESS;
    cl_context context = NULL;
    cl_command_queue queue = NULL;
    cl_mem x = NULL, w = NULL, h = NULL, y = NULL;
    cl_event multiplied = NULL, normalized = NULL;
    clbn_device *device = NULL;
    clbn_plan *plan = NULL;
    float weights[IN * OUT], *result = NULL;
    int exit_code = EXIT_FAILURE;
    table digits;
    cl_device_id cl_device = pick_device();
    if (!cl_device || table_read(DATA "digits.csv", &digits)) return EXIT_FAILURE;
    const size_t rows = digits.rows, bytes = rows * OUT * sizeof(float);
    result = malloc(bytes + rows * sizeof *result); /* y, and a column for check */
    if (!result) goto done;
    for (size_t i = 0; i < IN * OUT; i++) weights[i] = (float)sin((double)i * (double)i); /* any weights will do */

    CL((context = clCreateContext(NULL, 1, &cl_device, NULL, NULL, &code), code));
    CL((queue = clCreateCommandQueue(context, cl_device, 0, &code), code));
    const cl_mem_flags filled = CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR;
    CL((x = clCreateBuffer(context, filled, rows * IN * sizeof(float), digits.values, &code), code));
    CL((w = clCreateBuffer(context, filled, sizeof weights, weights, &code), code));
    CL((h = clCreateBuffer(context, CL_MEM_READ_WRITE, bytes, NULL, &code), code));
    CL((y = clCreateBuffer(context, CL_MEM_READ_WRITE, bytes, NULL, &code), code));

    /* All that takes time to make is made here, on the context above. */
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 2;
    config.dims = (const size_t[]){rows, OUT};
    TRY(clbn_device_create_from_cl(context, cl_device, NULL, &device));
    TRY(clbn_plan_create(device, &config, &plan));

    /* Two enqueues, chained by an event: right on an out-of-order queue too. Neither waits. */
    CL(CLBlastSgemm(CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeNo, rows, OUT, IN, 1.0f, x, 0, IN, w, 0, OUT, 0.0f,
                    h, 0, OUT, &queue, &multiplied));
    TRY(clbn_forward_training(plan, queue, &(clbn_forward_args){.x = clbn_mem(h, 0), .y = clbn_mem(y, 0)}, 1, &multiplied,
                              &normalized));
    CL(clEnqueueReadBuffer(queue, y, CL_TRUE, 0, bytes, result, 1, &normalized, NULL));

    if (check(digits.values, weights, result, result + rows * OUT, rows, config.epsilon)) goto done;
    exit_code = EXIT_SUCCESS;
done:
    if (normalized) clReleaseEvent(normalized);
    if (multiplied) clReleaseEvent(multiplied);
    clbn_plan_destroy(plan);
    clbn_device_destroy(device);
    cl_mem buffers[] = {x, w, h, y};
    for (int i = 0; i < 4; i++)
        if (buffers[i]) clReleaseMemObject(buffers[i]);
    if (queue) clReleaseCommandQueue(queue);
    if (context) clReleaseContext(context);
    CLBlastClearCache();
    free(result);
    table_free(&digits);
    return exit_code;
}
