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
    plan->info.workspace_bytes = (state->constants_count + state->parts_count) * clbn_dtype_bytes(plan->real_type);
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
    clbn_status status = clbn_cl_choose(plan, config->variant, state);
    if (status == CLBN_SUCCESS) status = make_workspace(plan);
    if (status != CLBN_SUCCESS) {
        mtx_destroy(&state->lock);
        free(state);
        return status;
    }
    const bool any = plan->shape.elements != 0, split = !state->variant->fused;
    const size_t runs = state->variant->columns ? state->shape.outer : state->shape.outer * state->shape.channels;
    plan->mask_bytes = plan->mask && any ? runs * state->mask_run : 0;
    plan->info.variant = state->variant->name;
    plan->info.preferred = state->preferred;
    plan->info.training_launches = plan->info.backward_launches = !any ? 0 : split ? 3 : 1;
    plan->info.inference_launches = any ? 1 : 0;
    plan->info.moments_launches = !any ? 0 : split ? 2 : 1;
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

/* ----------------------------------------------------------------------------------------------------------- workspace */

static void place_workspace(clbn_call *c) {
    const clbn_cl_plan *state = c->plan->state;
    const clbn_buffer *given = &c->run->workspace;
    const cl_mem mem = given->kind ? given->mem : state->workspace;
    const size_t start = given->kind ? given->offset / clbn_dtype_bytes(c->plan->real_type) : 0;
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
static clbn_status enqueue_after(const clbn_call *c, const clbn_chain *chain, cl_command_queue queue, cl_event also,
                                 cl_event *last) {
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
static clbn_status enqueue_sharing(const clbn_call *c, const clbn_chain *chain, cl_command_queue queue, cl_event *last) {
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

static clbn_status idle(const clbn_plan *plan, const clbn_run *run) {
    if (run->event == NULL && run->n_wait == 0) return CLBN_SUCCESS;
    if (run->on_host) { /* no event, then */
        CL_TRY(plan->device, clWaitForEvents(run->n_wait, run->wait_list));
        return CLBN_SUCCESS;
    }
    CL_TRY(plan->device, clEnqueueMarkerWithWaitList(run->queue, run->n_wait, run->wait_list, run->event));
    return CLBN_SUCCESS;
}

static clbn_status enqueue(const clbn_call *c, const clbn_chain *chain, cl_command_queue queue, cl_event *last) {
    const clbn_cl_plan *state = c->plan->state;
    TRY(clbn_chain_check(c->plan->device, chain));
    const bool shares = chain->uses_workspace && c->constants.mem == state->workspace;
    return shares ? enqueue_sharing(c, chain, queue, last) : enqueue_after(c, chain, queue, NULL, last);
}

static clbn_status run_call(const clbn_plan *plan, const clbn_run *run) {
    const clbn_opencl *cl = plan->device->state;
    const cl_command_queue queue = run->queue ? run->queue : cl->queue;
    clbn_call c = {.plan = plan, .run = run};
    clbn_chain chain = {.count = 0};
    clbn_transfer transfer = {{NULL}};
    cl_event done = NULL;
    CHECK(clbn_cl_may_merge(plan, run->part_count), plan->device, CLBN_ERROR_UNSUPPORTED,
          "part_count is %zu; this device's driver would end the work-items that merge so many: merge some first",
          run->part_count);
    if (run->on_host && run->n_wait) CL_TRY(plan->device, clWaitForEvents(run->n_wait, run->wait_list)); /* host arrays too */
    clbn_status status = clbn_transfer_begin(plan, run, &transfer, c.operands);
    if (status == CLBN_SUCCESS) {
        place_workspace(&c);
        clbn_chain_make(&chain, &c);
        if (chain.count == 0) {
            status = idle(plan, run);
            goto out;
        }
        status = enqueue(&c, &chain, queue, run->on_host ? &done : run->event);
    }
    if (status == CLBN_SUCCESS && run->on_host) status = clbn_transfer_finish(plan, run, &transfer, queue, done);
    if (status == CLBN_ERROR_INCOMPLETE && run->on_host) clFinish(queue); /* what runs still may use the caller's arrays */
out:
    clbn_chain_release(&chain);
    if (done) clReleaseEvent(done);
    clbn_transfer_release(&transfer);
    return status;
}

const clbn_backend clbn_opencl_backend = {.name = "opencl",
                                          .device_close = clbn_cl_device_close,
                                          .plan_open = plan_open,
                                          .trial = clbn_cl_trial,
                                          .remember = clbn_cl_remember,
                                          .prefer = clbn_cl_prefer,
                                          .plan_close = plan_close,
                                          .check_queue = clbn_cl_check_queue,
                                          .check_buffer = clbn_cl_check_buffer,
                                          .run = run_call,
                                          .idle = idle};
