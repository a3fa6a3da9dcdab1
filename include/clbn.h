/* SPDX-License-Identifier: Apache-2.0
 *
 * clbn: batch normalization for OpenCL pipelines, in C. This header is the whole contract.
 *
 *     y = act(gamma * (x - mean) * inv_std + beta + residual)        inv_std = 1 / sqrt(var + epsilon)
 *
 * A DEVICE says where to run (an OpenCL device, or the CPU path). A PLAN, made once from a config and never changed, says
 * what to run: it turns dims and a channel axis into x[outer][channels][inner] and holds everything that takes time to
 * make. The run functions (clbn_forward_training, ...) take the plan, a queue, the buffers of the call, a wait list and an
 * event; they compile nothing, allocate no memory object and wait for nothing when every buffer is a cl_mem.
 *
 * Glossary, used in every name below:
 *   x, y                    the batch and its normalized form; outer * channels * inner elements, of dtype and y_dtype
 *   dx, dy, dgamma, ...     the gradient of the loss by x, by y, by gamma, ...
 *   act, residual           the activation, applied last, and what is added before it, shaped as y
 *   mask                    one bit an element: on which side of the activation's kink y lies
 *   outer, channels, inner  products of the dims before, at and after the channel axis
 *   real                    the type of everything per channel: float; double where x or y is float64
 *   gamma, beta             scale and shift, one real a channel
 *   mean, var               of one channel over outer * inner elements; var is the biased one (divided by n) unless said
 *   inv_std                 what (x - mean) is multiplied with, without gamma: see clbn_epsilon_rule
 *   running_*               statistics of the population, gathered from batches:
 *                           running = (1 - update_weight) * running + update_weight * batch
 *   saved_*                 statistics of this call, kept for the backward pass
 *   part, parts             statistics of a share of a batch, from which those of the whole are merged
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
    int skip_trials;         /* 1: plans take their variant untried; 0: see clbn_plan_create */
    /* An absolute path of a folder for compiled kernels and for what clbn_device_prefer was told, made when needed. The text is read
     * while the device is opened, the files when plans are made. NULL, "": no file is touched. Files are their owner's alone, and
     * count only for the same clbn, device and driver; one that is damaged, foreign or cannot be written costs the time to compile,
     * and a preference. Filling it may take a driver as long as compiling does. Any number of processes may share it; contexts of
     * several devices do without. */
    const char *cache_dir;
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

/* How elements are stored. All arithmetic is in real; storing rounds to nearest, ties to even; what a 16-bit float cannot hold
 * becomes infinite. 16-bit types need nothing of the device, CLBN_F64 needs has_fp64. */
typedef enum clbn_dtype {
    CLBN_AS_X = -1, /* of y_dtype only: the same as dtype */
    CLBN_F32 = 0,
    CLBN_F16 = 1,  /* IEEE 754 binary16 */
    CLBN_BF16 = 2, /* the upper half of a binary32 */
    CLBN_F64 = 3,
    CLBN_I8 = 4 /* int8_t: the integer itself, stored saturated, NaN as 0; of clbn_forward_inference only */
} clbn_dtype;

/* Bytes of one element; 0 for what is no storage type. */
CLBN_API size_t clbn_dtype_bytes(clbn_dtype dtype);

/* What is applied last, to v. At a kink the derivative is that of the lower side, so relu'(0) = 0. NaN passes each of them. */
typedef enum clbn_activation {
    CLBN_IDENTITY = 0,
    CLBN_RELU = 1,       /* v > 0 ? v : 0 */
    CLBN_LEAKY_RELU = 2, /* v > 0 ? v : slope * v */
    CLBN_CLIP = 3,       /* v between low and high: relu6 is 0 and 6 */
    CLBN_SILU = 4,       /* v / (1 + exp(-v)) */
    CLBN_CUSTOM = 5      /* the caller's own: see clbn_custom_activation */
} clbn_activation;

/* out[i] = f(v[i]), i below count. It is called by several threads at once. */
typedef void (*clbn_activation_fn)(void *user_data, size_t count, const double *v, double *out);

/* An activation that clbn does not know. value and derivative are OpenCL C expressions of `v`, one real (float; double where x
 * or y is float64), of type real: "v * v", "1.0f / (1.0f + exp(-v))". They are compiled into the plan's kernels; an error in
 * them is CLBN_ERROR_KERNEL_BUILD, with the compiler's words. A plan of the CPU path calls value_fn and derivative_fn instead.
 * A plan needs the pair that its device uses, and copies what it needs. */
