/* SPDX-License-Identifier: Apache-2.0
 *
 * Every refusal: its status, the sentence that names the argument, and that nothing was enqueued or written. Here what holds on
 * the CPU path and on devices; arguments_opencl.c has what needs OpenCL.
 */
#include "refusals.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

START_TEST(every_status_has_its_name_and_a_sentence) {
#define MUST_BE_NAMED(name, value, sentence)         \
    ck_assert_int_eq(name, value);                   \
    ck_assert_str_eq(clbn_status_name(name), #name); \
    ck_assert_str_eq(clbn_status_string(name), sentence);
    CLBN_STATUS_MAP(MUST_BE_NAMED)
#undef MUST_BE_NAMED
    const int unknown[] = {1, -1, -3000, -3018, INT_MAX, INT_MIN};
    for (int i = 0; i < 6; i++) {
        ck_assert_ptr_nonnull(clbn_status_name((clbn_status)unknown[i]));
        ck_assert_ptr_nonnull(clbn_status_string((clbn_status)unknown[i]));
        ck_assert_str_ne(clbn_status_name((clbn_status)unknown[i]), "CLBN_SUCCESS");
        ck_assert_uint_gt(strlen(clbn_status_string((clbn_status)unknown[i])), 0);
    }
}
END_TEST

START_TEST(the_running_version_is_the_headers) {
    char expected[32];
    snprintf(expected, sizeof expected, "%d.%d.%d", CLBN_VERSION_MAJOR, CLBN_VERSION_MINOR, CLBN_VERSION_PATCH);
    ck_assert_str_eq(clbn_version(), expected);
    ck_assert_int_eq(CLBN_VERSION, CLBN_VERSION_MAJOR * 10000 + CLBN_VERSION_MINOR * 100 + CLBN_VERSION_PATCH);
}
END_TEST

/* ---------------------------------------------------------------------------------------------------------------- config */

#define CONFIG_REFUSALS(XX)                                                                                                  \
    XX("rank 0", c->rank = 0, INVALID_DIMS, "rank")                                                                          \
    XX("rank 9", c->rank = CLBN_MAX_RANK + 1, INVALID_DIMS, "rank")                                                          \
    XX("a rank past every int", c->rank = UINT_MAX, INVALID_DIMS, "rank")                                                    \
    XX("an axis of rank", c->axis = 3, INVALID_DIMS, "axis")                                                                 \
    XX("an axis of -rank - 1", c->axis = -4, INVALID_DIMS, "axis")                                                           \
    XX("an axis beside NONE", c->axis = INT_MIN + 1, INVALID_DIMS, "axis")                                                   \
    XX("an axis of INT_MAX", c->axis = INT_MAX, INVALID_DIMS, "axis")                                                        \
    XX("no dims", c->dims = NULL, INVALID_ARGUMENT, "dims")                                                                  \
    XX("dims whose product overflows", c->dims = too_many, INVALID_DIMS, "dims")                                             \
    XX("dims whose outer product overflows", (c->dims = too_many, c->axis = 2), INVALID_DIMS, "dims")                        \
    XX("dims whose inner product overflows", (c->dims = too_many, c->axis = 0), INVALID_DIMS, "dims")                        \
    XX("dims whose bytes overflow", c->dims = too_wide, INVALID_DIMS, "dims")                                                \
    XX("dims that overflow beside an extent of 0", c->dims = none_of_many, INVALID_DIMS, "dims")                             \
    XX("a negative epsilon", c->epsilon = -1e-5, INVALID_VALUE, "epsilon")                                                   \
    XX("a smallest negative epsilon", c->epsilon = -5e-324, INVALID_VALUE, "epsilon")                                        \
    XX("an epsilon of NaN", c->epsilon = NAN, INVALID_VALUE, "epsilon")                                                      \
    XX("an epsilon that is no normal float", c->epsilon = 1e-39, INVALID_VALUE, "epsilon")                                   \
    XX("an epsilon past float", c->epsilon = 1e39, INVALID_VALUE, "epsilon")                                                 \
    XX("an epsilon of infinity", c->epsilon = INFINITY, INVALID_VALUE, "epsilon")                                            \
    XX("an unknown dtype", c->dtype = (clbn_dtype)77, INVALID_ARGUMENT, "dtype")                                             \
    XX("a dtype as x", c->dtype = CLBN_AS_X, INVALID_ARGUMENT, "dtype")                                                      \
    XX("an unknown y_dtype", c->y_dtype = (clbn_dtype)5, INVALID_ARGUMENT, "y_dtype")                                        \
    XX("a y_dtype below as x", c->y_dtype = (clbn_dtype)-2, INVALID_ARGUMENT, "y_dtype")                                     \
    XX("an unknown epsilon rule", c->epsilon_rule = (clbn_epsilon_rule)2, INVALID_ARGUMENT, "epsilon_rule")                  \
    XX("an unknown running variance", c->running_variance = (clbn_running_variance)-1, INVALID_ARGUMENT, "running_variance") \
    XX("an activation past the last", c->activation = (clbn_activation)6, INVALID_ARGUMENT, "activation")                    \
    XX("an activation before the first", c->activation = (clbn_activation)-1, INVALID_ARGUMENT, "activation")                \
    XX("a slope of NaN", (c->activation = CLBN_LEAKY_RELU, c->slope = NAN), INVALID_VALUE, "slope")                          \
    XX("a slope of infinity", (c->activation = CLBN_LEAKY_RELU, c->slope = -INFINITY), INVALID_VALUE, "slope")               \
    XX("a slope past float", (c->activation = CLBN_LEAKY_RELU, c->slope = 1e39), INVALID_VALUE, "slope")                     \
    XX("low above high", (c->activation = CLBN_CLIP, c->low = 6, c->high = 0), INVALID_VALUE, "low")                         \
    XX("a low of NaN", (c->activation = CLBN_CLIP, c->low = NAN, c->high = 6), INVALID_VALUE, "low")                         \
    XX("a high of NaN", (c->activation = CLBN_CLIP, c->high = NAN), INVALID_VALUE, "high")                                   \
    XX("a residual of 2", c->residual = 2, INVALID_ARGUMENT, "residual")                                                     \
    XX("a residual of -1", c->residual = -1, INVALID_ARGUMENT, "residual")                                                   \
    XX("a mask of 2", (c->activation = CLBN_RELU, c->mask = 2), INVALID_ARGUMENT, "mask")                                    \
    XX("a mask of -1", (c->activation = CLBN_RELU, c->mask = -1), INVALID_ARGUMENT, "mask")                                  \
    XX("a mask of identity", c->mask = 1, UNSUPPORTED, "mask")                                                               \
    XX("a mask of silu", (c->activation = CLBN_SILU, c->mask = 1), UNSUPPORTED, "mask")                                      \
    XX("a mask of one's own", (c->activation = CLBN_CUSTOM, c->custom = &whole, c->mask = 1), UNSUPPORTED, "mask")           \
    XX("no custom", c->activation = CLBN_CUSTOM, INVALID_ARGUMENT, "custom")                                                 \
    XX("a custom of nothing", (c->activation = CLBN_CUSTOM, c->custom = &nothing), INVALID_ARGUMENT,                         \
       cpu ? "custom.value_fn" : "custom.value")                                                                             \
    XX("the other device's custom", (c->activation = CLBN_CUSTOM, c->custom = cpu ? &texts : &functions), INVALID_ARGUMENT,  \
       cpu ? "custom.value_fn" : "custom.value")                                                                             \
    XX("a custom without value", (c->activation = CLBN_CUSTOM, c->custom = &no_value), INVALID_ARGUMENT,                     \
       cpu ? "custom.value_fn" : "custom.value")                                                                             \
    XX("a custom without derivative", (c->activation = CLBN_CUSTOM, c->custom = &no_derivative), INVALID_ARGUMENT,           \
       cpu ? "custom.derivative_fn" : "custom.derivative")

/* An activation to hand over; it is never called. */
static void as_it_is(void *user_data, size_t count, const double *v, double *out) {
    (void)user_data;
    for (size_t i = 0; i < count; i++) out[i] = v[i];
}

START_TEST(bad_configs_are_refused_in_a_sentence) {
    static const size_t good[] = {3, 5, 7}, too_many[] = {SIZE_MAX / 4, 3, SIZE_MAX / 4}, too_wide[] = {SIZE_MAX / 4, 3, 1},
                        none_of_many[] = {SIZE_MAX / 4, 0, SIZE_MAX / 4};
    static const clbn_custom_activation whole = {"v", "1", as_it_is, as_it_is, NULL}, nothing = {0},
                                        texts = {.value = "v", .derivative = "1"},
                                        functions = {.value_fn = as_it_is, .derivative_fn = as_it_is},
                                        no_value = {.derivative = "1", .derivative_fn = as_it_is},
                                        no_derivative = {.value = "v", .value_fn = as_it_is};
    const int cpu = tested_is_cpu_path();
    clbn_config config, *c = &config;
    clbn_plan *plan;
#define MUST_BE_REFUSED(what, spoil, status, word)                                      \
    config = clbn_config_preset(CLBN_PRESET_PYTORCH);                                   \
    config.rank = 3, config.dims = good;                                                \
    spoil;                                                                              \
    plan = (clbn_plan *)&config;                                                        \
    said_clear();                                                                       \
    must_refuse(clbn_plan_create(tested(), c, &plan), CLBN_ERROR_##status, word, what); \
    ck_assert_msg(plan == NULL, what ": the plan is not NULL");
    CONFIG_REFUSALS(MUST_BE_REFUSED)
#undef MUST_BE_REFUSED
}
END_TEST

/* Whatever an activation does not use may hold anything. */
START_TEST(parameters_of_other_activations_are_not_looked_at) {
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 3, config.dims = (const size_t[]){3, 5, 7};
    config.slope = NAN, config.low = 1, config.high = 0;
    clbn_plan_destroy(plan_of(tested(), &config));
    config.activation = CLBN_CLIP, config.low = -INFINITY, config.high = INFINITY;
    clbn_plan_destroy(plan_of(tested(), &config));
}
END_TEST

START_TEST(float64_on_a_device_without_it_is_refused) {
    clbn_device_info info;
    ck_clbn(clbn_device_query(tested(), &info));
    for (int k = 0; k < 3; k++) {
        clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
        clbn_plan *plan = NULL;
        config.rank = 3, config.dims = (const size_t[]){3, 5, 7};
        config.dtype = k == 1 ? CLBN_F32 : CLBN_F64, config.y_dtype = k == 2 ? CLBN_F16 : CLBN_F64;
        said_clear();
        if (info.has_fp64)
            plan = plan_of(tested(), &config);
        else
            must_refuse(clbn_plan_create(tested(), &config, &plan), CLBN_ERROR_UNSUPPORTED, "float64", "float64");
        clbn_plan_destroy(plan);
    }
}
END_TEST

START_TEST(an_unknown_variant_is_refused) {
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    clbn_plan *plan = NULL;
    config.rank = 3, config.dims = (const size_t[]){3, 5, 7}, config.variant = "no-such-variant";
    said_clear();
    must_refuse(clbn_plan_create(tested(), &config, &plan),
                tested_is_cpu_path() ? CLBN_ERROR_UNSUPPORTED : CLBN_ERROR_INVALID_ARGUMENT, "no-such-variant",
                "an unknown variant");
    ck_assert_ptr_null(plan);
}
END_TEST

static const clbn_buffer absent;

START_TEST(null_where_an_object_must_be_is_refused) {
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 3, config.dims = (const size_t[]){3, 5, 7};
    clbn_plan *plan = plan_of(tested(), &config), *none = plan;
    clbn_device_info device_info;
    clbn_plan_info info;
    size_t count;
    ck_assert_int_eq(clbn_plan_create(NULL, &config, &none), CLBN_ERROR_INVALID_ARGUMENT);
    ck_assert_ptr_null(none);
    said_clear();
    must_refuse(clbn_plan_create(tested(), NULL, &none), CLBN_ERROR_INVALID_ARGUMENT, "config", "no config");
    must_refuse(clbn_plan_create(tested(), &config, NULL), CLBN_ERROR_INVALID_ARGUMENT, "plan", "no place for the plan");
    must_refuse(clbn_forward_training(plan, NULL, NULL, 0, NULL, NULL), CLBN_ERROR_INVALID_ARGUMENT, "args", "no args");
    must_refuse(clbn_forward_inference(plan, NULL, NULL, 0, NULL, NULL), CLBN_ERROR_INVALID_ARGUMENT, "args", "no args");
    must_refuse(clbn_moments(plan, NULL, NULL, 0, NULL, NULL), CLBN_ERROR_INVALID_ARGUMENT, "args", "no args");
    must_refuse(clbn_moments_part(plan, NULL, NULL, 0, NULL, NULL), CLBN_ERROR_INVALID_ARGUMENT, "args", "no args");
    must_refuse(clbn_moments_merge(plan, NULL, NULL, 0, NULL, NULL), CLBN_ERROR_INVALID_ARGUMENT, "args", "no args");
    must_refuse(clbn_backward_training(plan, NULL, NULL, 0, NULL, NULL), CLBN_ERROR_INVALID_ARGUMENT, "args", "no args");
    must_refuse(clbn_backward_inference(plan, NULL, NULL, 0, NULL, NULL), CLBN_ERROR_INVALID_ARGUMENT, "args", "no args");
    must_refuse(clbn_backward_part(plan, NULL, NULL, 0, NULL, NULL), CLBN_ERROR_INVALID_ARGUMENT, "args", "no args");
    must_refuse(clbn_backward_merge(plan, NULL, NULL, 0, NULL, NULL), CLBN_ERROR_INVALID_ARGUMENT, "args", "no args");
    must_refuse(clbn_update_running(plan, NULL, NULL, 0, NULL, NULL), CLBN_ERROR_INVALID_ARGUMENT, "args", "no args");
    must_refuse(clbn_fold(plan, NULL, NULL, 0, NULL, NULL), CLBN_ERROR_INVALID_ARGUMENT, "args", "no args");
    must_refuse(clbn_plan_query(plan, NULL), CLBN_ERROR_INVALID_ARGUMENT, "info", "no info");
    must_refuse(clbn_device_query(tested(), NULL), CLBN_ERROR_INVALID_ARGUMENT, "info", "no info");
    ck_assert_int_eq(clbn_plan_query(NULL, &info), CLBN_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(clbn_device_query(NULL, &device_info), CLBN_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(clbn_device_get_cl(NULL, NULL, NULL, NULL), CLBN_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(clbn_device_create("cpu", NULL, NULL), CLBN_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(clbn_device_list(NULL, NULL, 0, NULL), CLBN_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(clbn_device_list(NULL, NULL, 1, &count), CLBN_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(clbn_forward_training(NULL, NULL, &(clbn_forward_args){.update_weight = 0}, 0, NULL, NULL),
                     CLBN_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(clbn_backward_training(NULL, NULL, &(clbn_backward_args){0}, 0, NULL, NULL), CLBN_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(clbn_fold(NULL, NULL, &(clbn_fold_args){.bias = absent}, 0, NULL, NULL), CLBN_ERROR_INVALID_ARGUMENT);
    ck_assert_uint_eq(clbn_plan_mask_bytes(NULL), 0);
    clbn_plan_destroy(NULL);
    clbn_device_destroy(NULL);
    clbn_plan_destroy(plan);
}
END_TEST

/* ----------------------------------------------------------------------------------------------------------------- calls */

static void shift(clbn_buffer *to, const clbn_buffer *from) {
    *to = *from, to->offset++;
}

#define CALL_REFUSALS(XX)                                                                                        \
    XX("no x", TRAINING, a->x = absent, MISSING_BUFFER, "x")                                                     \
    XX("no x", INFERENCE, a->x = absent, MISSING_BUFFER, "x")                                                    \
    XX("no x", MOMENTS, m->x = absent, MISSING_BUFFER, "x")                                                      \
    XX("no y", INFERENCE, a->y = absent, MISSING_BUFFER, "y")                                                    \
    XX("no running_mean", INFERENCE, a->running_mean = absent, MISSING_BUFFER, "running_mean")                   \
    XX("no running_var", INFERENCE, a->running_var = absent, MISSING_BUFFER, "running_var")                      \
    XX("no output", MOMENTS, m->mean = m->mean_lo = m->var = absent, MISSING_BUFFER, "mean")                     \
    XX("a negative weight", TRAINING, a->update_weight = -1e-9, INVALID_VALUE, "update_weight")                  \
    XX("a weight above 1", TRAINING, a->update_weight = 1.0000001, INVALID_VALUE, "update_weight")               \
    XX("a weight of NaN", TRAINING, a->update_weight = NAN, INVALID_VALUE, "update_weight")                      \
    XX("a kind of no buffer", TRAINING, a->gamma.kind = (clbn_buffer_kind)7, INVALID_ARGUMENT, "gamma")          \
    XX("y one past x", TRAINING, shift(&a->y, &a->x), OVERLAP, "y")                                              \
    XX("y one past x", INFERENCE, shift(&a->y, &a->x), OVERLAP, "y")                                             \
    XX("x one past y", TRAINING, shift(&a->x, &a->y), OVERLAP, "x")                                              \
    XX("y in gamma", TRAINING, a->gamma = a->y, OVERLAP, "gamma")                                                \
    XX("y in beta", INFERENCE, a->beta = a->y, OVERLAP, "beta")                                                  \
    XX("y in running_mean", INFERENCE, a->running_mean = a->y, OVERLAP, "running_mean")                          \
    XX("saved_var in saved_mean", TRAINING, a->saved_var = a->saved_mean, OVERLAP, "saved_var")                  \
    XX("the end of saved_mean_lo", TRAINING, shift(&a->saved_mean, &a->saved_mean_lo), OVERLAP, "saved_mean_lo") \
    XX("saved_inv_std in gamma", INFERENCE, a->saved_inv_std = a->gamma, OVERLAP, "saved_inv_std")               \
    XX("running_var in running_mean", TRAINING, a->running_var = a->running_mean, OVERLAP, "running_var")        \
    XX("running_mean in beta", TRAINING, a->running_mean = a->beta, OVERLAP, "running_mean")                     \
    XX("saved_mean in x", TRAINING, a->saved_mean = a->x, OVERLAP, "saved_mean")                                 \
    XX("mean in x", MOMENTS, m->mean = m->x, OVERLAP, "mean")                                                    \
    XX("var in mean", MOMENTS, m->var = m->mean, OVERLAP, "var")

static void refuse_the_calls(place where){
#define MUST_BE_REFUSED(what, verb, spoil, status, word)            \
    {                                                               \
        trial t;                                                    \
        trial_make(&t, where, verb);                                \
        clbn_forward_args *a = &t.scene.args;                       \
        clbn_moments_args *m = &t.scene.moments;                    \
        (void)a, (void)m;                                           \
        spoil;                                                      \
        trial_must_be_refused(&t, CLBN_ERROR_##status, word, what); \
    }
    CALL_REFUSALS(MUST_BE_REFUSED)
#undef MUST_BE_REFUSED
}

START_TEST(bad_calls_are_refused_in_a_sentence) {
    refuse_the_calls(ON_HOST);
    if (!tested_is_cpu_path()) refuse_the_calls(IN_MEM);
}
END_TEST

/* What OpenCL's arguments are to the CPU path. Its cl_mem, queue and event are never looked into. */
START_TEST(the_cpu_path_takes_nothing_of_opencl) {
    static int thing;
    if (!tested_is_cpu_path()) return;
    const cl_event events[] = {(cl_event)(void *)&thing};
    cl_event event = NULL;
    trial t;
    trial_make(&t, ON_HOST, TRAINING);
    t.scene.args.x = clbn_mem((cl_mem)(void *)&thing, 0);
    trial_must_be_refused(&t, CLBN_ERROR_WRONG_MEMORY, "x", "a cl_mem");
    trial_make(&t, ON_HOST, TRAINING);
    t.scene.args.saved_mean_lo = clbn_mem((cl_mem)(void *)&thing, 0);
    trial_must_be_refused(&t, CLBN_ERROR_WRONG_MEMORY, "saved_mean_lo", "a cl_mem");
    trial_make(&t, ON_HOST, TRAINING);
    t.scene.args.workspace = clbn_mem((cl_mem)(void *)&thing, 0);
    trial_must_be_refused(&t, CLBN_ERROR_WRONG_MEMORY, "workspace", "a workspace");
    trial_make(&t, ON_HOST, TRAINING);
    t.queue = (cl_command_queue)(void *)&thing;
    trial_must_be_refused(&t, CLBN_ERROR_INVALID_QUEUE, "queue", "a queue");
    trial_make(&t, ON_HOST, INFERENCE);
    t.n_wait = 1, t.wait_list = events;
    trial_must_be_refused(&t, CLBN_ERROR_INVALID_WAIT_LIST, "wait", "a wait list");
    trial_make(&t, ON_HOST, MOMENTS);
    t.event = &event;
    trial_must_be_refused(&t, CLBN_ERROR_INVALID_WAIT_LIST, "event", "an event");
}
END_TEST

START_TEST(a_misaligned_host_pointer_is_refused) {
    trial t;
    trial_make(&t, ON_HOST, TRAINING);
    t.scene.args.x.host = (char *)t.scene.args.x.host + 1;
    trial_must_be_refused(&t, CLBN_ERROR_WRONG_MEMORY, "x", "a misaligned pointer");
    trial_make(&t, ON_HOST, TRAINING);
    t.scene.args.gamma.offset = SIZE_MAX / 2;
    trial_must_be_refused(&t, CLBN_ERROR_BUFFER_TOO_SMALL, "gamma", "an offset past the address space");
}
END_TEST

START_TEST(two_inputs_may_be_one_array) {
    trial t;
    trial_make(&t, ON_HOST, TRAINING);
    t.scene.args.beta = t.scene.args.gamma;
    ck_clbn(trial_call(&t));
    trial_free(&t);
    trial_make(&t, ON_HOST, INFERENCE);
    t.scene.args.running_var = t.scene.args.running_mean = t.scene.args.gamma = t.scene.args.x;
    ck_clbn(trial_call(&t));
    trial_free(&t);
}
END_TEST

START_TEST(inference_does_not_look_at_update_weight) {
    trial t;
    trial_make(&t, ON_HOST, INFERENCE);
    t.scene.args.update_weight = NAN;
    ck_clbn(trial_call(&t));
    trial_free(&t);
}
END_TEST

/* dgamma is the whole batch's, and so is the inv_std in it. */
START_TEST(backward_by_parts_of_an_empty_share_needs_the_saved_statistics) {
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 2;
    config.dims = (const size_t[]){0, 2};
    clbn_plan *plan = plan_of(tested(), &config);
    float part[CLBN_PART_REALS * 2] = {1, 1}, dgamma[2] = {7, 7};
    uint64_t count = 4;
    const clbn_backward_args args = {
        .parts = clbn_host(part), .counts = clbn_host(&count), .part_count = 1, .dgamma = clbn_host(dgamma)};
    must_refuse(clbn_backward_training(plan, NULL, &args, 0, NULL, NULL), CLBN_ERROR_MISSING_BUFFER, "saved_mean",
                "no saved_mean");
    ck_assert_float_eq(dgamma[0], 7);
    clbn_plan_destroy(plan);
}
END_TEST

static void add(Suite *suite) {
    TCase *tests = add_tests(suite, "arguments");
    tcase_add_test(tests, every_status_has_its_name_and_a_sentence);
    tcase_add_test(tests, the_running_version_is_the_headers);
    tcase_add_test(tests, bad_configs_are_refused_in_a_sentence);
    tcase_add_test(tests, parameters_of_other_activations_are_not_looked_at);
    tcase_add_test(tests, float64_on_a_device_without_it_is_refused);
    tcase_add_test(tests, an_unknown_variant_is_refused);
    tcase_add_test(tests, null_where_an_object_must_be_is_refused);
    tcase_add_test(tests, bad_calls_are_refused_in_a_sentence);
    tcase_add_test(tests, the_cpu_path_takes_nothing_of_opencl);
    tcase_add_test(tests, a_misaligned_host_pointer_is_refused);
    tcase_add_test(tests, two_inputs_may_be_one_array);
    tcase_add_test(tests, inference_does_not_look_at_update_weight);
    tcase_add_test(tests, backward_by_parts_of_an_empty_share_needs_the_saved_statistics);
    add_value_refusals(add_tests(suite, "values"));
    add_place_refusals(add_tests(suite, "places"));
    add_call_refusals(add_tests(suite, "every argument of every call"));
    if (strcmp(test_device_name(), "cpu")) add_opencl_refusals(add_tests(suite, "opencl arguments"));
}

int main(void) {
    return run_suite("arguments", add);
}
