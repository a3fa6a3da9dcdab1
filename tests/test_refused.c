/* SPDX-License-Identifier: Apache-2.0
 *
 * A driver that refuses a launch: before the first one nothing has happened, after it the call is INCOMPLETE and the running
 * statistics are as before, and in either case the next call is right; and one that begins nothing before a flush. The library's
 * launches and flushes come here first, because an executable's exported symbols come before every library's.
 */
#define _GNU_SOURCE
#include "pipeline.h"

#include <dlfcn.h>
#include <string.h>

typedef cl_int launch(cl_command_queue, cl_kernel, cl_uint, const size_t *, const size_t *, const size_t *, cl_uint,
                      const cl_event *, cl_event *);
static unsigned launches, refused; /* counted from 1; refused 0: none is */

cl_int CL_API_CALL clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions, const size_t *offset,
                                          const size_t *global, const size_t *local, cl_uint n, const cl_event *list,
                                          cl_event *event) {
    static launch *loader;
    if (!loader) {
        void *found = dlsym(RTLD_NEXT, "clEnqueueNDRangeKernel");
        memcpy(&loader, &found, sizeof loader);
    }
    if (++launches == refused) return CL_OUT_OF_RESOURCES;
    return loader(queue, kernel, dimensions, offset, global, local, n, list, event);
}

static cl_command_queue flushed; /* the last that was */

cl_int CL_API_CALL clFlush(cl_command_queue queue) {
    static cl_int (*loader)(cl_command_queue);
    if (!loader) {
        void *found = dlsym(RTLD_NEXT, "clFlush");
        memcpy(&loader, &found, sizeof loader);
    }
    flushed = queue;
    return loader(queue);
}

static void must_be_as_before(scene *s, const batch *b) {
    const result got = scene_read(s);
    const size_t bytes = b->shape.channels * sizeof(float);
    ck_assert_msg(!memcmp(got.running_mean, b->running_mean, bytes), "%s: running_mean has moved", s->title);
    ck_assert_msg(!memcmp(got.running_var, b->running_var, bytes), "%s: running_var has moved", s->title);
}

/* Launch nth of a training call is refused; then a second call on the same plan and queue does it all. */
static void refuse(const clbn_plan *plan, const batch *b, way w, cl_command_queue queue, unsigned nth, const char *variant) {
    scene s, again;
    w.own_workspace = 1;
    scene_make(&s, b, &w, TRAINING, queue, plan, variant);
    scene_make(&again, b, &w, TRAINING, queue, plan, variant);
    launches = 0, refused = nth;
    const clbn_status status = scene_call(&s, plan, queue, 0, NULL, NULL);
    refused = 0;
    ck_clbn(scene_call(&again, plan, queue, 0, NULL, NULL));
    ck_cl(clFinish(queue));
    if (nth == 1) {
        ck_assert_int_eq(status, CLBN_ERROR_OUT_OF_DEVICE_MEMORY);
        guarded_must_be_unchanged(&s.y, "refused at the first launch");
        guarded_must_be_unchanged(&s.mean, "refused at the first launch");
    } else {
        ck_assert_int_eq(status, CLBN_ERROR_INCOMPLETE);
    }
    must_be_as_before(&s, b);
    must_be_right(&again);
    scene_free(&s);
    scene_free(&again);
}

static void refuse_each(const clbn_plan *plan, const batch *b, const way *w, const char *variant) {
    clbn_plan_info info;
    ck_clbn(clbn_plan_query(plan, &info));
    for (cl_command_queue_properties order = 0; order <= CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE;
         order += CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE) {
        cl_command_queue queue = queue_of(tested_context(), order);
        if (!queue) continue;
        for (unsigned nth = 1; nth <= info.training_launches; nth++) refuse(plan, b, *w, queue, nth, variant);
        clReleaseCommandQueue(queue);
    }
}

START_TEST(a_refused_launch_leaves_the_running_statistics_and_the_next_call_alone) {
    with_every_plan(tested(), refuse_each);
}
END_TEST

START_TEST(a_refused_launch_of_a_host_call_lets_go_of_the_arrays) {
    batch b;
    batch_make(&b, case_named("inner_33"), 0);
    way w = plain_way(ON_HOST);
    clbn_config config = config_of(&b, &w, "group-split-planes");
    clbn_plan *plan = plan_of(tested(), &config);
    scene s;
    scene_make(&s, &b, &w, TRAINING, tested_queue(), plan, "");
    launches = 0, refused = 3;
    ck_assert_int_eq(scene_call(&s, plan, NULL, 0, NULL, NULL), CLBN_ERROR_INCOMPLETE);
    refused = 0;
    must_be_as_before(&s, &b);
    scene_free(&s); /* nothing that still runs may touch these: the sanitizers watch */
    clbn_plan_destroy(plan);
    batch_free(&b);
}
END_TEST

/* The second call waits for the first, which shares the plan's workspace; a queue need not begin what it is given before a flush. */
static void wait_for_another_queue(const clbn_plan *plan, const batch *b, const way *w, const char *variant) {
    cl_command_queue one = queue_of(tested_context(), 0), two = queue_of(tested_context(), 0);
    clbn_plan_info info;
    way shared = *w;
    scene a, z;
    shared.own_workspace = 1;
    ck_clbn(clbn_plan_query(plan, &info));
    scene_make(&a, b, &shared, TRAINING, one, plan, variant);
    scene_make(&z, b, &shared, TRAINING, two, plan, variant);
    flushed = NULL;
    ck_clbn(scene_call(&a, plan, one, 0, NULL, NULL));
    ck_clbn(scene_call(&z, plan, two, 0, NULL, NULL));
    ck_assert_msg(flushed == one || info.training_launches == 1, "%s: waits for a queue that it has not flushed", z.title);
    ck_cl(clFinish(one));
    ck_cl(clFinish(two));
    must_be_right(&a);
    must_be_right(&z);
    scene_free(&a), scene_free(&z);
    clReleaseCommandQueue(one), clReleaseCommandQueue(two);
}

START_TEST(a_call_flushes_the_queue_that_it_waits_for) {
    with_every_plan(tested(), wait_for_another_queue);
}
END_TEST

static void add(Suite *suite) {
    TCase *tests = add_tests(suite, "refused");
    tcase_add_test(tests, a_refused_launch_leaves_the_running_statistics_and_the_next_call_alone);
    tcase_add_test(tests, a_refused_launch_of_a_host_call_lets_go_of_the_arrays);
    tcase_add_test(tests, a_call_flushes_the_queue_that_it_waits_for);
}

int main(void) {
    return run_suite("refused", add);
}
