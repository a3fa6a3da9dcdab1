/* SPDX-License-Identifier: Apache-2.0
 *
 * Presets, and plans: a config is checked, becomes three numbers, and the backend makes the rest ready, or hears what to prefer.
 */
#include "internal.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

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
                          .y_dtype = CLBN_AS_X,
                          .epsilon = presets[i].epsilon,
                          .epsilon_rule = CLBN_EPSILON_INSIDE,
                          .running_variance = presets[i].running_variance};
    return config;
}

double clbn_preset_update_weight(clbn_preset preset) {
    return presets[preset_index(preset)].update_weight;
}

/* ------------------------------------------------------------------------------------------------------------- the config */

/* What y_dtype says, once CLBN_AS_X has its meaning. */
static clbn_dtype y_type_of(const clbn_config *config) {
    return config->y_dtype == CLBN_AS_X ? config->dtype : config->y_dtype;
}

static clbn_status check_types(const clbn_device *device, const clbn_config *config) {
    CHECK(clbn_dtype_bytes(config->dtype) != 0, device, CLBN_ERROR_INVALID_ARGUMENT,
          "dtype is %d; it must be CLBN_F32, CLBN_F16, CLBN_BF16, CLBN_F64 or CLBN_I8", (int)config->dtype);
    CHECK(clbn_dtype_bytes(y_type_of(config)) != 0, device, CLBN_ERROR_INVALID_ARGUMENT,
          "y_dtype is %d; it must be CLBN_F32, CLBN_F16, CLBN_BF16, CLBN_F64, CLBN_I8 or CLBN_AS_X", (int)config->y_dtype);
    const bool wide = config->dtype == CLBN_F64 || y_type_of(config) == CLBN_F64;
    CHECK(!wide || device->info.has_fp64, device, CLBN_ERROR_UNSUPPORTED,
          "float64 is asked for, and %s has none; the CPU path has", device->info.device);
    return CLBN_SUCCESS;
}

