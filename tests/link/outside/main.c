/* SPDX-License-Identifier: Apache-2.0
 *
 * An outside program in C: links, runs on the CPU path, and calls OpenCL itself, through what clbn brought along. */
#include <clbn.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

int main(void) {
    const float x[2][2] = {{1, 5}, {3, 9}};
    float y[2][2] = {{0}};
    cl_uint platforms = 0;
    clbn_device *device = NULL;
    clbn_plan *plan = NULL;
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 2;
    config.dims = (size_t[]){2, 2};
    clbn_status status = clbn_device_create("cpu", NULL, &device);
    if (!status) status = clbn_plan_create(device, &config, &plan);
    if (!status) {
        status = clbn_forward_training(plan, NULL, &(clbn_forward_args){.x = clbn_host(x), .y = clbn_host(y)}, 0, NULL, NULL);
    }
    clbn_plan_destroy(plan);
    clbn_device_destroy(device);
    clGetPlatformIDs(0, NULL, &platforms);
    char version[32];
    snprintf(version, sizeof version, "%d.%d.%d", CLBN_VERSION_MAJOR, CLBN_VERSION_MINOR, CLBN_VERSION_PATCH);
    printf("C: clbn %s, %u OpenCL platforms, status %s, y = %f %f\n", clbn_version(), platforms, clbn_status_name(status),
           (double)y[0][0], (double)y[1][1]);
    return status || strcmp(version, clbn_version()) || fabsf(y[0][0] + 1) > 1e-4f || fabsf(y[1][1] - 1) > 1e-4f;
}
