/* SPDX-License-Identifier: Apache-2.0
 *
 * The OpenCL backend: plans, and a call from its operands to its launches.
 */
#include "opencl/opencl.h"

#include <stdlib.h>
#include <string.h>

/* --------------------------------------------------------------------------------------------------------------- plans */

static clbn_status make_workspace(clbn_plan *plan) {
    const clbn_opencl *cl = plan->device->state;
    clbn_cl_plan *state = plan->state;
    cl_int code;
    plan->info.workspace_bytes = (state->constants_count + state->parts_count) * sizeof(cl_float);
    if (plan->info.workspace_bytes == 0) return CLBN_SUCCESS;
    state->workspace = clCreateBuffer(cl->context, CL_MEM_READ_WRITE, plan->info.workspace_bytes, NULL, &code);
    return code == CL_SUCCESS ? CLBN_SUCCESS : clbn_cl_failed(plan->device, "clCreateBuffer for the workspace", code);
}

static clbn_status plan_open(clbn_plan *plan, const clbn_config *config) {
    clbn_cl_plan *state = calloc(1, sizeof *state);
    CHECK(state != NULL, plan->device, CLBN_ERROR_OUT_OF_HOST_MEMORY, "no host memory for a plan");
    if (mtx_init(&state->lock, mtx_plain) != thrd_success) {
        free(state);
        return clbn_tell(plan->device, CLBN_ERROR_OUT_OF_HOST_MEMORY, 0, "no lock could be made");
    }
    plan->state = state;
    CHECK(plan->x_type == CLBN_F32 && plan->y_type == CLBN_F32 && plan->activation == CLBN_IDENTITY && !plan->residual,
          plan->device, CLBN_ERROR_UNSUPPORTED, "this plan is not there yet");
    clbn_status status = clbn_cl_choose(plan, config->variant, state);
    if (status == CLBN_SUCCESS) status = make_workspace(plan);
    if (status != CLBN_SUCCESS) {
        mtx_destroy(&state->lock);
        free(state);
        return status;
    }
    const unsigned split = state->variant->fused ? 1 : 3;
    plan->info.variant = state->variant->name;
    plan->info.training_launches = plan->shape.elements ? split : 0;
    plan->info.inference_launches = plan->shape.elements ? 1 : 0;
    plan->info.moments_launches = plan->shape.elements ? (split == 3 ? 2 : 1) : 0;
    return CLBN_SUCCESS;
}

static void forget_last(clbn_cl_plan *state) {
    if (state->last_event) clReleaseEvent(state->last_event);
    if (state->last_queue) clReleaseCommandQueue(state->last_queue);
    state->last_event = NULL;
    state->last_queue = NULL;
}

static void plan_close(clbn_plan *plan) {
    clbn_cl_plan *state = plan->state;
    forget_last(state);
    if (state->workspace) clReleaseMemObject(state->workspace);
    mtx_destroy(&state->lock);
    free(state);
}

/* ---------------------------------------------------------------------------------------------------- one call's facts */

/* Bits that kernels/common.cl names alike. */
enum {
    HAS_Y = 1,
    HAS_GAMMA = 2,
    HAS_BETA = 4,
    HAS_RUNNING_MEAN = 8,
    HAS_RUNNING_VAR = 16,
    HAS_MEAN = 32,
    HAS_MEAN_LO = 64,
    HAS_VAR = 128,
    HAS_INV_STD = 256,
    EPSILON_OUTSIDE = 512,
    OF_POPULATION = 1024,
    UPDATE_RUNNING = 2048,
    PAST_CACHES = 4096
};

typedef struct call {
    const clbn_plan *plan;
    const clbn_run *run;
    clbn_operand operands[CLBN_SLOT_COUNT];
    clbn_operand constants, parts; /* of the workspace */
    cl_uint flags;
    double bessel;
} call;

