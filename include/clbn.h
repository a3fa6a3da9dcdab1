/* SPDX-License-Identifier: Apache-2.0
 *
 * clbn: batch normalization for OpenCL pipelines, in C. This header is the whole contract.
 *
 *     y = gamma * (x - mean) * inv_std + beta        inv_std = 1 / sqrt(var + epsilon)
 *
 * A DEVICE says where to run (an OpenCL device, or the CPU path). A PLAN, made once from a config and never changed, says
 * what to run: it turns dims and a channel axis into x[outer][channels][inner] and holds everything that takes time to
 * make. The run functions (clbn_forward_training, ...) take the plan, a queue, the buffers of the call, a wait list and an
 * event; they compile nothing, allocate no memory object and wait for nothing when every buffer is a cl_mem.
 *
 * Glossary, used in every name below:
 *   x, y                    the batch and its normalized form; outer * channels * inner elements of the plan's dtype
 *   outer, channels, inner  products of the dims before, at and after the channel axis
 *   gamma, beta             scale and shift, one float a channel
 *   mean, var               of one channel over outer * inner elements; var is the biased one (divided by n) unless said
 *   inv_std                 what (x - mean) is multiplied with, without gamma: see clbn_epsilon_rule
 *   running_*               statistics of the population, gathered from batches:
 *                           running = (1 - update_weight) * running + update_weight * batch
 *   saved_*                 statistics of this call, kept for the backward pass
 *   count, _bytes           sizes; offsets and counts are in elements unless a name ends in _bytes
 *
 * Threads: a device or a plan may be used by any number of threads at once; create and destroy are the only functions
 * that must not race with other uses of the same object. Nothing here is global, nothing runs at exit.
 * Errors: every function that can fail returns a clbn_status. Unless it is CLBN_ERROR_INCOMPLETE nothing was enqueued and
 * no output was touched. The sentence that says which argument, what it holds and what it needs goes to the device's
 * message callback; the library never prints.
 */
#ifndef CLBN_H
#define CLBN_H

#ifndef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 120
#endif
#ifdef __APPLE__
#include <OpenCL/cl.h>
#else
#include <CL/cl.h>
#endif
#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CLBN_VERSION_MAJOR 0
#define CLBN_VERSION_MINOR 1
#define CLBN_VERSION_PATCH 0
/* One number to compare: 100 for 0.1.0, 10203 for 1.2.3. */
#define CLBN_VERSION (CLBN_VERSION_MAJOR * 10000 + CLBN_VERSION_MINOR * 100 + CLBN_VERSION_PATCH)

#if defined(CLBN_STATIC)
#define CLBN_API
#elif defined(_WIN32) && defined(CLBN_BUILDING)
#define CLBN_API __declspec(dllexport)
#elif defined(_WIN32)
#define CLBN_API __declspec(dllimport)
#elif defined(__GNUC__)
#define CLBN_API __attribute__((visibility("default")))
#else
#define CLBN_API
#endif

/* "0.1.0": the version of the library that is running, which may be newer than this header's. */
CLBN_API const char *clbn_version(void);

/* ---------------------------------------------------------------------------------------------------------- status */

/* Every status: name, value (fixed for ever), cause. */
#define CLBN_STATUS_MAP(XX)                                                                                           \
    XX(CLBN_SUCCESS, 0, "success")                                                                                    \
    XX(CLBN_ERROR_INVALID_ARGUMENT, -3001, "a required pointer is NULL, or a value is none of its enumeration")       \
    XX(CLBN_ERROR_INVALID_DIMS, -3002, "rank, axis or dims are out of range, or the product of the dims overflows")   \
    XX(CLBN_ERROR_INVALID_VALUE, -3003, "a number (epsilon, update_weight) is out of its range")                      \
    XX(CLBN_ERROR_MISSING_BUFFER, -3004, "a buffer that the call needs is absent")                                    \
    XX(CLBN_ERROR_WRONG_MEMORY, -3005, "a memory object or pointer is of a kind or context that the plan cannot use") \
    XX(CLBN_ERROR_BUFFER_TOO_SMALL, -3006, "a buffer ends before the elements that the call needs")                   \
    XX(CLBN_ERROR_OVERLAP, -3007, "two buffers overlap in a way that is not allowed")                                 \
    XX(CLBN_ERROR_INVALID_QUEUE, -3008, "the queue is missing, or is not one of the plan's context and device")       \
    XX(CLBN_ERROR_INVALID_WAIT_LIST, -3009, "the wait list or the event argument does not fit the call")              \
    XX(CLBN_ERROR_INVALID_DEVICE, -3010, "the device name or the OpenCL context and device do not fit")               \
    XX(CLBN_ERROR_NO_DEVICE, -3011, "the device that was asked for is not there")                                     \
    XX(CLBN_ERROR_UNSUPPORTED, -3012, "the device or this version cannot do what was asked for")                      \
    XX(CLBN_ERROR_OUT_OF_HOST_MEMORY, -3013, "no host memory")                                                        \
    XX(CLBN_ERROR_OUT_OF_DEVICE_MEMORY, -3014, "no device memory")                                                    \
    XX(CLBN_ERROR_KERNEL_BUILD, -3015, "the device's compiler refused a kernel; the message holds its log")           \
    XX(CLBN_ERROR_OPENCL, -3016, "an OpenCL call failed; the message names it and its code")                          \
    XX(CLBN_ERROR_INCOMPLETE, -3017, "the driver failed after a first launch: outputs undefined, running as before")

