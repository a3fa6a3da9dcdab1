/* SPDX-License-Identifier: Apache-2.0
 *
 * Presets, and plans: a config is checked, becomes three numbers, and the backend makes the rest ready.
 */
#include "internal.h"

#include <float.h>
#include <stdlib.h>

static const struct {
    double epsilon;
    clbn_running_variance running_variance;
    double update_weight;
} presets[] = {
    [CLBN_PRESET_PYTORCH] = {1e-5, CLBN_RUNNING_UNBIASED, 0.1},
    [CLBN_PRESET_TENSORFLOW] = {1e-3, CLBN_RUNNING_BIASED, 0.01},
    [CLBN_PRESET_ONNX] = {1e-5, CLBN_RUNNING_BIASED, 0.1},
};

static size_t preset_index(clbn_preset preset) {
    const size_t index = (size_t)preset;
    return index < sizeof presets / sizeof *presets ? index : CLBN_PRESET_PYTORCH;
}

clbn_config clbn_config_preset(clbn_preset preset) {
    const size_t i = preset_index(preset);
    clbn_config config = {.axis = 1,
                          .dtype = CLBN_F32,
                          .epsilon = presets[i].epsilon,
                          .epsilon_rule = CLBN_EPSILON_INSIDE,
                          .running_variance = presets[i].running_variance};
    return config;
}

double clbn_preset_update_weight(clbn_preset preset) {
    return presets[preset_index(preset)].update_weight;
}

static clbn_status check_config(const clbn_device *device, const clbn_config *config, clbn_shape *shape) {
    CHECK(config->dtype == CLBN_F32, device, CLBN_ERROR_INVALID_ARGUMENT, "dtype is %d; it must be CLBN_F32", (int)config->dtype);
    TRY(clbn_shape_make(device, config, sizeof(float), shape));
    CHECK(config->epsilon == 0 || (config->epsilon >= (double)FLT_MIN && config->epsilon <= (double)FLT_MAX), device,
          CLBN_ERROR_INVALID_VALUE, "epsilon is %g; it must be 0, or from %g to %g", config->epsilon, (double)FLT_MIN,
          (double)FLT_MAX);
    CHECK(config->epsilon_rule == CLBN_EPSILON_INSIDE || config->epsilon_rule == CLBN_EPSILON_OUTSIDE, device,
          CLBN_ERROR_INVALID_ARGUMENT, "epsilon_rule is %d; it must be CLBN_EPSILON_INSIDE or CLBN_EPSILON_OUTSIDE",
          (int)config->epsilon_rule);
    CHECK(config->running_variance == CLBN_RUNNING_BIASED || config->running_variance == CLBN_RUNNING_UNBIASED, device,
          CLBN_ERROR_INVALID_ARGUMENT, "running_variance is %d; it must be CLBN_RUNNING_BIASED or CLBN_RUNNING_UNBIASED",
          (int)config->running_variance);
    return CLBN_SUCCESS;
}

clbn_status clbn_plan_create(clbn_device *device, const clbn_config *config, clbn_plan **plan) {
    CHECK(plan != NULL, device, CLBN_ERROR_INVALID_ARGUMENT, "plan is NULL; it must point to where the plan goes");
    *plan = NULL;
    CHECK(device != NULL, device, CLBN_ERROR_INVALID_ARGUMENT, "device is NULL");
    CHECK(config != NULL, device, CLBN_ERROR_INVALID_ARGUMENT, "config is NULL; start one from clbn_config_preset");
    clbn_shape shape;
    TRY(check_config(device, config, &shape));

    clbn_plan *made = calloc(1, sizeof *made);
    CHECK(made != NULL, device, CLBN_ERROR_OUT_OF_HOST_MEMORY, "no host memory for a plan");
    made->device = device;
    made->shape = shape;
    made->epsilon = config->epsilon;
    made->epsilon_rule = config->epsilon_rule;
    made->running_variance = config->running_variance;
    made->info.outer = shape.outer;
    made->info.channels = shape.channels;
    made->info.inner = shape.inner;
    const clbn_status status = device->backend->plan_open(made, config);
    if (status != CLBN_SUCCESS) {
        free(made);
        return status;
    }
    clbn_device_retain(device);
    *plan = made;
    return CLBN_SUCCESS;
}

void clbn_plan_destroy(clbn_plan *plan) {
    if (plan == NULL) return;
    clbn_device *device = plan->device;
    device->backend->plan_close(plan);
    free(plan);
    clbn_device_destroy(device);
}

clbn_status clbn_plan_query(const clbn_plan *plan, clbn_plan_info *info) {
    if (plan == NULL || info == NULL) {
        return clbn_tell(plan ? plan->device : NULL, CLBN_ERROR_INVALID_ARGUMENT, 0, "%s is NULL", plan ? "info" : "plan");
    }
    *info = plan->info;
    return CLBN_SUCCESS;
}

const char *clbn_variant_name(size_t index) {
    return clbn_opencl_variant_name(index);
}
