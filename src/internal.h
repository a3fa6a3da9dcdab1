/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of clbn share. Data flows one way: a public function (the door) checks, turns what it was given into a
 * clbn_plan or a clbn_run of plain resolved facts, and hands that to the device's backend. Backends decide nothing about
 * semantics; the door knows nothing about kernels.
 */
#ifndef CLBN_INTERNAL_H
#define CLBN_INTERNAL_H

#include "clbn.h"

#include <stdatomic.h>
#include <stdbool.h>

/* x[outer][channels][inner], dense: element (o, c, i) is (o * channels + c) * inner + i. Only shape.c multiplies dims. */
typedef struct clbn_shape {
    size_t outer, channels, inner;
    size_t elements; /* outer * channels * inner: addressable, in bytes too */
    size_t count;    /* values in a channel: outer * inner */
} clbn_shape;

typedef struct clbn_backend clbn_backend;

struct clbn_device {
    const clbn_backend *backend;
    atomic_size_t references; /* the user's and one a plan */
    clbn_message_fn message;
    void *user_data;
    clbn_device_info info;
    void *state; /* the backend's own */
};

struct clbn_plan {
    clbn_device *device;
    clbn_shape shape;
    double epsilon;
    clbn_epsilon_rule epsilon_rule;
    clbn_running_variance running_variance;
    clbn_plan_info info;
    void *state; /* the backend's own */
};

/* ------------------------------------------------------------------------------------------------------------- a call */

/* Every buffer that a call can name. */
typedef enum clbn_slot {
    CLBN_X,
    CLBN_Y,
    CLBN_GAMMA,
    CLBN_BETA,
    CLBN_RUNNING_MEAN,
    CLBN_RUNNING_VAR,
    CLBN_MEAN,
    CLBN_MEAN_LO,
    CLBN_VAR,
    CLBN_INV_STD,
    CLBN_SLOT_COUNT
} clbn_slot;

typedef enum clbn_access { CLBN_UNUSED = 0, CLBN_READ = 1, CLBN_WRITE = 2, CLBN_UPDATE = 3 } clbn_access;

typedef enum clbn_statistics { CLBN_OF_BATCH, CLBN_OF_POPULATION } clbn_statistics;

/* What a public run function asks of each slot: how the user calls it there, whether it is read or written. */
typedef struct clbn_verb {
    const char *name;
    clbn_statistics statistics; /* which ones normalize */
    struct {
        const char *name;
        clbn_access access; /* CLBN_UNUSED: the verb has no such argument */
        bool required;
    } slots[CLBN_SLOT_COUNT];
} clbn_verb;

/* One call, checked and resolved: all that a backend needs beside the plan. */
typedef struct clbn_run {
    const clbn_verb *verb;
    clbn_buffer buffers[CLBN_SLOT_COUNT];
    clbn_buffer workspace;
    double update_weight;
    bool on_host; /* a buffer is a host pointer: return when the results are in place */
    cl_command_queue queue;
    cl_uint n_wait;
    const cl_event *wait_list;
    cl_event *event;
} clbn_run;

/* The bytes a buffer covers: root tells allocations apart (NULL: host memory), begin and end count from its start. */
typedef struct clbn_region {
    const void *root;
    uintptr_t begin, end;
} clbn_region;

/* ---------------------------------------------------------------------------------------------------------- a backend */

struct clbn_backend {
    const char *name;
    void (*device_close)(clbn_device *device);
    /* Fills plan->state and plan->info. Leaves nothing behind after an error. */
    clbn_status (*plan_open)(clbn_plan *plan, const clbn_config *config);
    void (*plan_close)(clbn_plan *plan);
    /* Is this queue, wait list and event right for a call? */
    clbn_status (*check_queue)(const clbn_plan *plan, const clbn_run *run);
    /* Can bytes bytes at this buffer be accessed so? Where are they? name is for the sentence. */
    clbn_status (*check_buffer)(const clbn_plan *plan, const char *name, clbn_buffer buffer, size_t element_bytes, size_t bytes,
                                clbn_access access, clbn_region *region);
    /* Does a checked call. */
    clbn_status (*forward)(const clbn_plan *plan, const clbn_run *run);
};

extern const clbn_backend clbn_cpu_backend, clbn_opencl_backend;

/* Opens the CPU path into a device. */
clbn_status clbn_cpu_device_open(clbn_device *device, bool portable);
/* Lists the OpenCL devices: see clbn_device_list. device is only where messages go. */
clbn_status clbn_opencl_list(const clbn_device *device, clbn_device_info *infos, size_t capacity, size_t *count);
/* Opens platform:number, or the caller's own. prove: compile and run a one-line kernel first. */
clbn_status clbn_opencl_device_open(clbn_device *device, unsigned platform, unsigned number, bool prove);
clbn_status clbn_opencl_device_open_own(clbn_device *device, cl_context context, cl_device_id cl_device);
clbn_status clbn_opencl_device_get(const clbn_device *device, cl_context *context, cl_device_id *cl_device,
                                   cl_command_queue *queue);
const char *clbn_opencl_variant_name(size_t index);

/* ------------------------------------------------------------------------------------------------------------- helpers */

/* Tells the device's message callback, if there is one, and returns status. device may be NULL. */
#if defined(__GNUC__)
__attribute__((format(printf, 4, 5)))
#endif
clbn_status
clbn_tell(const clbn_device *device, clbn_status status, cl_int native, const char *format, ...);

/* In validators, which hold nothing. */
#define CHECK(condition, device, status, ...)                                   \
    do {                                                                        \
        if (!(condition)) return clbn_tell((device), (status), 0, __VA_ARGS__); \
    } while (0)
#define TRY(call)                                          \
    do {                                                   \
        clbn_status try_status = (call);                   \
        if (try_status != CLBN_SUCCESS) return try_status; \
    } while (0)

/* dims and axis to three numbers. */
clbn_status clbn_shape_make(const clbn_device *device, const clbn_config *config, size_t element_bytes, clbn_shape *shape);

/* Checks every buffer of a call against the plan, and all pairs for overlap. */
clbn_status clbn_check_run(const clbn_plan *plan, const clbn_run *run);

void clbn_device_retain(clbn_device *device);

static inline size_t clbn_min(size_t a, size_t b) {
    return a < b ? a : b;
}
static inline size_t clbn_max(size_t a, size_t b) {
    return a > b ? a : b;
}
static inline size_t clbn_ceil_div(size_t a, size_t b) {
    return a / b + (a % b != 0);
}
static inline size_t clbn_round_up(size_t a, size_t b) {
    return clbn_ceil_div(a, b) * b;
}

#endif
