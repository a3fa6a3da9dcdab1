/* SPDX-License-Identifier: Apache-2.0
 *
 * Devices by name: which backend, which order auto tries, who keeps a device alive.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

static clbn_device *device_new(const clbn_device_options *options) {
    clbn_device *device = calloc(1, sizeof *device);
    if (device == NULL) return NULL;
    atomic_init(&device->references, 1);
    if (options) {
        device->message = options->message;
        device->user_data = options->user_data;
        device->skip_trials = options->skip_trials != 0;
    }
    if (options && options->cache_dir && options->cache_dir[0]) {
        device->cache_dir = malloc(strlen(options->cache_dir) + 1);
        if (device->cache_dir == NULL) {
            free(device);
            return NULL;
        }
        strcpy(device->cache_dir, options->cache_dir);
    }
    return device;
}

static void device_free(clbn_device *device) {
    free(device->cache_dir);
    free(device);
}

void clbn_device_retain(clbn_device *device) {
    atomic_fetch_add(&device->references, 1);
}

void clbn_device_destroy(clbn_device *device) {
    if (device == NULL || atomic_fetch_sub(&device->references, 1) != 1) return;
    if (device->backend) device->backend->device_close(device);
    device_free(device);
}

/* Just the places that messages go to, for functions without a device. */
static clbn_device message_only(const clbn_device_options *options) {
    clbn_device device = {.message = options ? options->message : NULL, .user_data = options ? options->user_data : NULL};
    return device;
}

clbn_status clbn_device_list(const clbn_device_options *options, clbn_device_info *infos, size_t capacity, size_t *count) {
    clbn_device listener = message_only(options);
    CHECK(count != NULL, &listener, CLBN_ERROR_INVALID_ARGUMENT, "count is NULL");
    *count = 0;
    CHECK(infos != NULL || capacity == 0, &listener, CLBN_ERROR_INVALID_ARGUMENT, "infos is NULL, with a capacity of %zu",
          capacity);
    size_t found = 0;
    TRY(clbn_opencl_list(&listener, infos, capacity, &found));
    if (found < capacity) {
        clbn_device cpu = {0};
        TRY(clbn_cpu_device_open(&cpu, options && options->portable));
        infos[found] = cpu.info;
        infos[found].auto_rank = (unsigned)found;
    }
    *count = found + 1;
    return CLBN_SUCCESS;
}

/* While auto tries devices, what stops one is a notice, not an error. */
static void as_notice(void *user_data, clbn_status status, cl_int native, const char *sentence) {
    const clbn_device_options *options = user_data;
    (void)status;
    if (options->message) options->message(options->user_data, CLBN_SUCCESS, native, sentence);
}

/* Opens the first OpenCL device, in the order of auto, that can run a kernel. */
static clbn_status open_best(clbn_device *device, const clbn_device_options *options) {
    clbn_device_options quiet = options ? *options : (clbn_device_options){0};
    const clbn_device listener = {.message = as_notice, .user_data = &quiet};
    size_t count = 0;
    TRY(clbn_opencl_list(&listener, NULL, 0, &count));
    clbn_device_info *infos = calloc(count ? count : 1, sizeof *infos);
    if (infos == NULL) return clbn_tell(device, CLBN_ERROR_OUT_OF_HOST_MEMORY, 0, "no host memory for a list of devices");
    const size_t capacity = count;
    clbn_status status = clbn_opencl_list(&(clbn_device){0}, infos, capacity, &count);
    if (status == CLBN_SUCCESS) status = CLBN_ERROR_NO_DEVICE;
    const size_t listed = clbn_min(count, capacity);
    for (size_t rank = 0; rank < listed && status == CLBN_ERROR_NO_DEVICE; rank++) {
        for (size_t i = 0; i < listed; i++) {
            unsigned platform = 0, number = 0;
            char *colon = strchr(infos[i].name, ':');
            if (infos[i].auto_rank != rank || colon == NULL) continue;
            if (!infos[i].usable) {
                clbn_tell(&listener, CLBN_ERROR_NO_DEVICE, 0, "passed by %s (%s): %s", infos[i].name, infos[i].device,
                          infos[i].why);
                continue;
            }
            platform = (unsigned)strtoul(infos[i].name, NULL, 10);
            number = (unsigned)strtoul(colon + 1, NULL, 10);
            device->message = as_notice;
            device->user_data = &quiet;
            status = clbn_opencl_device_open(device, platform, number, true);
            device->message = quiet.message;
            device->user_data = quiet.user_data;
            if (status != CLBN_SUCCESS) {
                clbn_tell(&listener, status, 0, "passed by %s (%s): %s", infos[i].name, infos[i].device,
                          clbn_status_string(status));
                status = CLBN_ERROR_NO_DEVICE;
            }
        }
    }
    free(infos);
    return status;
}

