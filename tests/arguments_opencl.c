/* SPDX-License-Identifier: Apache-2.0
 *
 * The refusals that need OpenCL: sizes of memory objects, foreign contexts, sub-buffers, queues, wait lists, the workspace.
 */
#include "refusals.h"

#include <string.h>

static cl_context other_context;
static cl_command_queue other_queue;
static cl_mem other_mem;
static cl_event other_event;

static void open_the_other_context(void) {
    cl_int code;
    cl_device_id id = tested_cl_device();
    other_context = clCreateContext(NULL, 1, &id, NULL, NULL, &code);
    ck_cl(code);
    other_queue = clCreateCommandQueue(other_context, id, 0, &code);
    ck_cl(code);
    other_mem = clCreateBuffer(other_context, CL_MEM_READ_WRITE, 1 << 20, NULL, &code);
    ck_cl(code);
    other_event = clCreateUserEvent(other_context, &code);
    ck_cl(code);
}

static void close_the_other_context(void) {
    ck_cl(clSetUserEventStatus(other_event, CL_COMPLETE));
    clReleaseEvent(other_event);
    clReleaseMemObject(other_mem);
    clReleaseCommandQueue(other_queue);
    clReleaseContext(other_context);
}

enum { ARGUMENTS = 11 };
static const char *const names[ARGUMENTS] = {"x",           "y",          "gamma",         "beta",      "running_mean",
                                             "running_var", "saved_mean", "saved_mean_lo", "saved_var", "saved_inv_std",
                                             "workspace"};

/* The k-th argument of the trial; NULL where its call has none of that name. */
static clbn_buffer *argument(trial *t, int k) {
    clbn_forward_args *a = &t->scene.args;
    clbn_buffer *all[ARGUMENTS] = {&a->x,           &a->y,          &a->gamma,         &a->beta,      &a->running_mean,
                                   &a->running_var, &a->saved_mean, &a->saved_mean_lo, &a->saved_var, &a->saved_inv_std,
                                   &a->workspace};
    return all[k]->kind == CLBN_BUFFER_ABSENT ? NULL : all[k];
}

static size_t needed(const trial *t, int k) {
    clbn_plan_info info;
    ck_clbn(clbn_plan_query(t->plan, &info));
    return k < 2 ? t->b.count * sizeof(float) : k < 10 ? t->b.shape.channels * sizeof(float) : info.workspace_bytes;
}

/* Each argument in turn: past the end by the offset, by an offset that overflows, and in a memory object one float short. */
static void refuse_what_is_too_small(verb v, int k) {
    const size_t offsets[] = {1 << 20, SIZE_MAX / sizeof(float), SIZE_MAX};
    trial t;
    for (int j = 0; j < 3; j++) {
        trial_make(&t, IN_MEM, v);
        if (!argument(&t, k)) {
            trial_free(&t);
            return;
        }
        argument(&t, k)->offset = k == 10 ? offsets[j] & ~(size_t)3 : offsets[j];
        trial_must_be_refused(&t, CLBN_ERROR_BUFFER_TOO_SMALL, names[k], "an offset past the end");
    }
    cl_int code;
    trial_make(&t, IN_MEM, v);
    cl_mem shorter = clCreateBuffer(tested_context(), CL_MEM_READ_WRITE, needed(&t, k) - sizeof(float), NULL, &code);
    ck_cl(code);
    *argument(&t, k) = clbn_mem(shorter, 0);
    trial_must_be_refused(&t, CLBN_ERROR_BUFFER_TOO_SMALL, names[k], "a buffer one element short");
    clReleaseMemObject(shorter);
}

START_TEST(a_buffer_that_ends_too_early_is_refused) {
    for (int k = 0; k < ARGUMENTS; k++) {
        refuse_what_is_too_small(TRAINING, k);
        refuse_what_is_too_small(INFERENCE, k);
    }
}
END_TEST

START_TEST(a_buffer_of_another_context_is_refused) {
    trial t;
    for (int k = 0; k < ARGUMENTS; k++) {
        trial_make(&t, IN_MEM, TRAINING);
        if (argument(&t, k)) {
            *argument(&t, k) = clbn_mem(other_mem, 0);
            trial_must_be_refused(&t, CLBN_ERROR_WRONG_MEMORY, names[k], "a buffer of another context");
        } else
            trial_free(&t);
    }
}
END_TEST

