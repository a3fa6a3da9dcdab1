/* SPDX-License-Identifier: Apache-2.0
 *
 * Devices by name, by list and from the caller's context. CLBN_TEST_NO_OPENCL says that this process must find no usable OpenCL
 * (the loader reads OCL_ICD_VENDORS once a process, so ctest starts this suite once for each).
 */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int no_opencl(void) {
    return getenv("CLBN_TEST_NO_OPENCL") != NULL;
}

enum { MOST = 32 };

static size_t list(clbn_device_info infos[MOST]) {
    const clbn_device_options options = listening_options();
    size_t count = 0;
    said_clear();
    ck_clbn(clbn_device_list(&options, infos, MOST, &count));
    ck_assert_uint_ge(count, 1);
    ck_assert_uint_le(count, MOST);
    return count;
}

static void must_not_open(const char *name, clbn_status expected) {
    const clbn_device_options options = listening_options();
    clbn_device *device = (clbn_device *)(void *)&device;
    said_clear();
    must_refuse(clbn_device_create(name, &options, &device), expected, name, name);
    ck_assert_ptr_null(device);
    device = (clbn_device *)(void *)&device;
    ck_assert_int_eq(clbn_device_create(name, NULL, &device), expected);
    ck_assert_ptr_null(device);
}

static clbn_device_info opened_as(const char *name) {
    const clbn_device_options options = listening_options();
    clbn_device_info info;
    clbn_device *device = NULL;
    said_clear();
    ck_clbn(clbn_device_create(name, &options, &device));
    ck_clbn(clbn_device_query(device, &info));
    clbn_device_destroy(device);
    return info;
}

START_TEST(the_list_ends_with_the_cpu_path) {
    clbn_device_info infos[MOST];
    size_t count = list(infos);
    for (size_t k = 0; k < count; k++) {
        int is_last = k + 1 == count;
        ck_assert_int_eq(infos[k].kind == CLBN_DEVICE_CPU_PATH, is_last);
        ck_assert_int_eq(strcmp(infos[k].name, "cpu") == 0, is_last);
        ck_assert_msg(infos[k].usable || infos[k].why[0], "%s is not usable, and why is empty", infos[k].name);
        ck_assert_uint_gt(strlen(infos[k].device), 0);
    }
    ck_assert_int_eq(infos[count - 1].usable, 1);
    ck_assert_uint_gt(infos[count - 1].compute_units, 0);
    ck_assert_uint_gt(infos[count - 1].memory_bytes, 0);
    ck_assert_int_eq(infos[count - 1].has_fp64, 1);
}
END_TEST

START_TEST(the_list_fills_what_there_is_room_for) {
    clbn_device_info infos[MOST], few[2];
    size_t count = list(infos), again = 0;
    ck_clbn(clbn_device_list(NULL, NULL, 0, &again));
    ck_assert_uint_eq(again, count);
    memset(few, 0x5a, sizeof few);
    ck_clbn(clbn_device_list(NULL, few, 1, &again));
    ck_assert_uint_eq(again, count);
    ck_assert_str_eq(few[0].name, infos[0].name);
    for (size_t k = 0; k < sizeof few[1]; k++) ck_assert_int_eq(((const unsigned char *)&few[1])[k], 0x5a);
}
END_TEST

START_TEST(every_usable_device_opens_by_its_name) {
    clbn_device_info infos[MOST];
    size_t count = list(infos);
    for (size_t k = 0; k < count; k++) {
        if (!infos[k].usable) {
            must_not_open(infos[k].name, CLBN_ERROR_NO_DEVICE);
            continue;
        }
        const clbn_device_info info = opened_as(infos[k].name);
        ck_assert_str_eq(info.name, infos[k].name);
        ck_assert_str_eq(info.device, infos[k].device);
        ck_assert_int_eq(info.kind, infos[k].kind);
    }
}
END_TEST

START_TEST(auto_takes_the_first_by_rank) {
    clbn_device_info infos[MOST];
    size_t count = list(infos), usable = 0;
    int seen[MOST] = {0};
    for (size_t k = 0; k < count; k++) usable += (size_t)infos[k].usable;
    for (size_t k = 0; k < count; k++) {
        if (!infos[k].usable) continue;
        ck_assert_uint_lt(infos[k].auto_rank, usable);
        ck_assert_int_eq(seen[infos[k].auto_rank]++, 0);
        if (infos[k].kind == CLBN_DEVICE_CPU_PATH) ck_assert_uint_eq(infos[k].auto_rank, usable - 1);
        if (infos[k].auto_rank == 0) {
            ck_assert_str_eq(opened_as("auto").name, infos[k].name);
            ck_assert_str_eq(opened_as(NULL).name, infos[k].name);
        }
    }
}
END_TEST

START_TEST(malformed_names_are_refused) {
    static const char *const names[] = {"0",   "0:",  ":0",  ":",    "0:0:0", "-1:0", "0:-1",  "+0:0", " 0:0",    "0:0 ",
                                        "0:x", "x:0", "CPU", "Auto", "cpu ",  "gpu",  "0x0:0", "0;0",  "opencl:0"};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) must_not_open(names[k], CLBN_ERROR_INVALID_DEVICE);
    must_not_open("", CLBN_ERROR_INVALID_DEVICE);
}
END_TEST

START_TEST(a_device_that_is_not_there_is_refused) {
    must_not_open("9:9", CLBN_ERROR_NO_DEVICE);
    must_not_open("0:99", CLBN_ERROR_NO_DEVICE);
    clbn_device *device = (clbn_device *)(void *)&device; /* must not wrap around to 0:0 */
    ck_assert_int_ne(clbn_device_create("4294967296:0", NULL, &device), CLBN_SUCCESS);
    ck_assert_ptr_null(device);
    ck_assert_int_ne(clbn_device_create("18446744073709551616:0", NULL, &device), CLBN_SUCCESS);
    ck_assert_ptr_null(device);
}
END_TEST