static clbn_status check_epsilon(const clbn_device *device, const clbn_config *config) {
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

static clbn_status check_activation(const clbn_device *device, const clbn_config *config) {
    const clbn_activation a = config->activation;
    CHECK(a >= CLBN_IDENTITY && a <= CLBN_CUSTOM, device, CLBN_ERROR_INVALID_ARGUMENT,
          "activation is %d; it must be CLBN_IDENTITY, CLBN_RELU, CLBN_LEAKY_RELU, CLBN_CLIP, CLBN_SILU or CLBN_CUSTOM", (int)a);
    CHECK(a != CLBN_LEAKY_RELU || fabs(config->slope) <= (double)FLT_MAX, device, CLBN_ERROR_INVALID_VALUE,
          "slope is %g; that of CLBN_LEAKY_RELU must be a finite float", config->slope);
    CHECK(a != CLBN_CLIP || config->low <= config->high, device, CLBN_ERROR_INVALID_VALUE,
          "low is %g and high is %g; CLBN_CLIP needs low <= high", config->low, config->high);
    CHECK(config->residual == 0 || config->residual == 1, device, CLBN_ERROR_INVALID_ARGUMENT,
          "residual is %d; it must be 0 or 1", config->residual);
    CHECK(config->mask == 0 || config->mask == 1, device, CLBN_ERROR_INVALID_ARGUMENT, "mask is %d; it must be 0 or 1",
          config->mask);
    CHECK(!config->mask || a == CLBN_RELU || a == CLBN_LEAKY_RELU || a == CLBN_CLIP, device, CLBN_ERROR_UNSUPPORTED,
          "mask is 1, and the activation is none whose derivative one bit tells: CLBN_RELU, CLBN_LEAKY_RELU, CLBN_CLIP");
    if (a != CLBN_CUSTOM) return CLBN_SUCCESS;
    CHECK(config->custom != NULL, device, CLBN_ERROR_INVALID_ARGUMENT, "custom is NULL; CLBN_CUSTOM needs it");
    const bool on_cpu = device->info.kind == CLBN_DEVICE_CPU_PATH;
    CHECK(on_cpu || (config->custom->value && config->custom->derivative), device, CLBN_ERROR_INVALID_ARGUMENT,
          "custom.%s is NULL; a plan of an OpenCL device needs both expressions", config->custom->value ? "derivative" : "value");
    CHECK(!on_cpu || (config->custom->value_fn && config->custom->derivative_fn), device, CLBN_ERROR_INVALID_ARGUMENT,
          "custom.%s is NULL; a plan of the CPU path needs both functions",
          config->custom->value_fn ? "derivative_fn" : "value_fn");
    return CLBN_SUCCESS;
}

/* ---------------------------------------------------------------------------------------------------------------- the plan */

static void free_texts(clbn_plan *plan) {
    free((void *)(uintptr_t)plan->custom.value);
    free((void *)(uintptr_t)plan->custom.derivative);
}

static const char *copy_text(const char *text) {
    char *copy = text ? malloc(strlen(text) + 1) : NULL;
    return copy ? strcpy(copy, text) : NULL;
}

/* The caller's texts become the plan's own. */
static clbn_status own_texts(clbn_plan *plan) {
    const clbn_custom_activation given = plan->custom;
    plan->custom.value = copy_text(given.value);
    plan->custom.derivative = copy_text(given.derivative);
    const bool copied = !given.value == !plan->custom.value && !given.derivative == !plan->custom.derivative;
    CHECK(copied, plan->device, CLBN_ERROR_OUT_OF_HOST_MEMORY, "no host memory for the activation's expressions");
    return CLBN_SUCCESS;
}

/* A checked config as a plan, without what its backend makes; the texts are the caller's. */
static clbn_status describe(clbn_device *device, const clbn_config *config, clbn_plan *plan) {
    CHECK(device != NULL, device, CLBN_ERROR_INVALID_ARGUMENT, "device is NULL");
    CHECK(config != NULL, device, CLBN_ERROR_INVALID_ARGUMENT, "config is NULL; start one from clbn_config_preset");
    TRY(check_types(device, config));
    *plan = (clbn_plan){.device = device, .x_type = config->dtype, .y_type = y_type_of(config)};
    const size_t bytes = clbn_max(clbn_dtype_bytes(plan->x_type), clbn_dtype_bytes(plan->y_type));
    TRY(clbn_shape_make(device, config, bytes, &plan->shape, plan->views));
    TRY(check_epsilon(device, config));
    TRY(check_activation(device, config));
    plan->real_type = plan->x_type == CLBN_F64 || plan->y_type == CLBN_F64 ? CLBN_F64 : CLBN_F32;
    plan->epsilon = config->epsilon;
    plan->epsilon_rule = config->epsilon_rule;
    plan->running_variance = config->running_variance;
    plan->activation = config->activation;
    plan->slope = config->slope;
    plan->low = config->low;
    plan->high = config->high;
    if (config->activation == CLBN_CUSTOM) plan->custom = *config->custom;
    plan->residual = config->residual;
    plan->mask = config->mask;
    plan->info = (clbn_plan_info){.outer = plan->shape.outer,
                                  .channels = plan->shape.channels,
                                  .inner = plan->shape.inner,
                                  .dtype = plan->x_type,
                                  .y_dtype = plan->y_type,
                                  .channel_dtype = plan->real_type};
    return CLBN_SUCCESS;
}

clbn_status clbn_plan_make(clbn_device *device, const clbn_config *config, bool is_trial, clbn_plan **plan) {
    CHECK(plan != NULL, device, CLBN_ERROR_INVALID_ARGUMENT, "plan is NULL; it must point to where the plan goes");
    *plan = NULL;
    clbn_plan described;
    TRY(describe(device, config, &described));
    clbn_plan *made = malloc(sizeof *made);
    CHECK(made != NULL, device, CLBN_ERROR_OUT_OF_HOST_MEMORY, "no host memory for a plan");
    *made = described;
    made->is_trial = is_trial;
    clbn_status status = own_texts(made);
    if (status == CLBN_SUCCESS) status = device->backend->plan_open(made, config);
    if (status != CLBN_SUCCESS) {
        free_texts(made);
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
    free_texts(plan);
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

size_t clbn_plan_mask_bytes(const clbn_plan *plan) {
    return plan ? plan->mask_bytes : 0;
}

clbn_status clbn_device_prefer(clbn_device *device, const clbn_config *config, const char *variant) {
    clbn_plan described;
    TRY(describe(device, config, &described));
    CHECK(device->backend->prefer != NULL, device, CLBN_ERROR_UNSUPPORTED,
          "variant is %s%s%s; the CPU path has no variants to prefer", variant ? "\"" : "", variant ? variant : "NULL",
          variant ? "\"" : "");
    return device->backend->prefer(&described, variant);
}

const char *clbn_variant_name(size_t index) {
    return clbn_opencl_variant_name(index);
}