typedef enum clbn_status {
#define CLBN_STATUS_ENUM(name, value, sentence) name = value,
    CLBN_STATUS_MAP(CLBN_STATUS_ENUM)
#undef CLBN_STATUS_ENUM
        CLBN_STATUS_FORCE_INT = INT_MAX
} clbn_status;

/* The constant's own name ("CLBN_ERROR_OVERLAP"), and its cause in words. Never NULL, whatever the argument. */
CLBN_API const char *clbn_status_name(clbn_status status);
CLBN_API const char *clbn_status_string(clbn_status status);

/* Called with every error's sentence (status is its code) and with notices (status is CLBN_SUCCESS: why "auto" passed a
 * device by, a compiler's warnings). native is the OpenCL error code behind it, else 0. The sentence lives until the
 * callback returns. It runs on the thread that called clbn, inside that call: it may come from several threads at once if
 * several use the device, and it must not call clbn with the same device. */
typedef void (*clbn_message_fn)(void *user_data, clbn_status status, cl_int native, const char *sentence);

/* ---------------------------------------------------------------------------------------------------------- device */

typedef struct clbn_device clbn_device;

typedef struct clbn_device_options {
    clbn_message_fn message; /* may be NULL */
    void *user_data;         /* handed to message */
    int portable;            /* 1: the CPU path uses its plain C loops, as on a processor without wide vectors; 0: the best */
} clbn_device_options;

/* Open a device by name:
 *   "auto" (or NULL)  an OpenCL GPU, else an accelerator, else an OpenCL CPU device, else a simulator (a device that claims
 *                     several types at once), else the CPU path; a device that cannot compile and run a one-line
 *                     kernel is passed by, and the message callback is told why. Never fails for want of a device.
 *   "cpu"             the CPU path: no OpenCL at all.
 *   "opencl"          what auto would take, without the CPU path.
 *   "P:D"             platform P, device D, both from 0, as clbn_device_list and `clbn devices` number them.
 * A device asked for by name that is not there or cannot be opened is CLBN_ERROR_NO_DEVICE; a malformed name is
 * CLBN_ERROR_INVALID_DEVICE. options may be NULL. *device is NULL after an error. */
CLBN_API clbn_status clbn_device_create(const char *name, const clbn_device_options *options, clbn_device **device);

/* Open the caller's own OpenCL device; context and cl_device are retained. Plans made on it accept queues and memory
 * objects of this context. Errors: INVALID_DEVICE (the device is not in the context), UNSUPPORTED (older than OpenCL 1.2,
 * no compiler). options may be NULL. */
CLBN_API clbn_status clbn_device_create_from_cl(cl_context context, cl_device_id cl_device, const clbn_device_options *options,
                                                clbn_device **device);

/* NULL is fine. Plans made on the device stay valid: the last of them frees it. */
CLBN_API void clbn_device_destroy(clbn_device *device);

typedef enum clbn_device_kind {
    CLBN_DEVICE_CPU_PATH = 0, /* no OpenCL */
    CLBN_DEVICE_GPU = 1,
    CLBN_DEVICE_ACCELERATOR = 2,
    CLBN_DEVICE_CPU = 3,      /* an OpenCL CPU device (PoCL) */
    CLBN_DEVICE_SIMULATOR = 4 /* claims several types at once (Oclgrind) */
} clbn_device_kind;

