/* SPDX-License-Identifier: Apache-2.0
 *
 * 04: one training step of y = relu(bn(x) + residual) on an OpenCL queue.
 *
 * x and residual are images of digits, a channel an image row; a third of the table stands for dy, the gradient that the layer
 * above would give, so that the loss is sum(dy * y). Forward keeps a mask of one bit an element; backward reads it, and adds to a
 * dgamma that holds weight decay's gradient already. The CPU path judges the device; 09 judges the gradients themselves. */
#include "table.h"

#include <clbn.h>
#include <stdio.h>
#include <stdlib.h>

enum { IMAGES = 599, CHANNELS = 8, N = IMAGES * CHANNELS * 8, SKIPPED = 77 };
enum { X, RESIDUAL, DY, Y, DX, DRESIDUAL, MASK, GAMMA, BETA, DGAMMA, DBETA, MEAN, MEAN_LO, INV_STD, ARRAYS };
static const float decay = 50, rate = 1e-6f;
static float host[ARRAYS][N], got[N]; /* as much as the largest of them needs */

typedef struct layer {
    clbn_device *device;
    clbn_plan *plan;
    cl_command_queue queue; /* NULL on the CPU path */
    clbn_buffer a[ARRAYS];
} layer;

static clbn_status make(layer *l, const char *device) {
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 3;
    config.dims = (const size_t[]){IMAGES, CHANNELS, 8};
    config.activation = CLBN_RELU;
    config.residual = config.mask = 1;
    clbn_status status = clbn_device_create(device, NULL, &l->device);
    return status ? status : clbn_plan_create(l->device, &config, &l->plan);
}

static clbn_status forward(const layer *l, cl_event *done) {
    const clbn_buffer *a = l->a;
    clbn_forward_args args = {.x = a[X], .residual = a[RESIDUAL], .gamma = a[GAMMA], .beta = a[BETA], .y = a[Y], .mask = a[MASK]};
    args.saved_mean = a[MEAN];
    args.saved_mean_lo = a[MEAN_LO];
    args.saved_inv_std = a[INV_STD];
    return clbn_forward_training(l->plan, l->queue, &args, 0, NULL, done);
}

static clbn_status backward(const layer *l, const cl_event *after, cl_event *done) {
    const clbn_buffer *a = l->a;
    clbn_backward_args args = {
        .x = a[X], .dy = a[DY], .gamma = a[GAMMA], .mask = a[MASK], .dx = a[DX], .dresidual = a[DRESIDUAL]};
    args.saved_mean = a[MEAN];
    args.saved_mean_lo = a[MEAN_LO];
    args.saved_inv_std = a[INV_STD];
    args.dgamma = a[DGAMMA];
    args.dbeta = a[DBETA];
    args.accumulate = CLBN_ACCUMULATE_DGAMMA;
    return clbn_backward_training(l->plan, l->queue, &args, after != NULL, after, done);
}

static double loss(void) {
    double sum = 0;
    for (size_t c = 0; c < CHANNELS; c++) sum += (double)(decay / 2 * host[GAMMA][c] * host[GAMMA][c]);
    for (size_t i = 0; i < N; i++) sum += (double)host[DY][i] * (double)host[Y][i];
    return sum;
}

/* The device's outputs against the CPU path's. A sum is off by 1e-6 of its terms' sizes: no ten times the largest sum here. */
static int compare(const layer *gpu, const cl_event *done) {
    const int outputs[] = {Y, DX, DRESIDUAL, DGAMMA, DBETA};
    double worst = 0;
    for (int i = 0; i < 5; i++) {
        const size_t count = outputs[i] < MASK ? N : CHANNELS;
        if (clEnqueueReadBuffer(gpu->queue, gpu->a[outputs[i]].mem, CL_TRUE, 0, count * sizeof *got, got, 1, done, NULL))
            return 1;
        worst = worse(worst, largest_error(got, host[outputs[i]], count));
    }
    printf("y and four gradients: the device is off by %.1e of the largest of each\n", worst);
    return !(worst <= 1e-5);
}

int main(void) {
    cl_int code = CL_SUCCESS;
    cl_context context = NULL;
    cl_event forwarded = NULL, stepped = NULL;
    layer gpu = {0}, cpu = {0};
    int exit_code = EXIT_FAILURE;
    table digits;
    if (table_read(DATA "digits.csv", &digits)) return EXIT_FAILURE;
    const clbn_status status = make(&gpu, "opencl");
    if (status == CLBN_ERROR_NO_DEVICE) exit_code = SKIPPED;
    TRY(status);
    TRY(make(&cpu, "cpu"));
    TRY(clbn_device_get_cl(gpu.device, &context, NULL, &gpu.queue));
    for (int a = 0; a < ARRAYS; a++) {
        for (size_t i = 0; i < N && a <= DY; i++) host[a][i] = digits.values[(size_t)a * N + i];
        for (size_t c = 0; c < CHANNELS && a > MASK; c++) host[a][c] = a == GAMMA ? 1 : a == DGAMMA ? decay : 0;
        cpu.a[a] = clbn_host(host[a]);
        const size_t bytes = a == MASK ? clbn_plan_mask_bytes(gpu.plan) : (a < MASK ? N : CHANNELS) * sizeof(float);
        gpu.a[a] = clbn_mem(clCreateBuffer(context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, bytes, host[a], &code), 0);
        CL(code);
    }
    TRY(forward(&gpu, &forwarded)); /* on the device: two calls, chained by an event, and no wait */
    TRY(backward(&gpu, &forwarded, &stepped));
    TRY(forward(&cpu, NULL));
    TRY(backward(&cpu, NULL, NULL));
    if (compare(&gpu, &stepped)) goto done;

    const double before = loss(); /* dgamma and dbeta are known to be right: down they go */
    for (size_t c = 0; c < CHANNELS; c++) host[GAMMA][c] -= rate * host[DGAMMA][c], host[BETA][c] -= rate * host[DBETA][c];
    TRY(forward(&cpu, NULL));
    printf("the loss was %.1f, and is %.1f after the step\n", before, loss());
    if (loss() < before) exit_code = EXIT_SUCCESS;
done:
    if (stepped) clReleaseEvent(stepped);
    if (forwarded) clReleaseEvent(forwarded);
    for (int a = 0; a < ARRAYS; a++)
        if (gpu.a[a].mem) clReleaseMemObject(gpu.a[a].mem);
    for (int i = 0; i < 2; i++) clbn_plan_destroy(i ? gpu.plan : cpu.plan), clbn_device_destroy(i ? gpu.device : cpu.device);
    table_free(&digits);
    return exit_code;
}
