/* SPDX-License-Identifier: Apache-2.0
 *
 * What the OpenCL backend's parts share: device (list.c, device.c), policy (which launches), preference (which variant), program
 * (build, keep), cache (files), launch (arguments, events), transfer (host arrays), check (what only OpenCL knows), run (a call). Only
 * this folder calls OpenCL.
 */
#ifndef CLBN_OPENCL_H
#define CLBN_OPENCL_H

#include "internal.h"

#include <threads.h>

/* -------------------------------------------------------------------------------------------------------------- device */

typedef struct clbn_program {
    struct clbn_program *next;
    char *key; /* its options, and the caller's own text */
    cl_program program;
    unsigned right, wrong; /* bits by the number of a variant: how its trial ended */
} clbn_program;

/* What a device knows of plans of some kinds and shape, by clbn_device_prefer or from disk. */
typedef struct clbn_preference {
    struct clbn_preference *next;
    const char *variant; /* its name, a constant; NULL: none, whatever is kept on disk by now */
    char key[];          /* the kinds and the shape */
} clbn_preference;

typedef struct clbn_opencl {
    cl_context context;
    cl_device_id device;
    cl_command_queue queue; /* in order, for host calls without one */
    bool shares_memory;     /* with the host: host arrays are used in place */
    bool whole_vectors;     /* a work-item is a CPU thread with vector registers: let it walk whole vectors */
    bool counts_turns;      /* a work-item is a lane of a CPU's vectors, and may be ended for turning in loops too often */
    size_t compute_units, max_group, max_items[2], local_bytes, cache_bytes;
    size_t source_bytes; /* of the kernels, and the sum of all that every file in a cache_dir depends on */
    uint64_t source_sum;
    mtx_t lock; /* over programs and preferences, and what is in them */
    clbn_program *programs;
    clbn_preference *preferences;
} clbn_opencl;

/* CL_DEVICE_* of a device, as text; "" if it can't be had. */
void clbn_cl_device_text(cl_device_id device, cl_device_info what, char *text, size_t bytes);
/* Fills everything but name and auto_rank. */
void clbn_cl_describe(cl_device_id device, clbn_device_info *info);
/* "CL_OUT_OF_RESOURCES" for -5; "unknown code". */
const char *clbn_cl_name(cl_int code);
/* Tells that an OpenCL call failed, and gives its status. */
clbn_status clbn_cl_failed(const clbn_device *device, const char *call, cl_int code);

clbn_status clbn_cl_build(const clbn_device *device, const char *const *texts, const size_t *lengths, cl_uint count,
                          const char *options, cl_program *program);
void clbn_cl_device_close(clbn_device *device);