typedef struct clbn_device_info {
    char name[24];      /* what clbn_device_create takes: "0:1", "cpu"; "" for a device made from the caller's context */
    char device[256];   /* CL_DEVICE_NAME */
    char platform[256]; /* CL_PLATFORM_NAME */
    char version[256];  /* CL_DEVICE_VERSION */
    char driver[256];   /* CL_DRIVER_VERSION */
    clbn_device_kind kind;
    unsigned compute_units; /* of the CPU path: its threads */
    uint64_t memory_bytes;
    int has_fp64;
    int usable; /* 0: too old, no compiler, or not available; why says which */
    char why[128];
    unsigned auto_rank; /* auto tries usable devices in this order, from 0 */
} clbn_device_info;

/* Fills infos[0 .. min(capacity, *count) - 1], in the order of platform and device number, the CPU path last; *count is how
 * many there are. infos may be NULL with capacity 0. No device is opened. A missing OpenCL platform is no error: the CPU
 * path is always there (the message callback of options, which may be NULL, is told). */
CLBN_API clbn_status clbn_device_list(const clbn_device_options *options, clbn_device_info *infos, size_t capacity,
                                      size_t *count);

CLBN_API clbn_status clbn_device_query(const clbn_device *device, clbn_device_info *info);

/* The OpenCL objects behind a device, to make buffers and queues that its plans accept. Each pointer may be NULL. They belong
 * to the device: retain what must outlive it. queue is the in-order queue that host calls use when they are given none.
 * On the CPU path all are set to NULL and the status is CLBN_ERROR_UNSUPPORTED. */
CLBN_API clbn_status clbn_device_get_cl(const clbn_device *device, cl_context *context, cl_device_id *cl_device,
                                        cl_command_queue *queue);

/* ------------------------------------------------------------------------------------------------------------ plan */

#define CLBN_MAX_RANK 8
/* As config.axis: no channel axis, all elements are one channel. */
#define CLBN_AXIS_NONE INT_MIN

typedef enum clbn_dtype { CLBN_F32 = 0 } clbn_dtype;

typedef enum clbn_epsilon_rule {
    CLBN_EPSILON_INSIDE = 0, /* inv_std = 1 / sqrt(var + epsilon): PyTorch, TensorFlow, ONNX, cuDNN */
    CLBN_EPSILON_OUTSIDE = 1 /* inv_std = 1 / (sqrt(var) + epsilon): Intel's clDNN, some tutorials */
} clbn_epsilon_rule;

/* Which batch variance goes into running_var. Normalization itself always uses the biased one. */
typedef enum clbn_running_variance {
    CLBN_RUNNING_BIASED = 0,  /* divided by n: TensorFlow 2, Keras, ONNX */
    CLBN_RUNNING_UNBIASED = 1 /* divided by n - 1: PyTorch, cuDNN; with n = 1 running_var stays as it is */
} clbn_running_variance;

typedef enum clbn_preset { CLBN_PRESET_PYTORCH = 0, CLBN_PRESET_TENSORFLOW = 1, CLBN_PRESET_ONNX = 2 } clbn_preset;

/* What a plan is made from. Start from clbn_config_preset; every field is literal (an epsilon of 0 means 0). */
typedef struct clbn_config {
    unsigned rank;      /* 1 to CLBN_MAX_RANK */
    const size_t *dims; /* rank extents, slowest first, read only while the plan is made; an extent may be 0 */
    int axis;           /* the channel axis, the one that is kept; negative counts from the end; or CLBN_AXIS_NONE */
    clbn_dtype dtype;   /* of x and y; everything per channel is float */
    double epsilon;     /* 0, or a normal float; with var = 0 and epsilon = 0, inv_std is 0 */
    clbn_epsilon_rule epsilon_rule;
    clbn_running_variance running_variance;
    const char *variant; /* NULL: the plan chooses; else the name of one variant (docs/performance.md lists them), to force it */
} clbn_config;

/*             epsilon  rule    running variance  update_weight (clbn_preset_update_weight)
 * PYTORCH     1e-5     inside  unbiased          0.1
 * TENSORFLOW  1e-3     inside  biased            0.01 (Keras' momentum 0.99)
 * ONNX        1e-5     inside  biased            0.1  (ONNX' momentum 0.9)
 * rank 0, dims NULL, axis 1, float32. An unknown preset gives PYTORCH's. */
