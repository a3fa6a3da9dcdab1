/* SPDX-License-Identifier: Apache-2.0
 *
 * Who holds what for how long: the caller's context, reference counts, plans and devices destroyed before their work is done.
 */
#include "pipeline.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static cl_context context_of_our_own(void) {
    cl_device_id id = tested_cl_device();
    cl_int code;
    cl_context context = clCreateContext(NULL, 1, &id, NULL, NULL, &code);
    ck_cl(code);
    return context;
}

static clbn_device *device_in(cl_context context) {
    const clbn_device_options options = listening_options();
    clbn_device *device = NULL;
    ck_clbn(clbn_device_create_from_cl(context, tested_cl_device(), &options, &device));
    ck_assert_ptr_nonnull(device);
    return device;
}

static cl_command_queue queue_of_our_own;

static void run_on_our_own(const clbn_plan *plan, const batch *b, const way *w, const char *variant) {
    for (int k = 0; k < 2; k++) {
        way here = *w;
        here.own_workspace = k;
        scene s;
        scene_make(&s, b, &here, TRAINING, queue_of_our_own, plan, variant);
        scene_run(&s, plan, queue_of_our_own);
        must_be_right(&s);
        scene_free(&s);
        here.place = ON_HOST;
        scene_make(&s, b, &here, TRAINING, queue_of_our_own, plan, variant);
        scene_run(&s, plan, k ? NULL : queue_of_our_own);
        must_be_right(&s);
        scene_free(&s);
    }
}

START_TEST(plans_run_in_the_callers_own_context) {
    cl_context context = context_of_our_own(), found = NULL;
    cl_device_id id = NULL;
    clbn_device *device = device_in(context);
    clbn_device_info info;
    ck_clbn(clbn_device_query(device, &info));
    ck_assert_str_eq(info.name, "");
    ck_clbn(clbn_device_get_cl(device, &found, &id, NULL));
    ck_assert(found == context && id == tested_cl_device());
    queue_of_our_own = queue_of(context, 0);
    with_every_plan(device, run_on_our_own);
    clReleaseCommandQueue(queue_of_our_own);
    clbn_device_destroy(device);
    clReleaseContext(context);
}
END_TEST

typedef struct counts {
    cl_uint context, queue, x, y, gamma, gate;
} counts;

static counts count_references(cl_context context, cl_command_queue queue, const scene *s, cl_event gate) {
    counts n;
    ck_cl(clGetContextInfo(context, CL_CONTEXT_REFERENCE_COUNT, sizeof n.context, &n.context, NULL));
    ck_cl(clGetCommandQueueInfo(queue, CL_QUEUE_REFERENCE_COUNT, sizeof n.queue, &n.queue, NULL));
    ck_cl(clGetMemObjectInfo(s->x.mem, CL_MEM_REFERENCE_COUNT, sizeof n.x, &n.x, NULL));
    ck_cl(clGetMemObjectInfo(s->y.mem, CL_MEM_REFERENCE_COUNT, sizeof n.y, &n.y, NULL));
    ck_cl(clGetMemObjectInfo(s->gamma.mem, CL_MEM_REFERENCE_COUNT, sizeof n.gamma, &n.gamma, NULL));
    ck_cl(clGetEventInfo(gate, CL_EVENT_REFERENCE_COUNT, sizeof n.gate, &n.gate, NULL));
    return n;
}

/* Counts that stay for a fifth of a second: a driver's own thread may drop what a finished call held a moment after clFinish returns. */
static counts settled_references(cl_context context, cl_command_queue queue, const scene *s, cl_event gate) {
    const struct timespec pause = {0, 10000000};
    counts n = count_references(context, queue, s, gate);
    for (int same = 0, reads = 0; same < 20 && reads < 500; reads++) {
        nanosleep(&pause, NULL);
        const counts now = count_references(context, queue, s, gate);
        same = memcmp(&now, &n, sizeof n) == 0 ? same + 1 : 0;
        n = now;
    }
    return n;
}