START_TEST(the_cpu_path_has_no_opencl_objects) {
    clbn_device *device = open_device("cpu", 0);
    cl_context context = (cl_context)(void *)&context;
    cl_device_id id = (cl_device_id)(void *)&id;
    cl_command_queue queue = (cl_command_queue)(void *)&queue;
    ck_assert_int_eq(clbn_device_get_cl(device, &context, &id, &queue), CLBN_ERROR_UNSUPPORTED);
    ck_assert(!context && !id && !queue);
    ck_assert_int_eq(clbn_device_get_cl(device, NULL, NULL, NULL), CLBN_ERROR_UNSUPPORTED);
    clbn_device_destroy(device);
}
END_TEST

START_TEST(a_plan_keeps_its_device) {
    clbn_device *device = open_device("auto", 0);
    clbn_config config = clbn_config_preset(CLBN_PRESET_ONNX);
    config.rank = 2, config.dims = (const size_t[]){4, 3};
    clbn_plan *plan = plan_of(device, &config);
    clbn_device_destroy(device);
    float x[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13}, y[12];
    ck_clbn(clbn_forward_training(plan, NULL, &(clbn_forward_args){.x = clbn_host(x), .y = clbn_host(y)}, 0, NULL, NULL));
    ck_assert(y[0] < 0 && y[11] > 0);
    clbn_plan_destroy(plan);
}
END_TEST

/* -------------------------------------------------------------------------------------------------------- without OpenCL */

START_TEST(without_a_driver_auto_is_the_cpu_path_and_says_why) {
    clbn_device_info infos[MOST];
    ck_assert_uint_eq(list(infos), 1);
    ck_assert_uint_gt(strlen(said_notices()), 0);
    ck_assert_int_eq(opened_as("auto").kind, CLBN_DEVICE_CPU_PATH);
    ck_assert_uint_gt(strlen(said_notices()), 0);
    ck_assert_int_eq(opened_as(NULL).kind, CLBN_DEVICE_CPU_PATH);
    ck_assert_int_eq(opened_as("cpu").kind, CLBN_DEVICE_CPU_PATH);
    must_not_open("0:0", CLBN_ERROR_NO_DEVICE);
    const clbn_device_options options = listening_options();
    clbn_device *device = (clbn_device *)(void *)&device;
    said_clear();
    must_refuse(clbn_device_create("opencl", &options, &device), CLBN_ERROR_NO_DEVICE, "OpenCL", "opencl");
    ck_assert_ptr_null(device);
}
END_TEST

/* ----------------------------------------------------------------------------------------------------------- with OpenCL */

START_TEST(opencl_opens_the_first_opencl_device) {
    const clbn_device_info info = opened_as("opencl");
    ck_assert_int_ne(info.kind, CLBN_DEVICE_CPU_PATH);
    ck_assert_int_eq(info.usable, 1);
    ck_assert_uint_gt(strlen(info.platform), 0);
    ck_assert_uint_gt(strlen(info.version), 0);
    ck_assert_uint_gt(info.compute_units, 0);
}
END_TEST

START_TEST(a_context_must_hold_the_device) {
    const clbn_device_options options = listening_options();
    clbn_device *device = NULL;
    cl_context context = tested_context();
    cl_device_id id = tested_cl_device(), parts[64] = {NULL};
    said_clear();
    must_refuse(clbn_device_create_from_cl(NULL, id, &options, &device), CLBN_ERROR_INVALID_ARGUMENT, "context", "no context");
    must_refuse(clbn_device_create_from_cl(context, NULL, &options, &device), CLBN_ERROR_INVALID_ARGUMENT, "device", "no device");
    ck_assert_int_eq(clbn_device_create_from_cl(context, id, &options, NULL), CLBN_ERROR_INVALID_ARGUMENT);
    const cl_device_partition_property one_unit_each[] = {CL_DEVICE_PARTITION_EQUALLY, 1, 0};
    cl_uint count = 0;
    if (clCreateSubDevices(id, one_unit_each, 64, parts, &count) == CL_SUCCESS) { /* a device that is not in the context */
        must_refuse(clbn_device_create_from_cl(context, parts[0], &options, &device), CLBN_ERROR_INVALID_DEVICE, "context",
                    "a device of no context");
        ck_assert_ptr_null(device);
        for (cl_uint k = 0; k < count; k++) clReleaseDevice(parts[k]);
    }
}
END_TEST

static void add(Suite *suite) {
    TCase *tests = add_tests(suite, "devices");
    tcase_add_test(tests, the_list_ends_with_the_cpu_path);
    tcase_add_test(tests, the_list_fills_what_there_is_room_for);
    tcase_add_test(tests, every_usable_device_opens_by_its_name);
    tcase_add_test(tests, auto_takes_the_first_by_rank);
    tcase_add_test(tests, malformed_names_are_refused);
    tcase_add_test(tests, a_device_that_is_not_there_is_refused);
    tcase_add_test(tests, the_cpu_path_has_no_opencl_objects);
    tcase_add_test(tests, a_plan_keeps_its_device);
    if (no_opencl()) {
        tcase_add_test(tests, without_a_driver_auto_is_the_cpu_path_and_says_why);
    } else {
        tcase_add_test(tests, opencl_opens_the_first_opencl_device);
        tcase_add_test(tests, a_context_must_hold_the_device);
    }
}

int main(void) {
    return run_suite("devices", add);
}
