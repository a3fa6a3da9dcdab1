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

/* x[outer][channels][inner]. Only shape.c multiplies dims. */
typedef struct clbn_shape {
    size_t outer, channels, inner;
    size_t elements; /* outer * channels * inner: addressable, in bytes too */
    size_t count;    /* values in a channel: outer * inner */
} clbn_shape;

/* Where a tensor of that shape has element (o, c, i): at o * outer + c * channel + i * unit elements from its offset. Strides of
 * extents 1 are those of a dense tensor. */
typedef struct clbn_view {
    size_t outer, channel, unit;
    size_t span; /* elements from the first to behind the last; 0 where there are none */
} clbn_view;

typedef struct clbn_backend clbn_backend;

struct clbn_device {
    const clbn_backend *backend;
    atomic_size_t references; /* the user's and one a plan */
    clbn_message_fn message;
    void *user_data;
    clbn_device_info info;
    bool skip_trials; /* variants are taken untried: see trial.c */
    char *cache_dir;  /* where compiled programs are kept, or NULL; the device's own text */
    void *state;      /* the backend's own */
};

/* Every buffer that a call can name. The first are tensors, and have a view in the plan. */
typedef enum clbn_slot {
    CLBN_X, /* a weight to be folded, too */
    CLBN_Y, /* a folded weight, too */
    CLBN_RESIDUAL,
    CLBN_DX,
    CLBN_DY,
    CLBN_DRESIDUAL,
    CLBN_TENSOR_COUNT,
    CLBN_GAMMA = CLBN_TENSOR_COUNT,
    CLBN_BETA,
    CLBN_DGAMMA,
    CLBN_DBETA,
    CLBN_RUNNING_MEAN,
    CLBN_RUNNING_VAR,
    CLBN_MEAN, /* the saved ones: written by forward, read by backward */
    CLBN_MEAN_LO,
    CLBN_VAR,
    CLBN_INV_STD,
    CLBN_BIAS,
    CLBN_FOLDED_BIAS,
    CLBN_PARTS,  /* in: part_count parts */
    CLBN_COUNTS, /* in: their counts */
    CLBN_PART,   /* out: one */
    CLBN_COUNT,  /* out: its count */
    CLBN_MASK,
    CLBN_SLOT_COUNT
} clbn_slot;

struct clbn_plan {
    clbn_device *device;
    clbn_shape shape;
    clbn_view views[CLBN_TENSOR_COUNT];
    clbn_dtype x_type, y_type, real_type; /* of x and dx; of y, dy, residual and dresidual; of what is per channel */
    double epsilon;
    clbn_epsilon_rule epsilon_rule;
    clbn_running_variance running_variance;
    clbn_activation activation;
    double slope, low, high;
    clbn_custom_activation custom; /* its texts are the plan's own */
    bool residual, mask;
    bool is_trial;     /* of trial.c: few values should go every way that many go */
    size_t mask_bytes; /* the backend's to say */
    clbn_plan_info info;
    void *state; /* the backend's own */
};

/* ------------------------------------------------------------------------------------------------------------- a call */

typedef enum clbn_access { CLBN_UNUSED = 0, CLBN_READ = 1, CLBN_WRITE = 2, CLBN_UPDATE = 3 } clbn_access;

typedef enum clbn_operation {
    CLBN_FORWARD,       /* x to y, statistics of the batch, of parts (where PARTS is given) or of the population */
    CLBN_MOMENTS,       /* x to MEAN, MEAN_LO, VAR */
    CLBN_MOMENTS_PART,  /* x to PART, COUNT */
    CLBN_MOMENTS_MERGE, /* PARTS, COUNTS to PART, COUNT */
    CLBN_BACKWARD,      /* dy to dx, dgamma, dbeta, dresidual */
    CLBN_BACKWARD_PART, /* dy to PART, COUNT, dgamma, dbeta */
    CLBN_BACKWARD_MERGE,
    CLBN_UPDATE_RUNNING, /* MEAN, VAR to RUNNING_* */
    CLBN_FOLD            /* X, BIAS to Y, FOLDED_BIAS */
} clbn_operation;

/* Whose statistics normalize. */
typedef enum clbn_statistics { CLBN_OF_BATCH, CLBN_OF_POPULATION } clbn_statistics;

/* How a call uses a slot, and how the user calls it there. */
typedef struct clbn_use {
    const char *name;
    clbn_access access; /* CLBN_UNUSED: the call has no such argument, or no use for it */
    bool required;
} clbn_use;

/* A public run function. */
typedef struct clbn_verb {
    const char *name;
    clbn_operation operation;
    clbn_statistics statistics;
    clbn_use uses[CLBN_SLOT_COUNT];
} clbn_verb;

