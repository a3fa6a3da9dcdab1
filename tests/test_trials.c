/* SPDX-License-Identifier: Apache-2.0
 *
 * A driver that gets a kernel wrong: a plan must find it out while it is made, say so, and take the next variant. The library's
 * OpenCL calls come here first, because an executable's exported symbols come before every library's; here launches of some
 * kernel do nothing or fail, and a compiler reads something else than it was given.
 */
#define _GNU_SOURCE
#include "pipeline.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static unsigned launches;   /* so far */
static const char *unlucky; /* launches of kernels whose name begins so */
static const char *and_of; /* and which are of a variant whose name begins so: "alone" by groups of one, "group" by larger ones */
static cl_int unlucky_gives; /* do nothing where this is CL_SUCCESS, or give it */
static const char *misread, *misread_as;

static void *behind(const char *name) {
    return dlsym(RTLD_NEXT, name);
}

cl_int CL_API_CALL clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions, const size_t *offset,
                                          const size_t *global, const size_t *local, cl_uint n, const cl_event *list,
                                          cl_event *event) {
    cl_int (*launch)(cl_command_queue, cl_kernel, cl_uint, const size_t *, const size_t *, const size_t *, cl_uint,
                     const cl_event *, cl_event *);
    void *found = behind("clEnqueueNDRangeKernel");
    char name[64] = "";
    memcpy(&launch, &found, sizeof launch);
    launches++;
    clGetKernelInfo(kernel, CL_KERNEL_FUNCTION_NAME, sizeof name, name, NULL);
    const size_t items = local ? local[0] * (dimensions > 1 ? local[1] : 1) : 1;
    const int is_other = and_of && (strncmp(and_of, "alone", 5) == 0) != (items == 1);
    if (unlucky == NULL || is_other || strncmp(name, unlucky, strlen(unlucky)) != 0) {
        return launch(queue, kernel, dimensions, offset, global, local, n, list, event);
    }
    return unlucky_gives == CL_SUCCESS ? clEnqueueMarkerWithWaitList(queue, n, list, event) : unlucky_gives;
}

cl_program CL_API_CALL clCreateProgramWithSource(cl_context context, cl_uint count, const char **texts, const size_t *lengths,
                                                 cl_int *code) {
    cl_program (*create)(cl_context, cl_uint, const char **, const size_t *, cl_int *);
    void *found = behind("clCreateProgramWithSource");
    const char *read[32];
    size_t read_lengths[32];
    char *altered = NULL;
    memcpy(&create, &found, sizeof create);
    if (misread == NULL || count > 32) return create(context, count, texts, lengths, code);
    for (cl_uint i = 0; i < count; i++) {
        read[i] = texts[i], read_lengths[i] = lengths[i];
        const char *at = altered ? NULL : memmem(texts[i], lengths[i], misread, strlen(misread));
        if (at == NULL) continue;
        const size_t before = (size_t)(at - texts[i]), after = before + strlen(misread);
        read_lengths[i] = lengths[i] - strlen(misread) + strlen(misread_as);
        read[i] = altered = malloc(read_lengths[i] + 1);
        memcpy(altered, texts[i], before);
        strcpy(altered + before, misread_as);
        memcpy(altered + before + strlen(misread_as), texts[i] + after, lengths[i] - after);
    }
    const cl_program made = create(context, count, read, read_lengths, code);
    if (count > 1) ck_assert_msg(altered != NULL, "the kernels do not say \"%s\"", misread);
    free(altered);
    return made;
}

static void be_lucky(void) {
    unlucky = and_of = misread = NULL;
    unlucky_gives = CL_SUCCESS;
}

/* A device of its own, which knows nothing of any variant. */
static clbn_device *fresh(void) {
    return open_device(test_device_name(), 0);
}

static clbn_config config_like(const char *name, const char *variant) {
    const test_case *c = case_named(name);
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = c->rank;
    config.dims = c->dims;
    config.axis = c->axis;
    config.variant = variant;
    return config;
}