/* A device, plans of every verb's calls, refused calls, and the end of it all between two counts. */
static void live_and_die(cl_context context, cl_command_queue queue, scene *s, cl_event gate) {
    clbn_device *device = device_in(context);
    clbn_config config = config_of(s->b, &s->way, NULL);
    clbn_plan *plan = plan_of(device, &config);
    for (int v = TRAINING; v <= MOMENTS; v++)
        for (int k = 0; k < 3; k++) {
            cl_event done = NULL;
            s->verb = (verb)v;
            ck_clbn(scene_call(s, plan, queue, 1, &gate, &done));
            ck_clbn(scene_call(s, plan, queue, 0, NULL, NULL));
            ck_cl(clWaitForEvents(1, &done));
            ck_cl(clReleaseEvent(done));
            clbn_forward_args bad = s->args;
            bad.y = bad.gamma;
            ck_assert_int_ne(clbn_forward_training(plan, queue, &bad, 1, &gate, NULL), CLBN_SUCCESS);
        }
    ck_cl(clFinish(queue));
    clbn_plan_destroy(plan);
    clbn_device_destroy(device);
}

START_TEST(reference_counts_are_as_they_were) {
    cl_context context = context_of_our_own();
    cl_command_queue queue = queue_of(context, 0);
    cl_event gate = gate_of(context);
    ck_cl(clSetUserEventStatus(gate, CL_COMPLETE));
    const way w = plain_way(IN_MEM);
    batch b;
    scene s;
    batch_make(&b, case_named("lanes_16"), 0);
    if (b.count > test_element_limit()) {
        batch_free(&b);
        batch_make(&b, case_named("inner_31"), 0);
    }
    clbn_device *first = device_in(context);
    clbn_config config = config_of(&b, &w, NULL);
    clbn_plan *plan = plan_of(first, &config);
    scene_make(&s, &b, &w, TRAINING, queue, plan, "");
    clbn_plan_destroy(plan);
    clbn_device_destroy(first);
    live_and_die(context, queue, &s, gate); /* a driver may keep a queue's last event, which keeps the queue */
    const counts before = settled_references(context, queue, &s, gate);
    live_and_die(context, queue, &s, gate);
    const counts after = settled_references(context, queue, &s, gate);
    ck_assert_uint_eq(before.context, after.context);
    ck_assert_uint_eq(before.queue, after.queue);
    ck_assert_uint_eq(before.x, after.x);
    ck_assert_uint_eq(before.y, after.y);
    ck_assert_uint_eq(before.gamma, after.gamma);
    ck_assert_uint_eq(before.gate, after.gate);
    scene_free(&s);
    batch_free(&b);
    clReleaseEvent(gate);
    clReleaseCommandQueue(queue);
    clReleaseContext(context);
}
END_TEST

/* The device is destroyed first, then the plan, both before the gate opens; by every variant of one shape. */
START_TEST(plan_and_device_may_go_while_their_work_waits) {
    const char *variant = NULL;
    for (size_t i = 0; i == 0 || variant; variant = clbn_variant_name(i++)) {
        cl_context context = context_of_our_own();
        cl_command_queue queue = queue_of(context, 0);
        clbn_device *device = device_in(context);
        const way w = plain_way(IN_MEM);
        way own = w;
        own.own_workspace = 1;
        batch b;
        batch_make(&b, case_named("inner_31"), 0);
        clbn_config config = config_of(&b, &own, variant);
        clbn_plan *plan = NULL;
        clbn_status status = clbn_plan_create(device, &config, &plan);
        clbn_device_destroy(device);
        if (!variant || status != CLBN_ERROR_UNSUPPORTED) {
            ck_clbn(status);
            cl_event gate = gate_of(context), done = NULL;
            scene s;
            scene_make(&s, &b, &own, TRAINING, queue, plan, variant);
            ck_clbn(scene_call(&s, plan, queue, 1, &gate, &done));
            clbn_plan_destroy(plan);
            ck_assert_int_gt(state_of(done), CL_COMPLETE);
            ck_cl(clSetUserEventStatus(gate, CL_COMPLETE));
            ck_cl(clWaitForEvents(1, &done));
            must_be_right(&s);
            scene_free(&s);
            clReleaseEvent(gate), clReleaseEvent(done);
        }
        batch_free(&b);
        clReleaseCommandQueue(queue);
        clReleaseContext(context);
    }
}
END_TEST

void add_lifetimes(TCase *tests) {
    tcase_add_test(tests, plans_run_in_the_callers_own_context);
    tcase_add_test(tests, reference_counts_are_as_they_were);
    tcase_add_test(tests, plan_and_device_may_go_while_their_work_waits);
}
