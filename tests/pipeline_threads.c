/* SPDX-License-Identifier: Apache-2.0
 *
 * One plan on many threads at once, and the same bits whenever, wherever and by whomever a plan runs. Threads assert nothing:
 * Check's assertions belong to the main one.
 */
#include "pipeline.h"

#include <pthread.h>

enum { THREADS = 6, CALLS = 8 };

typedef struct worker {
    pthread_t thread;
    const clbn_plan *plan;
    cl_command_queue queue; /* its own */
    scene scene;
    int failures;
} worker;

static void *work(void *argument) {
    worker *w = argument;
    for (int k = 0; k < CALLS; k++) {
        cl_event done = NULL;
        int on_host = w->scene.way.place >= ON_HOST;
        w->failures += scene_call(&w->scene, w->plan, w->queue, 0, NULL, on_host ? NULL : &done) != CLBN_SUCCESS;
        if (done) w->failures += clWaitForEvents(1, &done) != CL_SUCCESS;
        if (done) clReleaseEvent(done);
    }
    return NULL;
}

static void on_many_threads(const clbn_plan *plan, const batch *b, const way *w, const char *variant) {
    worker workers[THREADS];
    way here = *w;
    here.outputs = SAVED_ONLY; /* running statistics would move with every call */
    for (int k = 0; k < THREADS; k++) {
        here.place = k % 3 == 2 ? ON_HOST : IN_MEM;
        here.own_workspace = k % 2;
        workers[k] = (worker){.plan = plan, .queue = queue_of(tested_context(), 0)};
        scene_make(&workers[k].scene, b, &here, TRAINING, workers[k].queue, plan, variant);
    }
    for (int k = 0; k < THREADS; k++) ck_assert_int_eq(pthread_create(&workers[k].thread, NULL, work, &workers[k]), 0);
    for (int k = 0; k < THREADS; k++) ck_assert_int_eq(pthread_join(workers[k].thread, NULL), 0);
    for (int k = 0; k < THREADS; k++) {
        ck_assert_int_eq(workers[k].failures, 0);
        must_be_right(&workers[k].scene);
        result first = scene_read(&workers[0].scene), other = scene_read(&workers[k].scene);
        results_must_be_same_bits(&workers[k].scene, &first, &other);
    }
    for (int k = 0; k < THREADS; k++) {
        scene_free(&workers[k].scene);
        clReleaseCommandQueue(workers[k].queue);
    }
}

START_TEST(one_plan_serves_many_threads) {
    with_every_plan(tested(), on_many_threads);
}
END_TEST

static void same_bits(const clbn_plan *plan, const batch *b, const way *w, const char *variant) {
    clbn_config config = config_of(b, w, variant);
    clbn_plan *plan_again = plan_of(tested(), &config);
    cl_command_queue other = queue_of(tested_context(), 0);
    for (int v = TRAINING; v <= MOMENTS; v++) {
        way elsewhere = *w;
        elsewhere.offset = 3, elsewhere.place = ON_HOST;
        scene first, again, there, with_other_plan, on_host;
        scene_make(&first, b, w, (verb)v, tested_queue(), plan, variant);
        scene_make(&again, b, w, (verb)v, tested_queue(), plan, variant);
        scene_make(&there, b, w, (verb)v, other, plan, variant);
        scene_make(&with_other_plan, b, w, (verb)v, tested_queue(), plan, variant);
        scene_make(&on_host, b, &elsewhere, (verb)v, tested_queue(), plan, variant);
        const result results[] = {
            scene_run(&first, plan, tested_queue()), scene_run(&again, plan, tested_queue()),
            scene_run(&there, plan, other),          scene_run(&with_other_plan, plan_again, tested_queue()),
            scene_run(&on_host, plan, NULL),
        };
        scene *const scenes[] = {&first, &again, &there, &with_other_plan, &on_host};
        for (int k = 1; k < 5; k++) results_must_be_same_bits(scenes[k], &results[0], &results[k]);
        for (int k = 0; k < 5; k++) scene_free(scenes[k]);
    }
    clReleaseCommandQueue(other);
    clbn_plan_destroy(plan_again);
}

START_TEST(the_same_bits_come_from_run_to_run_and_queue_to_queue) {
    with_every_plan(tested(), same_bits);
}
END_TEST

void add_threads(TCase *tests) {
    tcase_add_test(tests, one_plan_serves_many_threads);
    tcase_add_test(tests, the_same_bits_come_from_run_to_run_and_queue_to_queue);
}