/* One call, checked and resolved: all that a backend needs beside the plan. */
typedef struct clbn_run {
    const char *name; /* of the public function */
    clbn_operation operation;
    clbn_statistics statistics;
    clbn_use uses[CLBN_SLOT_COUNT];
    clbn_buffer buffers[CLBN_SLOT_COUNT]; /* absent ones have the kind CLBN_BUFFER_ABSENT */
    clbn_buffer workspace;
    double update_weight;
    bool skip_nonfinite;
    unsigned accumulate;
    size_t part_count;
    uint64_t count; /* of CLBN_UPDATE_RUNNING: values a channel behind the statistics */
    bool on_host;   /* a buffer is a host pointer: return when the results are in place */
    bool is_idle;   /* there is nothing to write, whatever is given */
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

/* What is known of a plan's variant on its device, with the plan's kinds; and which problems show all of it: the first has epsilon
 * inside, the second outside. */
enum { CLBN_TRIAL_PROBLEMS = 2 };
typedef enum clbn_verdict { CLBN_UNTRIED, CLBN_RIGHT, CLBN_WRONG } clbn_verdict;
typedef struct clbn_trial {
    clbn_verdict verdict;
    bool strided;                        /* with gaps between values */
    size_t dims[CLBN_TRIAL_PROBLEMS][3]; /* outer, channels, inner, of each */
} clbn_trial;

struct clbn_backend {
    const char *name;
    void (*device_close)(clbn_device *device);
    /* Fills plan->state, plan->mask_bytes and plan->info. Leaves nothing behind after an error. */
    clbn_status (*plan_open)(clbn_plan *plan, const clbn_config *config);
    void (*plan_close)(clbn_plan *plan);
    /* Is this queue, wait list and event right for a call? */
    clbn_status (*check_queue)(const clbn_plan *plan, const clbn_run *run);
    /* Can bytes bytes at this buffer be accessed so? Where are they? name is for the sentence. */
    clbn_status (*check_buffer)(const clbn_plan *plan, const char *name, clbn_buffer buffer, size_t element_bytes, size_t bytes,
                                clbn_access access, clbn_region *region);
    /* Does a checked call. Where the shape has no elements, tensors are not there and were not checked; calls that then have
     * nothing at all to write do not come here. */
    clbn_status (*run)(const clbn_plan *plan, const clbn_run *run);
    /* A call that has nothing to do, but may have an event to give. */
    clbn_status (*idle)(const clbn_plan *plan, const clbn_run *run);
    /* Variants are tried before they are used: see trial.c. A backend without variants has neither. plan_open passes by those that
     * are remembered as wrong, unless they are asked for by name. */
    void (*trial)(const clbn_plan *plan, clbn_trial *trial);
    void (*remember)(const clbn_plan *plan, clbn_verdict verdict);
    /* Plans of the same kinds and shape take that variant from now on; NULL: their own choice. The plan has no state, and its info is
     * empty. A backend without variants has none. */
    clbn_status (*prefer)(const clbn_plan *plan, const char *variant);
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

/* The same device whose errors are told as notices, for what there is another way to do: made in *hushed, for a while and without plans
 * of its own. */
clbn_device *clbn_device_hush(clbn_device *device, clbn_device *hushed);

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

/* dims and axis to three numbers, and each tensor's strides to its view. element_bytes: of the largest. */
clbn_status clbn_shape_make(const clbn_device *device, const clbn_config *config, size_t element_bytes, clbn_shape *shape,
                            clbn_view views[CLBN_TENSOR_COUNT]);

/* Of an element in a slot: its bytes; and how many elements from its offset on the call may touch. */
size_t clbn_slot_element_bytes(const clbn_plan *plan, clbn_slot slot);
size_t clbn_slot_elements(const clbn_plan *plan, const clbn_run *run, clbn_slot slot);

/* Must backward compute v again, from x, to know the activation's derivative? */
static inline bool clbn_recomputes(const clbn_plan *plan) {
    return plan->activation != CLBN_IDENTITY && !plan->mask;
}
static inline bool clbn_has(const clbn_run *run, clbn_slot slot) {
    return run->buffers[slot].kind != CLBN_BUFFER_ABSENT;
}

/* Checks every buffer of a call against the plan, and all pairs for overlap. */
clbn_status clbn_check_run(const clbn_plan *plan, const clbn_run *run);

/* The last step of every public run function: checks the buffers, and hands the call to the backend. */
clbn_status clbn_enter(const clbn_plan *plan, clbn_run *run);
/* The start of a call: the verb's uses, and where it runs. */
clbn_run clbn_run_of(const clbn_verb *verb, cl_command_queue queue, cl_uint n_wait, const cl_event *wait_list, cl_event *event);
/* What forward and backward have in common: arguments that only fit some plans. */
clbn_status clbn_check_fused(const clbn_plan *plan, const clbn_run *run);
/* Parts, where the call has some: their number, and both of their arrays. */
clbn_status clbn_check_parts(const clbn_plan *plan, const clbn_run *run);

void clbn_device_retain(clbn_device *device);

/* clbn_plan_create without its trial. *plan is NULL after an error. */
clbn_status clbn_plan_make(clbn_device *device, const clbn_config *config, bool is_trial, clbn_plan **plan);

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