/* What is absent, and what would not change, has no flag: kernels know no other rule. */
static void resolve(call *c) {
    static const cl_uint bits[CLBN_SLOT_COUNT] = {[CLBN_Y] = HAS_Y,
                                                  [CLBN_GAMMA] = HAS_GAMMA,
                                                  [CLBN_BETA] = HAS_BETA,
                                                  [CLBN_RUNNING_MEAN] = HAS_RUNNING_MEAN,
                                                  [CLBN_MEAN] = HAS_MEAN,
                                                  [CLBN_RUNNING_VAR] = HAS_RUNNING_VAR,
                                                  [CLBN_VAR] = HAS_VAR,
                                                  [CLBN_MEAN_LO] = HAS_MEAN_LO,
                                                  [CLBN_INV_STD] = HAS_INV_STD};
    const clbn_plan *plan = c->plan;
    const bool of_batch = c->run->statistics == CLBN_OF_BATCH;
    const bool unbiased = plan->running_variance == CLBN_RUNNING_UNBIASED;
    const double n = (double)plan->shape.count;
    for (int slot = 0; slot < CLBN_SLOT_COUNT; slot++) {
        if (c->operands[slot].present) c->flags |= bits[slot];
    }
    if (plan->epsilon_rule == CLBN_EPSILON_OUTSIDE) c->flags |= EPSILON_OUTSIDE;
    if (!of_batch) c->flags |= OF_POPULATION;
    if (((const clbn_cl_plan *)plan->state)->past_caches && c->operands[CLBN_X].mem != c->operands[CLBN_Y].mem) {
        c->flags |= PAST_CACHES;
    }
    c->bessel = unbiased && n > 1 ? n / (n - 1) : 1;
    if (of_batch && unbiased && n == 1) c->flags &= ~(cl_uint)HAS_RUNNING_VAR;
    if (of_batch && c->run->update_weight == 0) c->flags &= ~(cl_uint)(HAS_RUNNING_MEAN | HAS_RUNNING_VAR);
}

/* CHANNEL_PARAMETERS of kernels/common.cl. */
static void pass_channels(clbn_launch *launch, const call *c, cl_uint more_flags) {
    static const clbn_slot order[] = {CLBN_GAMMA, CLBN_BETA,    CLBN_RUNNING_MEAN, CLBN_RUNNING_VAR,
                                      CLBN_MEAN,  CLBN_MEAN_LO, CLBN_VAR,          CLBN_INV_STD};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) clbn_pass(launch, c->operands[order[i]]);
    clbn_pass_bits(launch, c->flags | more_flags);
    clbn_pass_real(launch, c->plan->epsilon);
    clbn_pass_real(launch, c->run->update_weight);
    clbn_pass_real(launch, 1 - c->run->update_weight);
    clbn_pass_real(launch, c->bessel);
    clbn_pass_real(launch, (double)c->plan->shape.count);
}

/* PLANE_PARAMETERS of kernels/moments.cl. */
static void pass_planes(clbn_launch *launch, const call *c, const clbn_cut *cut) {
    clbn_pass_count(launch, c->plan->shape.outer);
    clbn_pass_count(launch, c->plan->shape.channels);
    clbn_pass_count(launch, c->plan->shape.inner);
    clbn_pass_count(launch, cut->chunks);
    clbn_pass_count(launch, cut->rows_each);
    clbn_pass_count(launch, cut->pieces);
    clbn_pass_count(launch, cut->length_each);
}

/* ------------------------------------------------------------------------------------------------------------ launches */

/* Reals of local memory behind a group whose work-items each merge so many moments. */
static size_t scratch(const clbn_cl_plan *state, const clbn_cut *cut, size_t each) {
    return state->tile.alone ? 1 : CLBN_MOMENTS_REALS * cut->lx * cut->ly * each;
}

static void add_moments(clbn_chain *chain, const call *c) {
    const clbn_cl_plan *state = c->plan->state;
    const clbn_shape *s = &c->plan->shape;
    const bool columns = state->variant->columns;
    clbn_launch *launch = clbn_chain_add(chain, state->program, columns ? "moments_columns" : "moments_planes", &state->work);
    clbn_pass(launch, c->operands[CLBN_X]);
    if (columns) {
        clbn_pass_count(launch, s->outer);
        clbn_pass_count(launch, s->channels * state->columns);
        clbn_pass_count(launch, state->work.chunks);
        clbn_pass_count(launch, state->work.rows_each);
    } else {
        pass_planes(launch, c, &state->work);
    }
    clbn_pass(launch, c->parts);
    clbn_pass_scratch(launch, scratch(state, &state->work, columns ? state->tile.vec : 1));
}

