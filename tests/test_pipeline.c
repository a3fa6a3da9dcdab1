/* SPDX-License-Identifier: Apache-2.0
 *
 * clbn as one step among others on OpenCL queues: order, events, gates, memory of the caller's, lifetimes, reference counts.
 * pipeline_threads.c has threads and the same bits again, pipeline_waits.c what is waited for.
 */
#include "pipeline.h"

#include <stdlib.h>
#include <string.h>

/* Upload, train, read back: each waits for the one before by its event only. */
static void chain_by_events(cl_command_queue queue, const clbn_plan *plan, const batch *b, const way *w, const char *variant) {
    cl_event uploaded = NULL, trained = NULL;
    scene s;
    scene_make(&s, b, w, TRAINING, queue, plan, variant);
    const cl_event gate = gate_of(tested_context());
    ck_cl(clEnqueueWriteBuffer(queue, s.x.mem, CL_FALSE, 0, b->count * sizeof(float), b->x, 1, &gate, &uploaded));
    ck_clbn(scene_call(&s, plan, queue, 1, &uploaded, &trained));
    ck_assert_ptr_nonnull(trained);
    ck_assert_int_gt(state_of(trained), CL_COMPLETE);
    ck_cl(clSetUserEventStatus(gate, CL_COMPLETE));
    ck_cl(clWaitForEvents(1, &trained));
    ck_assert_int_eq(state_of(trained), CL_COMPLETE);
    must_be_right(&s);
    ck_cl(clFinish(queue));
    clReleaseEvent(gate), clReleaseEvent(uploaded), clReleaseEvent(trained);
    scene_free(&s);
}

static void on_every_queue(const clbn_plan *plan, const batch *b, const way *w, const char *variant) {
    static const cl_command_queue_properties kinds[] = {0, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, CL_QUEUE_PROFILING_ENABLE};
    for (int k = 0; k < 3; k++) {
        cl_command_queue queue = queue_of(tested_context(), kinds[k]);
        if (!queue) continue;
        chain_by_events(queue, plan, b, w, variant);
        clReleaseCommandQueue(queue);
    }
}

START_TEST(events_order_the_work_on_every_kind_of_queue) {
    with_every_plan(tested(), on_every_queue);
}
END_TEST

/* A second queue looks at y while the call waits. */
static void behind_a_gate(cl_command_queue queue, verb v, const clbn_plan *plan, const batch *b, const way *w,
                          const char *variant) {
    cl_command_queue side = queue_of(tested_context(), 0);
    const cl_event gates[] = {gate_of(tested_context()), gate_of(tested_context()), gate_of(tested_context())};
    cl_event done = NULL;
    scene s;
    scene_make(&s, b, w, v, queue, plan, variant);
    ck_clbn(scene_call(&s, plan, queue, 3, gates, &done));
    ck_cl(clFlush(queue));
    ck_cl(clSetUserEventStatus(gates[2], CL_COMPLETE));
    ck_cl(clSetUserEventStatus(gates[0], CL_COMPLETE));
    guarded *outputs[] = {&s.y, &s.mean, &s.running_mean};
    for (int k = 0; k < 3; k++) outputs[k]->queue = side;
    for (int k = 0; k < 3; k++) guarded_must_be_unchanged(outputs[k], "behind a gate");
    for (int k = 0; k < 3; k++) outputs[k]->queue = queue;
    ck_assert_msg(state_of(done) > CL_COMPLETE, "%s: complete before its gate opened", s.title);
    ck_cl(clSetUserEventStatus(gates[1], CL_COMPLETE));
    ck_cl(clWaitForEvents(1, &done));
    ck_assert_int_eq(state_of(done), CL_COMPLETE);
    must_be_right(&s);
    for (int k = 0; k < 3; k++) clReleaseEvent(gates[k]);
    clReleaseEvent(done);
    scene_free(&s);
    clReleaseCommandQueue(side);
}

static void gated(const clbn_plan *plan, const batch *b, const way *w, const char *variant) {
    for (int k = 0; k < 2; k++) {
        cl_command_queue queue = queue_of(tested_context(), k ? CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE : 0);
        if (!queue) continue;
        for (int v = TRAINING; v <= INFERENCE; v++) behind_a_gate(queue, (verb)v, plan, b, w, variant);
        clReleaseCommandQueue(queue);
    }
}

START_TEST(a_call_waits_for_every_event_of_its_list) {
    with_every_plan(tested(), gated);
}
END_TEST

/* y of the first call is x of the second, on another queue; the plan's own workspace serves both. */
static void two_queues(const clbn_plan *plan, const batch *b, const way *w, const char *variant) {
    cl_command_queue one = queue_of(tested_context(), 0), two = queue_of(tested_context(), 0);
    cl_event first = NULL, second = NULL;
    scene a, z;
    scene_make(&a, b, w, TRAINING, one, plan, variant);
    scene_make(&z, b, w, TRAINING, two, plan, variant);
    guarded_free(&z.x);
    guarded_make(&z.x, "x", two, CL_MEM_READ_WRITE, b->count, 0, b->x);
    a.args.y = z.args.x = guarded_buffer(&z.x);
    ck_clbn(scene_call(&a, plan, one, 0, NULL, &first));
    ck_clbn(scene_call(&z, plan, two, 1, &first, &second));
    ck_cl(clFlush(one));
    ck_cl(clWaitForEvents(1, &second));
    batch normalized = *b;
    normalized.x = calloc(b->count, sizeof(float));
    memcpy(normalized.x, guarded_read(&z.x, "y of the first call"), b->count * sizeof(float));
    memcpy(z.x.given, normalized.x, b->count * sizeof(float));
    z.b = &normalized;
    must_be_right(&z);
    free(normalized.x);
    clReleaseEvent(first), clReleaseEvent(second);
    scene_free(&a), scene_free(&z);
    clReleaseCommandQueue(one), clReleaseCommandQueue(two);
}