START_TEST(a_buffer_whose_flags_forbid_the_use_is_refused) {
    for (int k = 0; k < 10; k++) {
        int is_input = k == 0 || k == 2 || k == 3; /* x, gamma, beta */
        cl_int code;
        cl_mem wrong = clCreateBuffer(tested_context(), is_input ? CL_MEM_WRITE_ONLY : CL_MEM_READ_ONLY, 1 << 20, NULL, &code);
        ck_cl(code);
        trial t;
        trial_make(&t, IN_MEM, TRAINING);
        *argument(&t, k) = clbn_mem(wrong, 0);
        trial_must_be_refused(&t, CLBN_ERROR_WRONG_MEMORY, names[k], "a buffer that the call may not read or write");
        clReleaseMemObject(wrong);
    }
}
END_TEST

START_TEST(an_image_is_refused) {
    cl_bool images = CL_FALSE;
    ck_cl(clGetDeviceInfo(tested_cl_device(), CL_DEVICE_IMAGE_SUPPORT, sizeof images, &images, NULL));
    if (!images) return;
    const cl_image_format format = {CL_RGBA, CL_FLOAT};
    const cl_image_desc desc = {.image_type = CL_MEM_OBJECT_IMAGE2D, .image_width = 128, .image_height = 128};
    cl_int code;
    cl_mem image = clCreateImage(tested_context(), CL_MEM_READ_WRITE, &format, &desc, NULL, &code);
    ck_cl(code);
    trial t;
    trial_make(&t, IN_MEM, TRAINING);
    t.scene.args.x = clbn_mem(image, 0);
    trial_must_be_refused(&t, CLBN_ERROR_WRONG_MEMORY, "x", "an image");
    clReleaseMemObject(image);
}
END_TEST

/* A region of a parent, aligned as every device wants it. */
static cl_mem part_of(cl_mem parent, size_t origin, size_t bytes) {
    const cl_buffer_region region = {origin, bytes};
    cl_int code;
    cl_mem part = clCreateSubBuffer(parent, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &region, &code);
    ck_cl(code);
    return part;
}

START_TEST(overlapping_parts_of_one_buffer_are_refused_and_others_are_not) {
    enum { PAGE = 4096, BYTES = 3 * 17 * 50 * 4 };
    cl_int code;
    cl_mem parent = clCreateBuffer(tested_context(), CL_MEM_READ_WRITE, 16 * PAGE, NULL, &code);
    ck_cl(code);
    const float zero = 0;
    ck_cl(clEnqueueFillBuffer(tested_queue(), parent, &zero, sizeof zero, 0, 16 * PAGE, 0, NULL, NULL));
    cl_mem x = part_of(parent, 0, 3 * PAGE), y = part_of(parent, 2 * PAGE, 3 * PAGE), z = part_of(parent, 4 * PAGE, 3 * PAGE);
    trial t;
    trial_make(&t, IN_MEM, TRAINING);
    t.scene.args.x = clbn_mem(x, 0), t.scene.args.y = clbn_mem(y, 0);
    trial_must_be_refused(&t, CLBN_ERROR_OVERLAP, "y", "sub-buffers that overlap");
    trial_make(&t, IN_MEM, TRAINING);
    t.scene.args.x = clbn_mem(x, 0), t.scene.args.y = clbn_mem(parent, PAGE / 4);
    trial_must_be_refused(&t, CLBN_ERROR_OVERLAP, "y", "a sub-buffer that overlaps its parent's range");
    trial_make(&t, IN_MEM, TRAINING);
    t.scene.args.x = clbn_mem(x, 0), t.scene.args.y = clbn_mem(z, 0);
    ck_clbn(trial_call(&t));
    trial_free(&t);
    trial_make(&t, IN_MEM, TRAINING);
    t.scene.args.x = clbn_mem(parent, 0), t.scene.args.y = clbn_mem(parent, BYTES / 4); /* one ends where the other starts */
    ck_clbn(trial_call(&t));
    trial_free(&t);
    clReleaseMemObject(x), clReleaseMemObject(y), clReleaseMemObject(z);
    clReleaseMemObject(parent);
}
END_TEST

START_TEST(a_workspace_that_does_not_fit_is_refused) {
    trial t;
    trial_make(&t, IN_MEM, TRAINING);
    t.scene.args.workspace = clbn_mem(t.scene.x.mem, 2);
    trial_must_be_refused(&t, CLBN_ERROR_INVALID_ARGUMENT, "workspace", "a workspace between two floats");
    trial_make(&t, IN_MEM, TRAINING);
    t.scene.args.workspace = clbn_host(&t);
    trial_must_be_refused(&t, CLBN_ERROR_WRONG_MEMORY, "workspace", "a workspace on the host");
}
END_TEST