typedef struct clbn_custom_activation {
    const char *value, *derivative;
    clbn_activation_fn value_fn, derivative_fn;
    void *user_data; /* handed to both */
} clbn_custom_activation;

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

/* Where element (i0, i1, ...) of a tensor lies: at i0 * strides[0] + i1 * strides[1] + ..., in elements, from its offset. Each
 * array has rank entries, read only while the plan is made; NULL: dense, the last dim adjacent. The dims before the channel axis
 * must be evenly spaced as one, and so those after it (a padded row pitch, a slice of the channels of a larger tensor, every
 * second image; not a window cut from an image), and no two elements may share a place, nor rows lie in each other's gaps. What
 * cannot be collapsed so is CLBN_ERROR_INVALID_DIMS. */
typedef struct clbn_strides {
    const size_t *x, *y, *residual, *dx, *dy, *dresidual;
} clbn_strides;

/* What a plan is made from. Start from clbn_config_preset; every field is literal (an epsilon of 0 means 0). */
typedef struct clbn_config {
    unsigned rank;      /* 1 to CLBN_MAX_RANK */
    const size_t *dims; /* rank extents, slowest first, read only while the plan is made; an extent may be 0 */
    int axis;           /* the channel axis, the one that is kept; negative counts from the end; or CLBN_AXIS_NONE */
    clbn_dtype dtype;   /* of x and dx */
    clbn_dtype y_dtype; /* of y, dy, residual and dresidual: any other, or CLBN_AS_X */
    double epsilon;     /* 0, or a normal float; with var = 0 and epsilon = 0, inv_std is 0 */
    clbn_epsilon_rule epsilon_rule;
    clbn_running_variance running_variance;
    /* NULL: the plan chooses, see clbn_device_prefer; else the name of one (docs/performance.md lists them), to force it. */
    const char *variant;
    clbn_activation activation;
    double slope;                         /* of CLBN_LEAKY_RELU: any finite number */
    double low, high;                     /* of CLBN_CLIP: low <= high, may be infinite */
    const clbn_custom_activation *custom; /* of CLBN_CUSTOM */
    int residual;                         /* 1: y = act(bn(x) + residual), and forward calls need it; 0: there is none */
    int mask;                             /* 1: training keeps .mask, which backward then reads instead of the residual; for
                                           * CLBN_RELU, CLBN_LEAKY_RELU and CLBN_CLIP */
    clbn_strides strides;
} clbn_config;

/*             epsilon  rule    running variance  update_weight (clbn_preset_update_weight)
 * PYTORCH     1e-5     inside  unbiased          0.1
 * TENSORFLOW  1e-3     inside  biased            0.01 (Keras' momentum 0.99)
 * ONNX        1e-5     inside  biased            0.1  (ONNX' momentum 0.9)
 * rank 0, dims NULL, axis 1, float32, y as x, identity, no residual, no mask, dense. An unknown preset gives PYTORCH's. */
CLBN_API clbn_config clbn_config_preset(clbn_preset preset);
CLBN_API double clbn_preset_update_weight(clbn_preset preset);

typedef struct clbn_plan clbn_plan;

/* Make a plan: checks the config, chooses kernels and launches, compiles. *plan is NULL after an error.
 * On an OpenCL device a variant that has not yet run with these types, activation, residual and mask is tried: training, inference
 * and backward on a few thousand values of known answer, on the device's own queue (see clbn_device_get_cl), which it waits for. It
 * takes milliseconds, and what compiling takes where drivers leave that to the first launch; once a device, variant and kinds. Where
 * the driver gets it wrong, or fails, the next variant in order is taken and the message callback is told.
 * Behind an activation of the caller's own only the statistics are judged.
 * Errors: INVALID_DIMS, INVALID_VALUE, INVALID_ARGUMENT, UNSUPPORTED (float64 on a device without it, a mask for an activation
 * that has none, a forced variant that does not fit or is wrong, no variant that is right), KERNEL_BUILD, the OUT_OF_* ones, OPENCL.
 * The plan keeps its device alive. */
CLBN_API clbn_status clbn_plan_create(clbn_device *device, const clbn_config *config, clbn_plan **plan);

/* NULL is fine; safe while enqueued work is still running. */
CLBN_API void clbn_plan_destroy(clbn_plan *plan);