static void add_finalize(clbn_chain *chain, const call *c, cl_uint more_flags) {
    const clbn_cl_plan *state = c->plan->state;
    clbn_launch *launch = clbn_chain_add(chain, state->program, "finalize", &state->finalize);
    clbn_pass_count(launch, c->plan->shape.channels);
    clbn_pass_count(launch, state->columns);
    clbn_pass_count(launch, state->work.chunks);
    clbn_pass(launch, c->parts);
    clbn_pass(launch, c->constants);
    pass_channels(launch, c, more_flags);
    clbn_pass_scratch(launch, scratch(state, &state->finalize, 1));
}

static void add_apply(clbn_chain *chain, const call *c, cl_uint more_flags) {
    const clbn_cl_plan *state = c->plan->state;
    clbn_launch *launch = clbn_chain_add(chain, state->program, clbn_cl_apply_kernel(state->variant), &state->apply);
    clbn_pass(launch, c->operands[CLBN_X]);
    clbn_pass(launch, c->operands[CLBN_Y]);
    if (state->variant->columns) {
        clbn_pass_count(launch, c->plan->shape.outer);
        clbn_pass_count(launch, c->plan->shape.channels);
        clbn_pass_count(launch, state->columns);
        clbn_pass_count(launch, state->apply.chunks);
        clbn_pass_count(launch, state->apply.rows_each);
    } else {
        pass_planes(launch, c, &state->apply);
    }
    clbn_pass(launch, c->constants);
    pass_channels(launch, c, more_flags);
}

static void add_fused(clbn_chain *chain, const call *c) {
    const clbn_cl_plan *state = c->plan->state;
    const bool columns = state->variant->columns;
    clbn_launch *launch = clbn_chain_add(chain, state->program, columns ? "fused_columns" : "fused_planes", &state->fused);
    clbn_pass(launch, c->operands[CLBN_X]);
    clbn_pass(launch, c->operands[CLBN_Y]);
    clbn_pass_count(launch, c->plan->shape.outer);
    clbn_pass_count(launch, c->plan->shape.channels);
    if (!columns) clbn_pass_count(launch, c->plan->shape.inner);
    pass_channels(launch, c, UPDATE_RUNNING);
    clbn_pass_scratch(launch, scratch(state, &state->fused, columns ? state->tile.vec : 1));
}

/* The launches of a call, whose last one moves the running statistics. */
static void make_chain(clbn_chain *chain, const call *c) {
    const clbn_cl_plan *state = c->plan->state;
    const bool apply = c->operands[CLBN_Y].present;
    if (c->run->statistics == CLBN_OF_POPULATION) {
        add_apply(chain, c, 0);
    } else if (state->variant->fused) {
        add_fused(chain, c);
    } else {
        add_moments(chain, c);
        add_finalize(chain, c, apply ? 0 : UPDATE_RUNNING);
        if (apply) add_apply(chain, c, UPDATE_RUNNING);
    }
}

/* ----------------------------------------------------------------------------------------------------------- workspace */

static void place_workspace(call *c) {
    const clbn_cl_plan *state = c->plan->state;
    const clbn_buffer *given = &c->run->workspace;
    const cl_mem mem = given->kind ? given->mem : state->workspace ? state->workspace : c->operands[CLBN_X].mem;
    const size_t start = given->kind ? given->offset / sizeof(cl_float) : 0;
    c->constants = (clbn_operand){mem, start, true};
    c->parts = (clbn_operand){mem, start + state->constants_count, true};
}

/* Under the plan's lock: the event that a call on queue must wait for before it may use the plan's own workspace, or NULL. It
 * is the last call's own, so that nothing else enqueued on that call's queue is waited for. */
static cl_event workspace_busy(const clbn_plan *plan, cl_command_queue queue) {
    const clbn_cl_plan *state = plan->state;
    if (state->last_event == NULL || (state->last_queue == queue && !clbn_queue_is_unordered(queue))) return NULL;
    if (state->last_queue != queue) clFlush(state->last_queue);
    clRetainEvent(state->last_event);
    return state->last_event;
}

/* last is the call's event; or NULL after a refused launch: then what the queue holds by now stands for the call. */
static void workspace_taken(const clbn_plan *plan, cl_command_queue queue, cl_event last) {
    clbn_cl_plan *state = plan->state;
    forget_last(state);
    clRetainCommandQueue(queue);
    state->last_queue = queue;
    if (last) {
        clRetainEvent(last);
        state->last_event = last;
    } else if (clEnqueueMarkerWithWaitList(queue, 0, NULL, &state->last_event) != CL_SUCCESS) {
        clFinish(queue);
    }
}

/* ------------------------------------------------------------------------------------------------------------- forward */