/* The kernels that a variant is made of, by the parts of its name: a fused one launches the others too, where a call is by parts. */
static int uses(const char *variant, const char *kernel) {
    const char *family = strstr(variant, "columns") ? "columns" : "planes";
    const int fused = strstr(variant, "fused") != NULL, of_family = strstr(kernel, family) != NULL;
    const int of_any = strstr(kernel, "columns") == NULL && strstr(kernel, "planes") == NULL;
    return (of_any || of_family) && (fused || strncmp(kernel, "fused", 5) != 0);
}

static const char *const kernels[] = {"moments_columns",  "apply_columns",        "sums_columns",       "grad_columns",
                                      "fused_columns",    "moments_planes",       "apply_planes",       "sums_planes",
                                      "grad_planes",      "fused_planes",         "fused_grad_columns", "fused_grad_planes",
                                      "finalize",         "finalize_sums",        "finalize_parts",     "finalize_sums_parts",
                                      "merge_sums_parts", "update_running_alone", "fold_bias"};

START_TEST(a_launch_that_does_nothing_or_fails_is_found_whatever_its_kernel) {
    const char *kernel = kernels[_i / 2];
    clbn_device *device = fresh();
    unsigned found = 0;
    for (size_t k = 0; clbn_variant_name(k); k++) {
        const char *variant = clbn_variant_name(k);
        if (test_is_short() && (strncmp(variant, "alone", 5) == 0) != _i % 2) continue;
        clbn_config config = config_like("tiny_outliers_lanes", variant);
        clbn_plan *plan = NULL;
        unlucky = kernel;
        unlucky_gives = _i % 2 ? CL_OUT_OF_RESOURCES : CL_SUCCESS;
        const clbn_status status = clbn_plan_create(device, &config, &plan);
        be_lucky();
        clbn_plan_destroy(plan);
        if (!uses(variant, kernel)) {
            ck_assert_msg(status == CLBN_SUCCESS, "%s does not need %s: %s", variant, kernel, said());
            continue;
        }
        must_refuse(status, CLBN_ERROR_UNSUPPORTED, variant, kernel);
        found++;
        /* It is remembered. */
        launches = 0;
        must_refuse(clbn_plan_create(device, &config, &plan), CLBN_ERROR_UNSUPPORTED, "wrong", variant);
        ck_assert_uint_eq(launches, 0);
    }
    ck_assert_uint_ge(found, 1);
    clbn_device_destroy(device);
}
END_TEST

START_TEST(a_wrong_variant_is_passed_by_for_the_next_which_is_right) {
    static const char *const shapes[] = {"batch_64x200", "tiny_outliers", "large_32x64x56x56", "inner_2"};
    if (case_elements(case_named(shapes[_i])) > test_element_limit()) return;
    clbn_device *device = fresh();
    clbn_config config = config_like(shapes[_i], NULL);
    clbn_plan *plan = plan_of(device, &config);
    clbn_plan_info info;
    ck_clbn(clbn_plan_query(plan, &info));
    const char *first = info.variant;
    clbn_plan_destroy(plan);
    clbn_device_destroy(device);

    device = fresh();
    unlucky = strstr(first, "columns") ? strstr(first, "fused") ? "fused_columns" : "moments_columns"
              : strstr(first, "fused") ? "fused_planes"
                                       : "moments_planes";
    and_of = first;
    said_clear();
    plan = plan_of(device, &config);
    be_lucky();
    ck_clbn(clbn_plan_query(plan, &info));
    ck_assert_str_ne(info.variant, first);
    ck_assert_msg(strstr(said_notices(), first) && strstr(said_notices(), "passed by"), "told \"%s\"", said_notices());
    ck_assert_str_eq(said(), ""); /* no error came to the callback */

    batch b;
    batch_make(&b, case_named(shapes[_i]), 0);
    const way w = plain_way(ON_HOST);
    scene s;
    cl_command_queue queue = NULL;
    ck_clbn(clbn_device_get_cl(device, NULL, NULL, &queue));
    scene_make(&s, &b, &w, TRAINING, queue, plan, info.variant);
    ck_clbn(scene_call(&s, plan, NULL, 0, NULL, NULL));
    must_be_right(&s);
    scene_free(&s);
    batch_free(&b);
    clbn_plan_destroy(plan);
    clbn_device_destroy(device);
}
END_TEST