/* Digits; a number past any device's is one past any device's. */
static bool parse_number(const char **text, unsigned *value) {
    const char *p = *text;
    for (*value = 0; *p >= '0' && *p <= '9'; p++) *value = *value < 100000 ? *value * 10 + (unsigned)(*p - '0') : *value;
    const bool any = p != *text;
    *text = p;
    return any;
}

/* "P:D", nothing before or after. */
static bool parse_name(const char *name, unsigned *platform, unsigned *number) {
    return parse_number(&name, platform) && *name++ == ':' && parse_number(&name, number) && *name == '\0';
}

static clbn_status open_by_name(clbn_device *device, const char *name, const clbn_device_options *options) {
    unsigned platform, number;
    const bool portable = options && options->portable;
    if (strcmp(name, "cpu") == 0) return clbn_cpu_device_open(device, portable);
    if (strcmp(name, "auto") == 0) {
        const clbn_status status = open_best(device, options);
        if (status != CLBN_ERROR_NO_DEVICE) return status;
        clbn_tell(device, CLBN_SUCCESS, 0, "no OpenCL device can be used; the CPU path serves");
        return clbn_cpu_device_open(device, portable);
    }
    if (strcmp(name, "opencl") == 0) {
        const clbn_status status = open_best(device, options);
        CHECK(status != CLBN_ERROR_NO_DEVICE, device, CLBN_ERROR_NO_DEVICE,
              "device \"opencl\": no OpenCL device can be used here");
        return status;
    }
    CHECK(parse_name(name, &platform, &number), device, CLBN_ERROR_INVALID_DEVICE,
          "the device name is \"%s\"; it must be auto, cpu, opencl, or P:D as in 0:1", name);
    return clbn_opencl_device_open(device, platform, number, false);
}

/* Hands a new device to the caller, or frees it. */
static clbn_status deliver(clbn_device *made, clbn_status status, clbn_device **device) {
    if (status == CLBN_SUCCESS) {
        *device = made;
    } else {
        device_free(made);
    }
    return status;
}

clbn_status clbn_device_create(const char *name, const clbn_device_options *options, clbn_device **device) {
    clbn_device listener = message_only(options);
    CHECK(device != NULL, &listener, CLBN_ERROR_INVALID_ARGUMENT, "device is NULL; it must point to where the device goes");
    *device = NULL;
    clbn_device *made = device_new(options);
    CHECK(made != NULL, &listener, CLBN_ERROR_OUT_OF_HOST_MEMORY, "no host memory for a device");
    return deliver(made, open_by_name(made, name ? name : "auto", options), device);
}

clbn_status clbn_device_create_from_cl(cl_context context, cl_device_id cl_device, const clbn_device_options *options,
                                       clbn_device **device) {
    clbn_device listener = message_only(options);
    CHECK(device != NULL, &listener, CLBN_ERROR_INVALID_ARGUMENT, "device is NULL; it must point to where the device goes");
    *device = NULL;
    CHECK(context != NULL && cl_device != NULL, &listener, CLBN_ERROR_INVALID_ARGUMENT, "%s is NULL",
          context ? "cl_device" : "context");
    clbn_device *made = device_new(options);
    CHECK(made != NULL, &listener, CLBN_ERROR_OUT_OF_HOST_MEMORY, "no host memory for a device");
    return deliver(made, clbn_opencl_device_open_own(made, context, cl_device), device);
}

clbn_status clbn_device_query(const clbn_device *device, clbn_device_info *info) {
    if (device == NULL) return CLBN_ERROR_INVALID_ARGUMENT;
    CHECK(info != NULL, device, CLBN_ERROR_INVALID_ARGUMENT, "info is NULL");
    *info = device->info;
    return CLBN_SUCCESS;
}

clbn_status clbn_device_get_cl(const clbn_device *device, cl_context *context, cl_device_id *cl_device, cl_command_queue *queue) {
    if (context) *context = NULL;
    if (cl_device) *cl_device = NULL;
    if (queue) *queue = NULL;
    if (device == NULL) return CLBN_ERROR_INVALID_ARGUMENT;
    CHECK(device->backend == &clbn_opencl_backend, device, CLBN_ERROR_UNSUPPORTED, "the CPU path has no OpenCL objects");
    return clbn_opencl_device_get(device, context, cl_device, queue);
}