/* Enqueues behind the caller's wait list and one more event. */
static clbn_status enqueue_after(const call *c, const clbn_chain *chain, cl_command_queue queue, cl_event also, cl_event *last) {
    const clbn_run *run = c->run;
    if (also == NULL) return clbn_chain_enqueue(c->plan->device, chain, queue, run->n_wait, run->wait_list, last);
    cl_event *list = malloc((run->n_wait + 1) * sizeof *list);
    CHECK(list != NULL, c->plan->device, CLBN_ERROR_OUT_OF_HOST_MEMORY, "no host memory for a wait list");
    if (run->n_wait) memcpy(list, run->wait_list, run->n_wait * sizeof *list);
    list[run->n_wait] = also;
    const clbn_status status = clbn_chain_enqueue(c->plan->device, chain, queue, run->n_wait + 1, list, last);
    free(list);
    return status;
}

/* Enqueues a chain that uses the plan's own workspace: after whoever used it last. */
static clbn_status enqueue_sharing(const call *c, const clbn_chain *chain, cl_command_queue queue, cl_event *last) {
    clbn_cl_plan *state = c->plan->state;
    cl_event mine = NULL;
    mtx_lock(&state->lock);
    cl_event before = workspace_busy(c->plan, queue);
    const clbn_status status = enqueue_after(c, chain, queue, before, &mine);
    if (status == CLBN_SUCCESS || status == CLBN_ERROR_INCOMPLETE) workspace_taken(c->plan, queue, mine);
    mtx_unlock(&state->lock);
    if (before) clReleaseEvent(before);
    if (last) {
        *last = mine;
    } else if (mine) {
        clReleaseEvent(mine);
    }
    return status;
}

static clbn_status enqueue(const call *c, cl_command_queue queue, cl_event *last) {
    const clbn_cl_plan *state = c->plan->state;
    clbn_chain chain = {.count = 0};
    make_chain(&chain, c);
    clbn_status status = clbn_chain_check(c->plan->device, &chain);
    const bool shares = chain.count > 1 && c->constants.mem == state->workspace;
    if (status == CLBN_SUCCESS) {
        status = shares ? enqueue_sharing(c, &chain, queue, last) : enqueue_after(c, &chain, queue, NULL, last);
    }
    clbn_chain_release(&chain);
    return status;
}

static clbn_status idle(const clbn_plan *plan, const clbn_run *run) {
    if (run->event == NULL) return CLBN_SUCCESS;
    CL_TRY(plan->device, clEnqueueMarkerWithWaitList(run->queue, run->n_wait, run->wait_list, run->event));
    return CLBN_SUCCESS;
}

static clbn_status run_call(const clbn_plan *plan, const clbn_run *run) {
    CHECK((run->operation == CLBN_FORWARD || run->operation == CLBN_MOMENTS) && !clbn_has(run, CLBN_PARTS), plan->device,
          CLBN_ERROR_UNSUPPORTED, "%s is not there yet", run->name);
    const clbn_opencl *cl = plan->device->state;
    const cl_command_queue queue = run->queue ? run->queue : cl->queue;
    call c = {.plan = plan, .run = run};
    clbn_transfer transfer = {{NULL}};
    cl_event done = NULL;
    if (run->on_host && run->n_wait) CL_TRY(plan->device, clWaitForEvents(run->n_wait, run->wait_list)); /* host arrays too */
    clbn_status status = clbn_transfer_begin(plan, run, &transfer, c.operands);
    if (status == CLBN_SUCCESS) {
        resolve(&c);
        place_workspace(&c);
        status = enqueue(&c, queue, run->on_host ? &done : run->event);
    }
    if (status == CLBN_SUCCESS && run->on_host) status = clbn_transfer_finish(plan, run, &transfer, queue, done);
    if (status == CLBN_ERROR_INCOMPLETE && run->on_host) clFinish(queue); /* what runs still may use the caller's arrays */
    if (done) clReleaseEvent(done);
    clbn_transfer_release(&transfer);
    return status;
}

const clbn_backend clbn_opencl_backend = {.name = "opencl",
                                          .device_close = clbn_cl_device_close,
                                          .plan_open = plan_open,
                                          .plan_close = plan_close,
                                          .check_queue = clbn_cl_check_queue,
                                          .check_buffer = clbn_cl_check_buffer,
                                          .run = run_call,
                                          .idle = idle};