START_TEST(a_preferred_variant_is_tried_as_any_and_passed_by_where_it_is_wrong) {
    clbn_device *device = fresh();
    clbn_config config = config_like("tiny_outliers_lanes", NULL);
    clbn_plan_info usual, info;
    clbn_plan *plan = plan_of(device, &config);
    ck_clbn(clbn_plan_query(plan, &usual));
    clbn_plan_destroy(plan);
    ck_assert_ptr_nonnull(strstr(usual.variant, "fused-columns"));
    const char *preferred = strncmp(usual.variant, "alone", 5) == 0 ? "alone-split-columns" : "group-split-columns";
    ck_clbn(clbn_device_prefer(device, &config, preferred));
    unlucky = "moments_columns", and_of = preferred;
    said_clear();
    plan = plan_of(device, &config);
    be_lucky();
    ck_clbn(clbn_plan_query(plan, &info));
    ck_assert_msg(strcmp(info.variant, usual.variant) == 0 && !info.preferred, "took %s", info.variant);
    ck_assert_msg(strstr(said_notices(), preferred) && strstr(said_notices(), "passed by"), "told \"%s\"", said_notices());
    clbn_plan_destroy(plan);
    launches = 0; /* it is remembered, and the preference stands back */
    plan = plan_of(device, &config);
    ck_clbn(clbn_plan_query(plan, &info));
    ck_assert_msg(strcmp(info.variant, usual.variant) == 0 && !info.preferred && launches == 0, "took %s", info.variant);
    clbn_plan_destroy(plan);
    clbn_device_destroy(device);

    device = fresh();
    ck_clbn(clbn_device_prefer(device, &config, preferred));
    launches = 0;
    plan = plan_of(device, &config);
    ck_clbn(clbn_plan_query(plan, &info));
    ck_assert_msg(strcmp(info.variant, preferred) == 0 && info.preferred && launches > 0, "took %s", info.variant);
    clbn_plan_destroy(plan);
    clbn_device_destroy(device);
}
END_TEST

START_TEST(a_preferred_variant_that_does_not_compile_is_passed_by_for_good) {
    clbn_device *device = fresh();
    clbn_config config = config_like("tiny_outliers_lanes", NULL);
    clbn_plan_info usual, info;
    clbn_plan *plan = plan_of(device, &config);
    ck_clbn(clbn_plan_query(plan, &usual));
    clbn_plan_destroy(plan);
    const char *preferred = strncmp(usual.variant, "alone", 5) == 0 ? "group-split-columns" : "alone-split-columns";
    ck_clbn(clbn_device_prefer(device, &config, preferred));
    misread = "inverse_root(var + epsilon)", misread_as = "inverse_root(";
    for (int turn = 0; turn < 2; turn++) { /* in the second it would compile, and the device keeps to what it took */
        said_clear();
        plan = plan_of(device, &config);
        be_lucky();
        ck_clbn(clbn_plan_query(plan, &info));
        clbn_plan_destroy(plan);
        ck_assert_msg(strcmp(info.variant, usual.variant) == 0 && !info.preferred, "turn %d: took %s", turn, info.variant);
        ck_assert_msg(said()[0] == '\0', "turn %d: said %.200s", turn, said());
        ck_assert_msg(turn ? said_notices()[0] == '\0' : strstr(said_notices(), preferred) && strstr(said_notices(), "passed by"),
                      "turn %d: told \"%.200s\"", turn, said_notices());
    }
    ck_clbn(clbn_device_prefer(device, &config, preferred)); /* told again */
    plan = plan_of(device, &config);
    ck_clbn(clbn_plan_query(plan, &info));
    clbn_plan_destroy(plan);
    ck_assert_msg(strcmp(info.variant, preferred) == 0 && info.preferred, "took %s", info.variant);
    clbn_device_destroy(device);
}
END_TEST

START_TEST(where_every_variant_is_wrong_there_is_no_plan_and_a_sentence) {
    clbn_device *device = fresh();
    clbn_config config = config_like("inner_2", NULL);
    clbn_plan *plan = NULL;
    unlucky = "";
    must_refuse(clbn_plan_create(device, &config, &plan), CLBN_ERROR_UNSUPPORTED, "no variant", "a device that does nothing");
    be_lucky();
    ck_assert_ptr_null(plan);
    clbn_device_destroy(device);
}
END_TEST