START_TEST(two_calls_chain_over_two_queues) {
    with_every_plan(tested(), two_queues);
}
END_TEST

/* Calls that share the plan's workspace and are ordered by nothing, beside calls that bring their own. */
static void unordered(const clbn_plan *plan, const batch *b, const way *w, const char *variant) {
    enum { CALLS = 6 };
    cl_command_queue queue = queue_of(tested_context(), CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    if (!queue) return;
    scene s[CALLS];
    batch shifted[CALLS];
    for (int k = 0; k < CALLS; k++) {
        way here = *w;
        here.own_workspace = k % 2;
        shifted[k] = *b;
        shifted[k].x = calloc(b->count, sizeof(float));
        for (size_t i = 0; i < b->count; i++) shifted[k].x[i] = b->x[i] * (float)(k + 1) + (float)k;
        scene_make(&s[k], &shifted[k], &here, k % 3 == 2 ? MOMENTS : TRAINING, queue, plan, variant);
    }
    for (int k = 0; k < CALLS; k++) ck_clbn(scene_call(&s[k], plan, queue, 0, NULL, NULL));
    ck_cl(clFinish(queue));
    for (int k = 0; k < CALLS; k++) {
        must_be_right(&s[k]);
        scene_free(&s[k]);
        free(shifted[k].x);
    }
    clReleaseCommandQueue(queue);
}

START_TEST(unordered_calls_do_not_disturb_each_other) {
    with_every_plan(tested(), unordered);
}
END_TEST

static void mixed(const clbn_plan *plan, const batch *b, const way *w, const char *variant) {
    way on_host = *w;
    on_host.place = ON_HOST;
    scene mem, host;
    scene_make(&mem, b, w, TRAINING, tested_queue(), plan, variant);
    scene_make(&host, b, &on_host, TRAINING, tested_queue(), plan, variant);
    clbn_forward_args *one = &mem.args, *two = &host.args, was = mem.args;
    one->y = two->y, two->y = was.y;
    one->gamma = two->gamma, two->gamma = was.gamma;
    one->running_var = two->running_var, two->running_var = was.running_var;
    one->saved_mean_lo = two->saved_mean_lo, two->saved_mean_lo = was.saved_mean_lo;
    ck_clbn(scene_call(&mem, plan, tested_queue(), 0, NULL, NULL));
    ck_clbn(scene_call(&host, plan, NULL, 0, NULL, NULL));
    must_be_right(&mem);
    must_be_right(&host);
    scene_free(&mem), scene_free(&host);
}

START_TEST(host_and_cl_mem_mix_by_argument) {
    with_every_plan(tested(), mixed);
}
END_TEST

START_TEST(no_work_gives_a_valid_event_behind_its_wait_list) {
    static const size_t dims[] = {0, 5, 7};
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 3, config.dims = dims;
    clbn_plan *plan = plan_of(tested(), &config);
    for (int v = TRAINING; v <= MOMENTS; v++) {
        scene empty = {.verb = (verb)v};
        const cl_event gate = gate_of(tested_context());
        cl_event done = NULL;
        ck_clbn(scene_call(&empty, plan, tested_queue(), 1, &gate, &done));
        ck_assert_ptr_nonnull(done);
        ck_assert_int_gt(state_of(done), CL_COMPLETE);
        ck_cl(clSetUserEventStatus(gate, CL_COMPLETE));
        ck_cl(clWaitForEvents(1, &done));
        clReleaseEvent(done), clReleaseEvent(gate);
        ck_clbn(scene_call(&empty, plan, tested_queue(), 0, NULL, NULL));
        ck_clbn(scene_call(&empty, plan, tested_queue(), 0, NULL, &done));
        ck_cl(clWaitForEvents(1, &done));
        clReleaseEvent(done);
    }
    clbn_plan_destroy(plan);
}
END_TEST

static void add(Suite *suite) {
    TCase *tests = add_tests(suite, "queues and events");
    tcase_add_test(tests, events_order_the_work_on_every_kind_of_queue);
    tcase_add_test(tests, a_call_waits_for_every_event_of_its_list);
    tcase_add_test(tests, two_calls_chain_over_two_queues);
    tcase_add_test(tests, unordered_calls_do_not_disturb_each_other);
    tcase_add_test(tests, host_and_cl_mem_mix_by_argument);
    tcase_add_test(tests, no_work_gives_a_valid_event_behind_its_wait_list);
    add_lifetimes(add_tests(suite, "lifetimes"));
    add_threads(add_tests(suite, "threads"));
    add_waits(add_tests(suite, "waits"));
}

int main(void) {
    return run_suite("pipeline", add);
}