#define CL_TRY(device, call)                                                                \
    do {                                                                                    \
        const cl_int cl_try_code = (call);                                                  \
        if (cl_try_code != CL_SUCCESS) return clbn_cl_failed((device), #call, cl_try_code); \
    } while (0)

/* ---------------------------------------------------------------------------------------------------- policy, programs */

/* How kernels are compiled: see kernels/common.cl. Everything else about them is in the plan. */
typedef struct clbn_tile {
    unsigned vec, vectors;
    bool alone, strided;
} clbn_tile;

/* How a call's work is cut. A channel's slice of planes is cut into chunks of rows_each rows by length_each values, pieces
 * of them to a row; a matrix of columns into slabs of rows_each rows, and tiles of lx * length_each columns. */
typedef struct clbn_cut {
    size_t lx, ly;
    size_t chunks, rows_each, pieces, length_each;
    size_t groups_x, groups_y;
} clbn_cut;

typedef struct clbn_variant {
    const char *name;
    bool alone, columns, fused;
} clbn_variant;

typedef struct clbn_cl_plan {
    clbn_shape shape; /* the plan's, or with inner folded into outer: see policy.c */
    clbn_view views[CLBN_TENSOR_COUNT];
    const clbn_variant *variant;
    bool preferred; /* is it one that clbn_device_prefer named? */
    clbn_tile tile;
    clbn_program *program; /* the device's */
    clbn_cut work;         /* of moments */
    clbn_cut apply;
    clbn_cut fused; /* of a fused kernel */
    clbn_cut finalize;
    clbn_cut by_channel;                 /* of what touches no batch */
    size_t columns;                      /* where columns are summed: how many make a channel */
    size_t mask_run;                     /* bytes of a run's bits */
    bool past_caches;                    /* is a tensor larger than they are? */
    size_t constants_count, parts_count; /* reals in the workspace, in this order */
    /* The plan's own workspace, and who used it last: that call's queue and event. */
    mtx_t lock;
    cl_mem workspace;
    cl_command_queue last_queue;
    cl_event last_event;
} clbn_cl_plan;

/* cut.c. Work-items of a group at most; a kernel may take fewer. */
size_t clbn_cl_group(const clbn_opencl *cl);
/* Columns that a work-item of a CPU device takes at most, where they stay in the caches; and a group's work-items along a row of columns. */
size_t clbn_cl_near_columns(const clbn_tile *tile);
enum { CLBN_CL_COLUMN_LANES = 8 }; /* 128 bytes */
/* Fills what of state follows from shape, variant, tile and group. */
void clbn_cl_cut(const clbn_plan *plan, clbn_cl_plan *state, size_t group);
/* May each work-item be given what a cut gives it? Cuts state for that. */
bool clbn_cl_may_take(const clbn_plan *plan, clbn_cl_plan *state);
/* May it merge so many parts? */
bool clbn_cl_may_merge(const clbn_plan *plan, size_t parts);

/* The device's program for a plan's kinds, compiled when first asked for. */
clbn_status clbn_cl_program(const clbn_plan *plan, const clbn_tile *tile, clbn_program **program);
/* Keeps on disk what has been compiled by now, and the bits of the variants found right. It may take a driver seconds: not under the
 * lock. */
void clbn_cl_program_keep(const clbn_device *device, const clbn_program *program, unsigned right);
/* Of the variants that those kernels serve, the bits of those whose trial went wrong; 0 before there is a program. */
unsigned clbn_cl_wrong_variants(const clbn_plan *plan, const clbn_tile *tile);
void clbn_cl_programs_release(clbn_opencl *cl);
/* Chooses a variant (or takes the named one), compiles, cuts. */
clbn_status clbn_cl_choose(const clbn_plan *plan, const char *variant, clbn_cl_plan *state);
/* As the backend's, in internal.h. */
void clbn_cl_trial(const clbn_plan *plan, clbn_trial *trial);
void clbn_cl_remember(const clbn_plan *plan, clbn_verdict verdict);
clbn_status clbn_cl_prefer(const clbn_plan *plan, const char *variant);
/* The kernels of a variant, by job. */
typedef struct clbn_kernel_names {
    const char *moments, *apply, *sums, *grad, *fused, *fused_grad; /* the last two are NULL where it is split */
} clbn_kernel_names;
clbn_kernel_names clbn_cl_kernels(const clbn_variant *variant);
/* Makes *group smaller where the device, or one of the kernels of the plan's variant, takes no group of so many. */
clbn_status clbn_cl_program_group(const clbn_plan *plan, const clbn_cl_plan *state, size_t *group);

/* Which variant such plans should take, by this device's word or else by what was on disk when it first asked; NULL: there is none. Of
 * the plan its kinds count, of state the shape and the views. */
const char *clbn_cl_preference(const clbn_plan *plan, const clbn_cl_plan *state);
/* variant: a constant, or NULL. */
clbn_status clbn_cl_preference_set(const clbn_plan *plan, const clbn_cl_plan *state, const char *variant);
/* Forgets it for as long as the device is open; what is kept on disk stays. */
void clbn_cl_preference_drop(const clbn_plan *plan, const clbn_cl_plan *state);
void clbn_cl_preferences_release(clbn_opencl *cl);

/* ------------------------------------------------------------------------------------------------------------- on disk */

/* What is kept in the device's cache_dir, each thing under a name; without one nothing is, and no file is touched. */
typedef struct clbn_kept {
    uint64_t facts[2];
    size_t bytes;
    void *content; /* to be freed */
} clbn_kept;

/* The kernels' and variants' sum, and how many bytes kernels have; taken once a device. */
uint64_t clbn_cl_cache_sources(size_t *bytes);
/* true where there was something whole. */
bool clbn_cl_cache_read(const clbn_device *device, const char *name, clbn_kept *kept);
/* true where it is there now. */
bool clbn_cl_cache_write(const clbn_device *device, const char *name, const clbn_kept *kept);
/* true where nothing is there now. */
bool clbn_cl_cache_remove(const clbn_device *device, const char *name);

/* ------------------------------------------------------------------------------------------------------------- launches */

/* An argument as kernels take it. Absent: some valid buffer, whose flag is not set. */
typedef struct clbn_operand {
    cl_mem mem;
    size_t offset; /* in elements */
    bool present;
} clbn_operand;

/* A kernel being given its arguments in order; code keeps the first error. */
typedef struct clbn_launch {
    cl_kernel kernel;
    cl_uint arguments;
    cl_int code;
    size_t real_bytes;
    size_t global[2], local[2];
} clbn_launch;

/* Moments, finalize, sums, finalize, grad. */
enum { CLBN_MOST_LAUNCHES = 5 };
typedef struct clbn_chain {
    clbn_launch launches[CLBN_MOST_LAUNCHES];
    cl_uint count;
    bool uses_workspace;
} clbn_chain;

clbn_launch *clbn_chain_add(clbn_chain *chain, const clbn_plan *plan, const char *kernel, const clbn_cut *cut);
void clbn_pass(clbn_launch *launch, clbn_operand operand); /* buffer and offset */
void clbn_pass_count(clbn_launch *launch, size_t count);   /* ulong */
void clbn_pass_bits(clbn_launch *launch, cl_uint bits);    /* uint */
void clbn_pass_real(clbn_launch *launch, double value);    /* real */
void clbn_pass_scratch(clbn_launch *launch, size_t reals); /* local memory */
/* All kernels made and all arguments taken? */
clbn_status clbn_chain_check(const clbn_device *device, const clbn_chain *chain);
/* Enqueues the launches one after the other behind the n events of list; *last, where last is not NULL, is the last one's event. */
clbn_status clbn_chain_enqueue(const clbn_device *device, const clbn_chain *chain, cl_command_queue queue, cl_uint n,
                               const cl_event *list, cl_event *last);
void clbn_chain_release(clbn_chain *chain);
/* Does the queue run its commands out of order? */
bool clbn_queue_is_unordered(cl_command_queue queue);

/* A call and its operands, on the way to its launches. */
typedef struct clbn_call {
    const clbn_plan *plan;
    const clbn_run *run;
    clbn_operand operands[CLBN_SLOT_COUNT];
    clbn_operand constants, parts; /* of the workspace */
    cl_uint flags;
} clbn_call;

/* Which launches a call is: fills c->flags and the chain. */
void clbn_chain_make(clbn_chain *chain, clbn_call *c);

/* --------------------------------------------------------------------------------------------------------------- checks */

/* As the backend's, in internal.h. */
clbn_status clbn_cl_check_queue(const clbn_plan *plan, const clbn_run *run);
clbn_status clbn_cl_check_buffer(const clbn_plan *plan, const char *name, clbn_buffer buffer, size_t element_bytes, size_t bytes,
                                 clbn_access access, clbn_region *region);

/* ------------------------------------------------------------------------------------------------------------- transfer */

/* The memory objects behind a call's host arrays. */
typedef struct clbn_transfer {
    cl_mem made[CLBN_SLOT_COUNT]; /* one where a slot's is new; slots on one array share that of the first */
} clbn_transfer;

/* Operands for every slot of the call; host arrays are uploaded, or used in place. */
clbn_status clbn_transfer_begin(const clbn_plan *plan, const clbn_run *run, clbn_transfer *transfer,
                                clbn_operand operands[CLBN_SLOT_COUNT]);
/* Waits for done, and puts the results of host arrays in place. */
clbn_status clbn_transfer_finish(const clbn_plan *plan, const clbn_run *run, const clbn_transfer *transfer,
                                 cl_command_queue queue, cl_event done);
void clbn_transfer_release(clbn_transfer *transfer);

#endif