START_TEST(a_variant_is_tried_once_a_device_and_kinds_and_never_where_that_is_asked_for) {
    clbn_device *device = fresh();
    clbn_config config = config_like("batch_64x200", NULL), other = config_like("lanes_257", NULL);
    launches = 0;
    clbn_plan_destroy(plan_of(device, &config));
    ck_assert_uint_gt(launches, 0);
    launches = 0;
    clbn_plan_destroy(plan_of(device, &config));
    clbn_plan_destroy(plan_of(device, &other)); /* other sizes, the same kernels */
    ck_assert_uint_eq(launches, 0);
    other.activation = CLBN_RELU;
    clbn_plan_destroy(plan_of(device, &other));
    ck_assert_uint_gt(launches, 0);
    clbn_device_destroy(device);

    clbn_device_options options = listening_options();
    options.skip_trials = 1;
    ck_clbn(clbn_device_create(test_device_name(), &options, &device));
    launches = 0;
    clbn_plan_destroy(plan_of(device, &config));
    ck_assert_uint_eq(launches, 0);
    clbn_device_destroy(device);
}
END_TEST

/* What compilers have been seen to do, or do under options that break arithmetic. */
static const struct {
    const char *what, *written, *read, *of; /* of: variants whose names hold that */
} misreadings[] = {
    {"two-sums lose their error", "const T error = ((a) - (sum - sum##_b)) + ((b)-sum##_b)", "const T error = (T)0", ""},
    {"the mean's low part is lost", "(((x) - (k)->mean) - (k)->mean_lo)", "((x) - (k)->mean)", ""},
    {"epsilon is lost", "inverse_root(var + epsilon)", "inverse_root(var)", ""},
    {"epsilon outside the root is added inside", "if ((flags & EPSILON_OUTSIDE) == 0) return", "return", ""},
    {"backward's statistics are made again with epsilon inside", "const bool outside = (a->flags & EPSILON_OUTSIDE) != 0;",
     "const bool outside = false;", ""},
    {"dx takes epsilon as inside", "(a->flags & EPSILON_OUTSIDE) != 0 ? inverse_root(s->var)", "false ? inverse_root(s->var)",
     ""},
    {"chunks of several rows begin too early", "part->row = row * rows_each;", "part->row = row;", "planes"},
    {"pieces of a row begin too early", "part->start = (k - row * pieces) * length_each;", "part->start = 0;", "planes"},
};

START_TEST(a_compiler_that_reads_something_else_is_found) {
    clbn_device *device = fresh();
    for (size_t k = 0; clbn_variant_name(k); k++) {
        clbn_config config = config_like("tiny_outliers_lanes", clbn_variant_name(k));
        clbn_plan *plan = NULL;
        misread = misreadings[_i].written, misread_as = misreadings[_i].read;
        const clbn_status status = clbn_plan_create(device, &config, &plan);
        be_lucky();
        if (strstr(clbn_variant_name(k), misreadings[_i].of))
            must_refuse(status, CLBN_ERROR_UNSUPPORTED, "wrong results", misreadings[_i].what);
        else
            clbn_plan_destroy(plan);
    }
    clbn_device_destroy(device);
}
END_TEST

static void add(Suite *suite) {
    TCase *tests = add_tests(suite, "trials");
    tcase_add_loop_test(tests, a_launch_that_does_nothing_or_fails_is_found_whatever_its_kernel, 0,
                        (int)(2 * sizeof kernels / sizeof *kernels));
    tcase_add_loop_test(tests, a_wrong_variant_is_passed_by_for_the_next_which_is_right, 0, 4);
    tcase_add_test(tests, a_preferred_variant_is_tried_as_any_and_passed_by_where_it_is_wrong);
    tcase_add_test(tests, a_preferred_variant_that_does_not_compile_is_passed_by_for_good);
    tcase_add_test(tests, where_every_variant_is_wrong_there_is_no_plan_and_a_sentence);
    tcase_add_test(tests, a_variant_is_tried_once_a_device_and_kinds_and_never_where_that_is_asked_for);
    tcase_add_loop_test(tests, a_compiler_that_reads_something_else_is_found, 0, sizeof misreadings / sizeof *misreadings);
}

int main(void) {
    return run_suite("trials", add);
}