typedef struct clbn_plan_info {
    size_t outer, channels, inner;
    const char *variant; /* how a batch is reduced here; lives as long as the plan. Inference is its apply step */
    unsigned training_launches, inference_launches, moments_launches; /* kernels one call enqueues; 0 on the CPU path */
    size_t workspace_bytes;                                           /* what .workspace must hold, see clbn_forward_args */
    unsigned backward_launches;                                       /* of clbn_backward_training with saved statistics */
    clbn_dtype dtype, y_dtype;                                        /* of x and of y; never CLBN_AS_X */
    clbn_dtype channel_dtype;                                         /* real: CLBN_F32 or CLBN_F64 */
    int preferred;                                                    /* 1: variant is one that clbn_device_prefer named */
} clbn_plan_info;

CLBN_API clbn_status clbn_plan_query(const clbn_plan *plan, clbn_plan_info *info);

/* Bytes of .mask: one bit an element, each run of values (inner of them, or channels * inner where channels lie side by side)
 * filled up to whole bytes; 0 where the config has no mask. How bits are laid out is the plan's own affair: a
 * mask is for the plan that wrote it, or one made from the same config on the same device with the same variant. */
CLBN_API size_t clbn_plan_mask_bytes(const clbn_plan *plan);

/* The names that config.variant takes, in the order in which plans on OpenCL devices try them; NULL past the last. */
CLBN_API const char *clbn_variant_name(size_t index);

/* Tell the device which variant is fastest there: from now on plans of the config's kinds and shape (the three numbers and the strides
 * that the library makes of dims, axis and strides; types, activation, residual, mask; nothing else of it) whose config.variant is NULL
 * take that one, unless it does not compile or its trial goes wrong: then they choose as ever. Plans already made stay as they are.
 * variant NULL: they choose as ever again. Results of another variant have the same accuracy, and not always the same bits.
 * A device with a cache_dir keeps it there for devices opened on it by others and later; where it cannot be written the message callback
 * is told, and the preference holds for this device alone, as without a cache_dir. A device looks there once for each such kinds and
 * shape, when it makes the first plan of them, and keeps to what it finds until it is told itself: other processes do not change its mind,
 * and its plans of one config agree. `clbn tune` measures, and calls this.
 * All expressions of CLBN_CUSTOM share one preference. With skip_trials it is taken untried.
 * Errors: those of clbn_plan_create for what is wrong with the config; INVALID_ARGUMENT where there is no variant of that name; UNSUPPORTED
 * where it cannot do the shape, and on the CPU path, which has no variants; OUT_OF_HOST_MEMORY. After an error all is as before. */
CLBN_API clbn_status clbn_device_prefer(clbn_device *device, const clbn_config *config, const char *variant);

/* ---------------------------------------------------------------------------------------------------------- buffers */

typedef enum clbn_buffer_kind { CLBN_BUFFER_ABSENT = 0, CLBN_BUFFER_MEM = 1, CLBN_BUFFER_HOST = 2 } clbn_buffer_kind;