CLBN_API clbn_config clbn_config_preset(clbn_preset preset);
CLBN_API double clbn_preset_update_weight(clbn_preset preset);

typedef struct clbn_plan clbn_plan;

/* Make a plan: checks the config, chooses kernels and launches, compiles. *plan is NULL after an error.
 * Errors: INVALID_DIMS, INVALID_VALUE, INVALID_ARGUMENT, UNSUPPORTED (a forced variant that does not fit), KERNEL_BUILD, the
 * OUT_OF_* ones, OPENCL. The plan keeps its device alive. */
CLBN_API clbn_status clbn_plan_create(clbn_device *device, const clbn_config *config, clbn_plan **plan);

/* NULL is fine; safe while enqueued work is still running. */
CLBN_API void clbn_plan_destroy(clbn_plan *plan);

typedef struct clbn_plan_info {
    size_t outer, channels, inner;
    const char *variant; /* how a batch is reduced here; lives as long as the plan. Inference is its apply step */
    unsigned training_launches, inference_launches, moments_launches; /* kernels one call enqueues; 0 on the CPU path */
    size_t workspace_bytes;                                           /* what .workspace must hold, see clbn_forward_args */
} clbn_plan_info;

CLBN_API clbn_status clbn_plan_query(const clbn_plan *plan, clbn_plan_info *info);

/* The names that config.variant takes, in the order in which plans on OpenCL devices try them; NULL past the last. */
CLBN_API const char *clbn_variant_name(size_t index);

/* ---------------------------------------------------------------------------------------------------------- buffers */

typedef enum clbn_buffer_kind { CLBN_BUFFER_ABSENT = 0, CLBN_BUFFER_MEM = 1, CLBN_BUFFER_HOST = 2 } clbn_buffer_kind;

/* Where an argument lives. Zero means absent. Make it with clbn_mem or clbn_host. */
typedef struct clbn_buffer {
    clbn_buffer_kind kind;
    cl_mem mem;
    void *host;
    size_t offset; /* in elements of the argument's type, from the start of mem or host */
} clbn_buffer;

/* An OpenCL buffer of the plan's context, from element offset on. A NULL mem is an absent buffer. */
static inline clbn_buffer clbn_mem(cl_mem mem, size_t offset) {
    clbn_buffer buffer = {CLBN_BUFFER_ABSENT, NULL, NULL, 0};
    buffer.kind = mem ? CLBN_BUFFER_MEM : CLBN_BUFFER_ABSENT;
    buffer.mem = mem;
    buffer.offset = offset;
    return buffer;
}

/* An array in host memory; a NULL pointer is an absent buffer. Inputs are only read, whatever the type says. */
static inline clbn_buffer clbn_host(const void *pointer) {
    clbn_buffer buffer = {CLBN_BUFFER_ABSENT, NULL, NULL, 0};
    buffer.kind = pointer ? CLBN_BUFFER_HOST : CLBN_BUFFER_ABSENT;
    buffer.host = (void *)(uintptr_t)pointer;
    return buffer;
}

/* -------------------------------------------------------------------------------------------------------------- run */

/* The arguments of one forward call. Zero means absent (gamma 1, beta 0, statistics not written); name what you give:
 *     &(clbn_forward_args){ .x = clbn_mem(x, 0), .y = clbn_mem(y, 0), .gamma = clbn_mem(gamma, 0) }
 * Memory: cl_mem and host pointers may be mixed by argument; a plan of the CPU path takes host pointers only. Read-only
 * inputs are never written. Buffers must not overlap, within one cl_mem, sub-buffers of one parent or host memory, unless
 * both are only read; the one exception is in place: y may be exactly x.
 *
 * saved_mean_lo is what rounding the mean to float left: the mean is saved_mean + saved_mean_lo. Without it a backward pass
 * is accurate only up to |mean| / sigma = 10.
 * workspace is a cl_mem that holds at least workspace_bytes from its offset (counted in bytes here, a multiple of 4), undefined
 * afterwards. Absent: the plan's own is used, and calls that share it run one after the other, chained by events: do not gate
 * such a call by a user event that a later call must complete. The plan holds on to the last such call's queue and event until
 * it is destroyed. A plan whose workspace_bytes is 0 needs none.
 * update_weight is the weight of this batch, 0 to 1, in running = (1 - w) * running + w * batch. 1/(k+1) in the k-th call,
 * k from 0, gives the plain average; 1 replaces whatever running_* held (NaN too), 0 leaves it. */
