/* SPDX-License-Identifier: Apache-2.0
 *
 * What the suites about queues share: plans of every variant, queues, gates, and the judge of a finished call.
 */
#include "pipeline.h"

static const char *const shapes[] = {"inner_33", "lanes_17", "inner_1025", "tiny_mixed"};
enum { SHAPES = 4 };

void with_every_plan(clbn_device *device,
                     void (*check)(const clbn_plan *plan, const batch *b, const way *w, const char *variant)) {
    for (int k = 0; k < SHAPES; k++) {
        if (case_elements(case_named(shapes[k])) > test_element_limit()) continue;
        batch b;
        batch_make(&b, case_named(shapes[k]), 0);
        const way w = plain_way(IN_MEM);
        const char *variant = NULL;
        for (size_t i = 0; i == 0 || variant; variant = clbn_variant_name(i++)) {
            if (test_is_short() && i % SHAPES != (size_t)k) continue;
            clbn_config config = config_of(&b, &w, variant);
            clbn_plan *plan = NULL;
            clbn_status status = clbn_plan_create(device, &config, &plan);
            if (variant && status == CLBN_ERROR_UNSUPPORTED) continue;
            ck_clbn(status);
            check(plan, &b, &w, variant);
            clbn_plan_destroy(plan);
        }
        batch_free(&b);
    }
}

cl_command_queue queue_of(cl_context context, cl_command_queue_properties properties) {
    cl_int code;
    cl_command_queue queue = clCreateCommandQueue(context, tested_cl_device(), properties, &code);
    if (code != CL_SUCCESS) {
        cl_command_queue_properties known = 0;
        ck_cl(clGetDeviceInfo(tested_cl_device(), CL_DEVICE_QUEUE_PROPERTIES, sizeof known, &known, NULL));
        ck_assert_msg((known & properties) != properties, "the driver names a kind of queue, and makes none (%d)", (int)code);
        ck_assert_msg(code == CL_INVALID_QUEUE_PROPERTIES || code == CL_INVALID_VALUE, "the driver refuses a queue by %d",
                      (int)code);
        return NULL;
    }
    return queue;
}

void must_be_right(scene *s) {
    static clbn_device *cpu;
    if (!cpu) cpu = open_device("cpu", 0);
    result got = scene_read(s);
    reference exact;
    reference_by_cpu_path(&exact, cpu, s->b, &s->way, s->verb);
    judge(&exact, BOUNDS_OF_DEVICE, &got, s->title);
    reference_free(&exact);
}

cl_int state_of(cl_event event) {
    cl_int state = 0;
    ck_cl(clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL));
    return state;
}

cl_event gate_of(cl_context context) {
    cl_int code;
    cl_event gate = clCreateUserEvent(context, &code);
    ck_cl(code);
    return gate;
}