START_TEST(a_workspace_in_another_argument_is_refused) {
    cl_int code;
    cl_mem both = clCreateBuffer(tested_context(), CL_MEM_READ_WRITE, 1 << 20, NULL, &code);
    ck_cl(code);
    for (int k = 0; k < ARGUMENTS - 1; k++) {
        trial t;
        trial_make(&t, IN_MEM, TRAINING);
        if (argument(&t, k) && needed(&t, ARGUMENTS - 1)) {
            *argument(&t, k) = t.scene.args.workspace = clbn_mem(both, 0);
            trial_must_be_refused(&t, CLBN_ERROR_OVERLAP, names[k], "a workspace in it");
        } else
            trial_free(&t);
    }
    clReleaseMemObject(both);
}
END_TEST

START_TEST(a_queue_of_another_context_is_refused) {
    for (int v = TRAINING; v <= MOMENTS; v++) {
        trial t;
        trial_make(&t, IN_MEM, (verb)v);
        t.queue = other_queue;
        trial_must_be_refused(&t, CLBN_ERROR_INVALID_QUEUE, "queue", "a foreign queue");
        trial_make(&t, ON_HOST, (verb)v);
        t.queue = other_queue;
        trial_must_be_refused(&t, CLBN_ERROR_INVALID_QUEUE, "queue", "a foreign queue of a host call");
        trial_make(&t, IN_MEM, (verb)v);
        t.queue = NULL;
        trial_must_be_refused(&t, CLBN_ERROR_INVALID_QUEUE, "queue", "no queue");
    }
}
END_TEST

START_TEST(a_wait_list_or_event_that_does_not_fit_is_refused) {
    const cl_event foreign[] = {other_event}, none[] = {NULL};
    for (int v = TRAINING; v <= MOMENTS; v++) {
        cl_event event = NULL;
        trial t;
        trial_make(&t, IN_MEM, (verb)v);
        t.n_wait = 1, t.event = &event;
        trial_must_be_refused(&t, CLBN_ERROR_INVALID_WAIT_LIST, "wait", "a count without a list");
        trial_make(&t, IN_MEM, (verb)v);
        t.wait_list = foreign, t.event = &event;
        trial_must_be_refused(&t, CLBN_ERROR_INVALID_WAIT_LIST, "wait", "a list without a count");
        trial_make(&t, IN_MEM, (verb)v);
        t.n_wait = 1, t.wait_list = none, t.event = &event;
        trial_must_be_refused(&t, CLBN_ERROR_INVALID_WAIT_LIST, "wait", "a list of NULL");
        trial_make(&t, IN_MEM, (verb)v);
        t.n_wait = 1, t.wait_list = foreign, t.event = &event;
        trial_must_be_refused(&t, CLBN_ERROR_INVALID_WAIT_LIST, "wait", "an event of another context");
        trial_make(&t, ON_HOST, (verb)v);
        t.event = &event;
        trial_must_be_refused(&t, CLBN_ERROR_INVALID_WAIT_LIST, "event", "an event of a host call");
    }
}
END_TEST

START_TEST(a_channel_that_kernels_cannot_count_is_refused_by_name) {
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    clbn_plan *plan = NULL;
    config.rank = 1, config.axis = CLBN_AXIS_NONE, config.dims = (const size_t[]){(size_t)1 << 42};
    must_refuse(clbn_plan_create(tested(), &config, &plan), CLBN_ERROR_UNSUPPORTED, "split-planes", "2^42 values a channel");
    ck_assert_ptr_null(plan);
}
END_TEST

void add_opencl_refusals(TCase *tests) {
    tcase_add_unchecked_fixture(tests, open_the_other_context, close_the_other_context);
    tcase_add_test(tests, a_buffer_that_ends_too_early_is_refused);
    tcase_add_test(tests, a_buffer_of_another_context_is_refused);
    tcase_add_test(tests, a_buffer_whose_flags_forbid_the_use_is_refused);
    tcase_add_test(tests, an_image_is_refused);
    tcase_add_test(tests, a_channel_that_kernels_cannot_count_is_refused_by_name);
    tcase_add_test(tests, overlapping_parts_of_one_buffer_are_refused_and_others_are_not);
    tcase_add_test(tests, a_workspace_that_does_not_fit_is_refused);
    tcase_add_test(tests, a_workspace_in_another_argument_is_refused);
    tcase_add_test(tests, a_queue_of_another_context_is_refused);
    tcase_add_test(tests, a_wait_list_or_event_that_does_not_fit_is_refused);
}
