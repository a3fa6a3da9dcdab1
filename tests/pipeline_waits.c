/* SPDX-License-Identifier: Apache-2.0
 *
 * What a call waits for, and what it must not wait for.
 */
#include "pipeline.h"

#include <string.h>
#include <threads.h>
#include <time.h>

static void pause_ms(long ms) {
    thrd_sleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* The plan's workspace goes from queue one to queue two while one is stuck behind a gate of its own. */
static void beside_a_stuck_queue(const clbn_plan *plan, const batch *b, const way *w, const char *variant) {
    cl_command_queue one = queue_of(tested_context(), 0), two = queue_of(tested_context(), 0);
    const cl_event gate = gate_of(tested_context());
    cl_event done = NULL;
    way shared = *w;
    shared.own_workspace = 1;
    scene a, z;
    scene_make(&a, b, &shared, TRAINING, one, plan, variant);
    scene_make(&z, b, &shared, TRAINING, two, plan, variant);
    ck_clbn(scene_call(&a, plan, one, 0, NULL, NULL));
    ck_cl(clFinish(one));
    ck_cl(clEnqueueBarrierWithWaitList(one, 1, &gate, NULL));
    ck_cl(clFlush(one));
    ck_clbn(scene_call(&z, plan, two, 0, NULL, &done));
    ck_cl(clFlush(two));
    for (int k = 0; k < 2000 && state_of(done) != CL_COMPLETE; k++) pause_ms(5);
    const cl_int state = state_of(done);
    ck_cl(clSetUserEventStatus(gate, CL_COMPLETE));
    ck_cl(clFinish(one));
    ck_cl(clFinish(two));
    ck_assert_msg(state == CL_COMPLETE, "%s: waited for what another queue was given after the last call", z.title);
    must_be_right(&a);
    must_be_right(&z);
    clReleaseEvent(gate), clReleaseEvent(done);
    scene_free(&a), scene_free(&z);
    clReleaseCommandQueue(one), clReleaseCommandQueue(two);
}

START_TEST(a_call_does_not_wait_for_what_is_not_clbns) {
    with_every_plan(tested(), beside_a_stuck_queue);
}
END_TEST

typedef struct late {
    float *gamma;
    cl_event gate;
} late;

static int fill_then_open(void *data) {
    const late *l = data;
    pause_ms(50);
    for (int c = 0; c < 3; c++) l->gamma[c] = (float)(c + 2);
    return clSetUserEventStatus(l->gate, CL_COMPLETE) == CL_SUCCESS ? 0 : 1;
}

START_TEST(a_host_call_reads_its_arrays_after_its_wait_list) {
    const float x[12] = {1, 10, 100, 2, 20, 300, 3, 30, 200, 4, 40, 400}, right_gamma[3] = {2, 3, 4};
    float gamma[3] = {0}, y[12], right[12];
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 2, config.dims = (const size_t[]){4, 3};
    clbn_plan *plan = plan_of(tested(), &config);
    clbn_forward_args args = {.x = clbn_host(x), .y = clbn_host(right), .gamma = clbn_host(right_gamma)};
    ck_clbn(clbn_forward_training(plan, NULL, &args, 0, NULL, NULL));
    late l = {gamma, gate_of(tested_context())};
    thrd_t thread;
    int result = 1;
    ck_assert_int_eq(thrd_create(&thread, fill_then_open, &l), thrd_success);
    args.y = clbn_host(y), args.gamma = clbn_host(gamma);
    ck_clbn(clbn_forward_training(plan, NULL, &args, 1, &l.gate, NULL));
    ck_assert_int_eq(thrd_join(thread, &result), thrd_success);
    ck_assert_int_eq(result, 0);
    ck_assert_mem_eq(y, right, sizeof y);
    clReleaseEvent(l.gate);
    clbn_plan_destroy(plan);
}
END_TEST

START_TEST(a_call_with_nothing_to_do_still_waits_for_its_list) {
    const size_t dims[] = {0, 3};
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 2, config.dims = dims;
    clbn_plan *plan = plan_of(tested(), &config);
    cl_command_queue queue = queue_of(tested_context(), 0);
    cl_event gate = gate_of(tested_context()), after = NULL;
    ck_clbn(clbn_forward_training(plan, queue, &(clbn_forward_args){0}, 1, &gate, NULL));
    ck_cl(clEnqueueMarkerWithWaitList(queue, 0, NULL, &after));
    ck_cl(clFlush(queue));
    pause_ms(20);
    const cl_int state = state_of(after);
    ck_cl(clSetUserEventStatus(gate, CL_COMPLETE));
    ck_cl(clFinish(queue));
    ck_assert_int_ne(state, CL_COMPLETE);
    clReleaseEvent(gate), clReleaseEvent(after);
    clReleaseCommandQueue(queue);
    clbn_plan_destroy(plan);
}
END_TEST

START_TEST(a_pipeline_call_on_nothing_that_writes_needs_its_queue) {
    const size_t dims[] = {0, 3};
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 2, config.dims = dims;
    clbn_plan *plan = plan_of(tested(), &config);
    cl_int code;
    cl_mem dbeta = clCreateBuffer(tested_context(), CL_MEM_READ_WRITE, 3 * sizeof(float), NULL, &code);
    ck_cl(code);
    const clbn_backward_args args = {.dbeta = clbn_mem(dbeta, 0)};
    must_refuse(clbn_backward_training(plan, NULL, &args, 0, NULL, NULL), CLBN_ERROR_INVALID_QUEUE, "queue", "no queue");
    clReleaseMemObject(dbeta);
    clbn_plan_destroy(plan);
}
END_TEST

/* y of the first call is made by statistics that stand in the plan's workspace until its gate opens. */
START_TEST(a_call_by_parts_waits_for_the_workspace) {
    enum { ROWS = 4, CHANNELS = 3, COUNT = ROWS * CHANNELS };
    const float parts[2][CLBN_PART_REALS * CHANNELS] = {{1, 2, 3, 0, 0, 0, 4, 4, 4}, {-1, 0, 5, 0, 0, 0, 16, 64, 16}};
    const float inv_std[2][CHANNELS] = {{1, 1, 1}, {0.5f, 0.25f, 0.5f}};
    const uint64_t values = ROWS;
    const cl_event gate = gate_of(tested_context());
    cl_command_queue queues[2];
    cl_event done[2];
    guarded x[2], y[2], part[2], count[2];
    float given[COUNT];
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 2, config.dims = (const size_t[]){ROWS, CHANNELS}, config.epsilon = 0;
    clbn_plan *plan = plan_of(tested(), &config);
    for (int i = 0; i < COUNT; i++) given[i] = (float)(i - 5);
    for (int k = 0; k < 2; k++) {
        queues[k] = queue_of(tested_context(), 0);
        guarded_make(&x[k], "x", queues[k], CL_MEM_READ_ONLY, COUNT, 0, given);
        guarded_make(&y[k], "y", queues[k], CL_MEM_READ_WRITE, COUNT, 0, NULL);
        guarded_make(&part[k], "parts", queues[k], CL_MEM_READ_ONLY, CLBN_PART_REALS * CHANNELS, 0, parts[k]);
        guarded_make_of(&count[k], "counts", queues[k], CL_MEM_READ_ONLY, sizeof values, 1, 0, &values);
        const clbn_forward_args args = {.x = guarded_buffer(&x[k]),
                                        .y = guarded_buffer(&y[k]),
                                        .parts = guarded_buffer(&part[k]),
                                        .counts = guarded_buffer(&count[k]),
                                        .part_count = 1};
        ck_clbn(clbn_forward_training(plan, queues[k], &args, k == 0, k ? NULL : &gate, &done[k]));
        ck_cl(clFlush(queues[k]));
    }
    for (int k = 0; k < 20 && state_of(done[1]) != CL_COMPLETE; k++) pause_ms(5);
    const cl_int state = state_of(done[1]);
    ck_cl(clSetUserEventStatus(gate, CL_COMPLETE));
    ck_cl(clWaitForEvents(2, done));
    ck_assert_msg(state != CL_COMPLETE, "the second call took the workspace before the first was done with it");
    for (int k = 0; k < 2; k++) {
        const float *got = guarded_read(&y[k], "y by parts");
        for (int i = 0, c = 0; i < COUNT; i++, c = i % CHANNELS)
            ck_assert_float_eq(got[i], (given[i] - parts[k][c]) * inv_std[k][c]);
        guarded *all[] = {&x[k], &y[k], &part[k], &count[k]};
        for (int i = 0; i < 4; i++) guarded_free(all[i]);
        clReleaseEvent(done[k]);
        clReleaseCommandQueue(queues[k]);
    }
    clReleaseEvent(gate);
    clbn_plan_destroy(plan);
}
END_TEST

void add_waits(TCase *tests) {
    tcase_add_test(tests, a_call_with_nothing_to_do_still_waits_for_its_list);
    tcase_add_test(tests, a_pipeline_call_on_nothing_that_writes_needs_its_queue);
    tcase_add_test(tests, a_call_does_not_wait_for_what_is_not_clbns);
    tcase_add_test(tests, a_host_call_reads_its_arrays_after_its_wait_list);
    tcase_add_test(tests, a_call_by_parts_waits_for_the_workspace);
}