/* Where an argument lives. Zero means absent. Make it with clbn_mem or clbn_host. */
typedef struct clbn_buffer {
    clbn_buffer_kind kind;
    cl_mem mem;
    void *host;
    size_t offset; /* in elements of the argument's type (mask, workspace: bytes), from the start of mem or host */
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
 * both are only read, or their strides interleave without touching. In place: y may be exactly x, or exactly residual, where
 * types are of one size and strides the same.
 *
 * saved_mean_lo is what rounding the mean to real left: the mean is saved_mean + saved_mean_lo. Without it a backward pass
 * is accurate only up to |mean| / sigma = 10.
 * workspace is a cl_mem that holds at least workspace_bytes from its offset (counted in bytes here, a multiple of a real's), undefined
 * afterwards. Absent: the plan's own is used, and calls that share it run one after the other, chained by events: do not gate
 * such a call by a user event that a later call must complete. The plan holds on to the last such call's queue and event until
 * it is destroyed. A plan whose workspace_bytes is 0 needs none.
 * update_weight is the weight of this batch, 0 to 1, in running = (1 - w) * running + w * batch. 1/(k+1) in the k-th call,
 * k from 0, gives the plain average; 1 replaces whatever running_* held (NaN too), 0 leaves it. */
typedef struct clbn_forward_args {
    clbn_buffer x;             /* in: outer * channels * inner elements; required */
    clbn_buffer y;             /* out: as x. In training it may be absent: statistics only */
    clbn_buffer gamma;         /* in: channels reals; absent: 1 */
    clbn_buffer beta;          /* in: channels reals; absent: 0 */
    clbn_buffer running_mean;  /* channels reals. Training: in and out, may be absent. Inference: in, required */
    clbn_buffer running_var;   /* likewise */
    clbn_buffer saved_mean;    /* out: channels reals, the mean that was used, rounded to real; may be absent */
    clbn_buffer saved_mean_lo; /* out: channels reals, see above; may be absent */
    clbn_buffer saved_var;     /* out: channels reals, the biased variance that was used; may be absent */
    clbn_buffer saved_inv_std; /* out: channels reals; may be absent */
    clbn_buffer workspace;     /* scratch, see above; may be absent */
    double update_weight;      /* used in training where running_* are given */
    clbn_buffer residual;      /* in: as y; required by a plan with a residual that writes y, else absent */
    clbn_buffer mask;          /* out, together with y: clbn_plan_mask_bytes bytes. Training of a plan with a mask that writes y:
                                * required; inference: may be absent */
    int skip_nonfinite;        /* 1: a channel whose mean or variance is not finite leaves its running statistics as they were */
    clbn_buffer parts, counts; /* in, training: normalize by the statistics of these parts, merged in their order, instead of
                                * x's own; see clbn_moments_part */
    size_t part_count;         /* how many parts and counts there are */
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
 * One value a channel gives y = act(beta + residual); no value (an extent of 0) is success, touches no output and needs no
 * buffers (statistics of parts aside). NaN and Inf stay in their channel. Errors: MISSING_BUFFER, WRONG_MEMORY, BUFFER_TOO_SMALL,
 * OVERLAP, INVALID_VALUE, INVALID_QUEUE, INVALID_WAIT_LIST, INVALID_ARGUMENT, UNSUPPORTED (a plan of CLBN_I8), the OUT_OF_* ones,
 * OPENCL; after these nothing was enqueued and nothing written.
 * INCOMPLETE: y and saved_* undefined; running_* untouched, as the last launch moves them (unless it is the reading back into a
 * host array that failed). */
CLBN_API clbn_status clbn_forward_training(const clbn_plan *plan, cl_command_queue queue, const clbn_forward_args *args,
                                           cl_uint n_wait, const cl_event *wait_list, cl_event *event);

/* Normalize by the running statistics: y = act(gamma * (x - running_mean) * inv_std(running_var) + beta + residual). running_*
 * are only read and required, as is y; update_weight, skip_nonfinite and parts are not used; saved_* get the statistics used
 * (saved_mean_lo 0). Otherwise as clbn_forward_training. A negative running_var gives what the formula gives: NaN, where
 * running_var + epsilon < 0. */
CLBN_API clbn_status clbn_forward_inference(const clbn_plan *plan, cl_command_queue queue, const clbn_forward_args *args,
                                            cl_uint n_wait, const cl_event *wait_list, cl_event *event);

/* Bits of clbn_backward_args.accumulate: this gradient is added to what its buffer holds, instead of replacing it. */
#define CLBN_ACCUMULATE_DX        1u
#define CLBN_ACCUMULATE_DGAMMA    2u
#define CLBN_ACCUMULATE_DBETA     4u
#define CLBN_ACCUMULATE_DRESIDUAL 8u

/* The arguments of one backward call; zero means absent, and each gradient may be, though not all. With g the gradient behind
 * the activation, g = dy * act'(v), v = gamma * (x - mean) * inv_std + beta + residual, and sums over a channel's n values:
 *     dresidual = g      dbeta = sum(g)      dgamma = inv_std * sum(g * (x - mean))
 *     dx = gamma * inv_std * (g - sum(g) / n - (x - mean) * inv_std^2 * sum(g * (x - mean)) / n)     training, epsilon inside
 *     dx = gamma * inv_std * g                                                                       inference
 * Where act'(v) is 0, g is 0 whatever dy holds.
 * What v needs must be given as it was to the forward call: gamma, beta and the residual; the statistics saved by it give the
 * same v to the bit, and so the same side of a kink. A plan with a mask reads that instead, and needs no beta or residual.
 * In place: dx may be exactly dy, or dresidual may (not both; not accumulating), as y and x in clbn_forward_args. */
typedef struct clbn_backward_args {
    clbn_buffer dy;        /* in: as y; required */
    clbn_buffer x;         /* in: as it was given to forward; required, but not by inference that writes neither dgamma nor any
                            * gradient through an activation without a mask */
    clbn_buffer dx;        /* out: as x */
    clbn_buffer dgamma;    /* out: channels reals */
    clbn_buffer dbeta;     /* out: channels reals */
    clbn_buffer dresidual; /* out: as y, in a plan with a residual */
    unsigned accumulate;   /* CLBN_ACCUMULATE_* */
    clbn_buffer gamma;     /* in: absent: 1 */
    clbn_buffer beta;      /* in: absent: 0; used where v is computed again */
    clbn_buffer residual;  /* in: required where v is computed again in a plan with a residual */
    clbn_buffer mask;      /* in: required by a plan with a mask */
    /* Training: what forward saved. All absent: computed again from x, one read more. Else saved_mean is required, and
     * saved_inv_std (epsilon inside) or saved_var (outside), and saved_mean_lo should be there. */
    clbn_buffer saved_mean, saved_mean_lo, saved_var, saved_inv_std;
    clbn_buffer running_mean, running_var; /* inference: in, required */
    clbn_buffer workspace;                 /* as in clbn_forward_args */
    clbn_buffer parts, counts;             /* in, training: the sums of these parts, added in their order, instead of the call's
                                            * own; saved_* are then required. See clbn_backward_part */
    size_t part_count;
    clbn_buffer part, count; /* out, of clbn_backward_part only */
} clbn_backward_args;

/* The gradients of clbn_forward_training, of which the batch's statistics are a part. Calls, threads, events and errors as
 * there; after INCOMPLETE every output is undefined. An extent of 0: dgamma and dbeta are 0, or stay where they accumulate; by parts
 * they are the whole batch's.
 * One value a channel gives dx = 0; a constant channel dx = gamma * inv_std * (g - mean(g)).
 * Source: Ioffe, Szegedy, 2015, section 3; for CLBN_EPSILON_OUTSIDE docs/semantics.md. */
CLBN_API clbn_status clbn_backward_training(const clbn_plan *plan, cl_command_queue queue, const clbn_backward_args *args,
                                            cl_uint n_wait, const cl_event *wait_list, cl_event *event);

/* The gradients of clbn_forward_inference: the running statistics are constants (a frozen layer). saved_* and parts are not
 * used. Otherwise as clbn_backward_training. */
CLBN_API clbn_status clbn_backward_inference(const clbn_plan *plan, cl_command_queue queue, const clbn_backward_args *args,
                                             cl_uint n_wait, const cl_event *wait_list, cl_event *event);

/* Mean and biased variance of each channel, as tf.nn.moments. Each output may be absent, but not all. Otherwise as
 * clbn_forward_training. */
typedef struct clbn_moments_args {
    clbn_buffer x;         /* in: outer * channels * inner elements; required */
    clbn_buffer mean;      /* out: channels reals */
    clbn_buffer mean_lo;   /* out: channels reals, what rounding mean to real left */
    clbn_buffer var;       /* out: channels reals */
    clbn_buffer workspace; /* as in clbn_forward_args */
} clbn_moments_args;

CLBN_API clbn_status clbn_moments(const clbn_plan *plan, cl_command_queue queue, const clbn_moments_args *args, cl_uint n_wait,
                                  const cl_event *wait_list, cl_event *event);

/* -------------------------------------------------------------------------------------------------- statistics in parts
 *
 * A batch that is spread over devices, processes or calls is normalized as one: each holder takes the moments of its share (a
 * part), all parts are brought together by whatever carries bytes, and each holder normalizes its share by all of them;
 * backward does the same with its two sums. The result is that of the whole batch within the promised accuracy; the bits
 * depend on how the batch was shared and on the order of the parts.
 *
 * A part is CLBN_PART_REALS * channels reals, CLBN_PART_REALS arrays of channels each, and one 64-bit count (cl_ulong, uint64_t)
 * of values a channel:
 *     of moments: the mean as hi + lo, the sum of squared deviations from it as hi + lo, and 0
 *     of sums:    sum(g) as hi + lo, sum(g * (x - mean)) as hi + lo, and 0
 * Parts lie one behind the other: parts[part_count][CLBN_PART_REALS][channels], counts[part_count]. A count may be 0 (its reals
 * are then not looked at), counts may differ, and the plan's own share may be empty. */
#define CLBN_PART_REALS 5

typedef struct clbn_moments_part_args {
    clbn_buffer x;         /* in: outer * channels * inner elements; required, unless there are none */
    clbn_buffer part;      /* out: CLBN_PART_REALS * channels reals; required */
    clbn_buffer count;     /* out: 1 cl_ulong; required */
    clbn_buffer workspace; /* as in clbn_forward_args */
} clbn_moments_part_args;

/* The moments of this share of a batch. Hand all parts to clbn_forward_training of a plan with the share's dims. */
CLBN_API clbn_status clbn_moments_part(const clbn_plan *plan, cl_command_queue queue, const clbn_moments_part_args *args,
                                       cl_uint n_wait, const cl_event *wait_list, cl_event *event);

/* This share's part of backward's two sums, from dy, x, the saved_* of the whole batch (required) and what v needs; dgamma and
 * dbeta, where given, get this share's own. Hand all parts to clbn_backward_training, whose dgamma and dbeta are then the whole
 * batch's. args.part and args.count are required; dx, dresidual, parts and counts must be absent. */
CLBN_API clbn_status clbn_backward_part(const clbn_plan *plan, cl_command_queue queue, const clbn_backward_args *args,
                                        cl_uint n_wait, const cl_event *wait_list, cl_event *event);

typedef struct clbn_merge_args {
    clbn_buffer parts;  /* in: part_count * CLBN_PART_REALS * channels reals; required */
    clbn_buffer counts; /* in: part_count cl_ulongs; required */
    size_t part_count;  /* at least 1 */
    clbn_buffer part;   /* out: CLBN_PART_REALS * channels reals; required */
    clbn_buffer count;  /* out: 1 cl_ulong; required */
} clbn_merge_args;

/* Merge parts into one, in their order: of moments (Chan, Golub, LeVeque, 1983), or of backward's sums. Of the plan only the
 * channels and the type matter. */
CLBN_API clbn_status clbn_moments_merge(const clbn_plan *plan, cl_command_queue queue, const clbn_merge_args *args,
                                        cl_uint n_wait, const cl_event *wait_list, cl_event *event);
CLBN_API clbn_status clbn_backward_merge(const clbn_plan *plan, cl_command_queue queue, const clbn_merge_args *args,
                                         cl_uint n_wait, const cl_event *wait_list, cl_event *event);

/* ------------------------------------------------------------------------------------------------- running statistics alone */

typedef struct clbn_update_args {
    clbn_buffer mean;         /* in: channels reals, the batch's, as saved_mean; required with running_mean */
    clbn_buffer var;          /* in: channels reals, the batch's biased variance, as saved_var; required with running_var */
    clbn_buffer running_mean; /* in and out: channels reals; one of the two may be absent */
    clbn_buffer running_var;
    double update_weight; /* as in clbn_forward_args */
    uint64_t count;       /* values a channel behind var; 0: the plan's outer * inner */
    int skip_nonfinite;   /* as in clbn_forward_args */
} clbn_update_args;

/* The update of the running statistics that clbn_forward_training makes, by itself: for who runs a forward pass twice
 * (checkpointing) or decides later whether a batch counts. A count of 1 leaves an unbiased running variance as it is. */
CLBN_API clbn_status clbn_update_running(const clbn_plan *plan, cl_command_queue queue, const clbn_update_args *args,
                                         cl_uint n_wait, const cl_event *wait_list, cl_event *event);

/* ---------------------------------------------------------------------------------------------------------------- folding */

/* The plan's dims are the weight's, its channel axis is the axis of output channels: 0 for [out, in, ...], -1 for [..., out]. */
typedef struct clbn_fold_args {
    clbn_buffer weight;                    /* in: as x; required */
    clbn_buffer bias;                      /* in: channels reals, of the layer; absent: 0 */
    clbn_buffer gamma, beta;               /* in: of the normalization; absent: 1, 0 */
    clbn_buffer running_mean, running_var; /* in: channels reals; required */
    clbn_buffer folded_weight;             /* out: as y; may be exactly weight; required */
    clbn_buffer folded_bias;               /* out: channels reals; may be exactly bias; required */
} clbn_fold_args;

/* Fold an inference-time normalization into the linear or convolution layer before it:
 *     folded_weight = weight * gamma * inv_std      folded_bias = (bias - running_mean) * gamma * inv_std + beta
 * so that folded_weight * input + folded_bias is clbn_forward_inference of weight * input + bias. Needs a plan without
 * activation, residual and mask (UNSUPPORTED). Otherwise as clbn_forward_inference. */
CLBN_API clbn_status clbn_fold(const clbn_plan *plan, cl_command_queue queue, const clbn_fold_args *args, cl_uint n_wait,
                               const cl_event *wait_list, cl_event *event);

#ifdef __cplusplus
}
#endif
#endif