typedef struct clbn_forward_args {
    clbn_buffer x;             /* in: outer * channels * inner elements; required */
    clbn_buffer y;             /* out: as x. In training it may be absent: statistics only */
    clbn_buffer gamma;         /* in: channels floats; absent: 1 */
    clbn_buffer beta;          /* in: channels floats; absent: 0 */
    clbn_buffer running_mean;  /* channels floats. Training: in and out, may be absent. Inference: in, required */
    clbn_buffer running_var;   /* likewise */
    clbn_buffer saved_mean;    /* out: channels floats, the mean that was used, rounded to float; may be absent */
    clbn_buffer saved_mean_lo; /* out: channels floats, see above; may be absent */
    clbn_buffer saved_var;     /* out: channels floats, the biased variance that was used; may be absent */
    clbn_buffer saved_inv_std; /* out: channels floats; may be absent */
    clbn_buffer workspace;     /* scratch, see above; may be absent */
    double update_weight;      /* used in training where running_* are given */
} clbn_forward_args;

/* Normalize by the statistics of this batch; update the running ones.
 *
 * Pipeline call (every buffer a cl_mem): enqueues on queue, which must be of the plan's context and device, after the n_wait
 * events of wait_list, and returns at once. *event, where event is not NULL, completes with the last launch; the
 * caller releases it. Right on in-order and out-of-order queues. Event and wait list follow clEnqueueNDRangeKernel.
 * Host call (any buffer a host pointer): waits for wait_list, uploads, runs, reads back, returns when the results are in place; queue
 * may be NULL (the device's own), event must be NULL. Where device and host share memory x and y are used in place.
 * CPU path: host pointers only, queue and event NULL, no wait list; OpenMP threads do the work.
 *
 * Source: Ioffe, Szegedy, "Batch Normalization", 2015, algorithm 1; formulas and edge cases: docs/semantics.md.
 * One value a channel gives y = beta; no value (an extent of 0) is success, touches no output and needs no buffers. NaN and Inf
 * stay in their channel. Errors: MISSING_BUFFER, WRONG_MEMORY, BUFFER_TOO_SMALL, OVERLAP, INVALID_VALUE, INVALID_QUEUE,
 * INVALID_WAIT_LIST, INVALID_ARGUMENT, the OUT_OF_* ones, OPENCL; after these nothing was enqueued and nothing written.
 * INCOMPLETE: y and saved_* undefined; running_* untouched, as the last launch moves them (unless it is the reading back into a
 * host array that failed). */
CLBN_API clbn_status clbn_forward_training(const clbn_plan *plan, cl_command_queue queue, const clbn_forward_args *args,
                                           cl_uint n_wait, const cl_event *wait_list, cl_event *event);

/* Normalize by the running statistics: y = gamma * (x - running_mean) * inv_std(running_var) + beta. running_* are only read
 * and required, as is y; update_weight is not used; saved_* get the statistics used (saved_mean_lo 0). Otherwise as
 * clbn_forward_training. A negative running_var gives what the formula gives: NaN, where running_var + epsilon < 0. */
CLBN_API clbn_status clbn_forward_inference(const clbn_plan *plan, cl_command_queue queue, const clbn_forward_args *args,
                                            cl_uint n_wait, const cl_event *wait_list, cl_event *event);

/* Mean and biased variance of each channel, as tf.nn.moments. Each output may be absent, but not all. Otherwise as
 * clbn_forward_training. */
typedef struct clbn_moments_args {
    clbn_buffer x;         /* in: outer * channels * inner elements; required */
    clbn_buffer mean;      /* out: channels floats */
    clbn_buffer mean_lo;   /* out: channels floats, what rounding mean to float left */
    clbn_buffer var;       /* out: channels floats */
    clbn_buffer workspace; /* as in clbn_forward_args */
} clbn_moments_args;

CLBN_API clbn_status clbn_moments(const clbn_plan *plan, cl_command_queue queue, const clbn_moments_args *args, cl_uint n_wait,
                                  const cl_event *wait_list, cl_event *event);

#ifdef __cplusplus
}
#endif
#endif
