/* SPDX-License-Identifier: Apache-2.0
 *
 * An outside program in C++11: as main.c. */
#include <clbn.h>
#include <cmath>
#include <cstdio>
#include <memory>

int main() {
    const float x[] = {1, 5, 3, 9};
    float y[4] = {};
    const size_t dims[] = {2, 2};
    clbn_config config = clbn_config_preset(CLBN_PRESET_ONNX);
    config.rank = 2;
    config.dims = dims;

    clbn_device *made_device = nullptr;
    clbn_status status = clbn_device_create("cpu", nullptr, &made_device);
    std::unique_ptr<clbn_device, decltype(&clbn_device_destroy)> device(made_device, clbn_device_destroy);
    clbn_plan *made_plan = nullptr;
    if (status == CLBN_SUCCESS) status = clbn_plan_create(device.get(), &config, &made_plan);
    std::unique_ptr<clbn_plan, decltype(&clbn_plan_destroy)> plan(made_plan, clbn_plan_destroy);

    clbn_forward_args args = {};
    args.x = clbn_host(x);
    args.y = clbn_host(y);
    if (status == CLBN_SUCCESS) status = clbn_forward_training(plan.get(), nullptr, &args, 0, nullptr, nullptr);
    cl_uint platforms = 0;
    clGetPlatformIDs(0, nullptr, &platforms);
    std::printf("C++: clbn %s, %u OpenCL platforms, status %s, y = %f %f\n", clbn_version(), platforms, clbn_status_name(status),
                static_cast<double>(y[0]), static_cast<double>(y[3]));
    return status != CLBN_SUCCESS || std::fabs(y[0] + 1) > 1e-4f || std::fabs(y[3] - 1) > 1e-4f;
}
