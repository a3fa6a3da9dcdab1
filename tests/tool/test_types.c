/* SPDX-License-Identifier: Apache-2.0
 *
 * Every storage type, activation and the residual through normalize and moments: X's type decides, and the numbers are those
 * of the formulas on what the files hold.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "reference.h"

static const char *const normalize[] = {
    "normalize", "x.npy", "-o", "y.npy", "--mean-out=m.npy", "--var-out=v.npy", "--inv-std-out=s.npy", "--device=cpu", NULL};
static const char *const nothing[] = {NULL};

/* What is per channel: "<f4", or "<f8" where x is. */
static const char *real_of(const char *type) {
    return type[2] == '8' ? type : "<f4";
}

START_TEST(normalize_is_the_formula_in_every_type) {
    const char *type = array_types[_i / activation_count];
    scene s = put_scene(type);
    request r = {.activation = activations[_i % activation_count], .epsilon = 0.01};
    for (int kind = 0; kind < 8; kind++) {
        r.with_residual = kind & 1;
        r.inference = kind >> 1 & 1;
        r.outside = kind >> 2;
        answer a = compute(&s, &r);
        run_request(&r, normalize, nothing);
        check_file("y.npy", type, "(5, 3, 4)", a.y, 60, 4);
        check_file("m.npy", real_of(type), "(3,)", a.mean, 3, 1);
        check_file("v.npy", real_of(type), "(3,)", a.var, 3, 1);
        check_file("s.npy", real_of(type), "(3,)", a.inv_std, 3, 0);
    }
}
END_TEST

START_TEST(running_statistics_and_moments_have_the_right_type) {
    const char *type = array_types[_i];
    static const char *const more[] = {"--running-mean=rm.npy",     "--running-var=rv.npy", "--running-mean-out=rm2.npy",
                                       "--running-var-out=rv2.npy", "--update-weight=0.25", NULL};
    scene s = put_scene(type);
    request r = {.activation = "identity", .epsilon = 0.01};
    answer a = compute(&s, &r);
    run_request(&r, normalize, more);
    double mean[3], var[3];
    for (int c = 0; c < 3; c++) {
        mean[c] = 0.75 * s.running_mean[c] + 0.25 * a.mean[c];
        var[c] = 0.75 * s.running_var[c] + 0.25 * a.var[c] * 20 / 19;
    }
    check_file("rm2.npy", real_of(type), "(3,)", mean, 3, 1);
    check_file("rv2.npy", real_of(type), "(3,)", var, 3, 1);
    OK("moments", "x.npy", "--mean-out=m.npy", "--var-out=v.npy", "--device=cpu");
    check_file("m.npy", real_of(type), "(3,)", a.mean, 3, 1);
    check_file("v.npy", real_of(type), "(3,)", a.var, 3, 1);
}
END_TEST

/* The residual and what is per channel are converted to what X needs. */
START_TEST(inputs_of_every_type_are_taken) {
    static const char *const files[] = {"r.npy", "g.npy", "b.npy"};
    const char *type = array_types[_i / 3], *other = array_types[_i % 3];
    const char *shapes[] = {"(5, 3, 4)", "(3,)", "(3, 1)"};
    scene s = put_scene(type);
    const double *values[] = {s.residual, s.gamma, s.beta};
    request r = {.activation = "relu", .with_residual = 1, .epsilon = 0.01};
    answer a = compute(&s, &r);
    for (int i = 0; i < 3; i++) put_values(files[i], other, shapes[i], values[i], i ? 3 : 60);
    run_request(&r, normalize, nothing);
    check_file("y.npy", type, "(5, 3, 4)", a.y, 60, 4);
}
END_TEST

START_TEST(a_residual_that_the_type_of_x_cannot_hold_is_rounded) {
    static const double x[] = {0, 0, 0}, wide[] = {1 + 0x1p-11, 1e6, -1e-9};
    double y[3];
    put_values("x.npy", "<f2", "(1, 3)", x, 3);
    put_values("r.npy", "<f8", "(1, 3)", wide, 3);
    OK("normalize", "x.npy", "-o", "y.npy", "--residual", "r.npy", "--device", "cpu");
    get_values("y.npy", "<f2", "(1, 3)", y, 3);
    ck_assert(y[0] == 1 && y[1] == (double)INFINITY && y[2] == 0);
}
END_TEST

START_TEST(a_float16_that_overflows_is_infinite) {
    static const double x[] = {-1, 1}, gamma[] = {1e6};
    double y[2];
    put_values("x.npy", "<f2", "(2, 1)", x, 2);
    put_values("g.npy", "<f4", "(1,)", gamma, 1);
    OK("normalize", "x.npy", "-o", "y.npy", "--gamma", "g.npy", "--device", "cpu");
    get_values("y.npy", "<f2", "(2, 1)", y, 2);
    ck_assert(y[0] == (double)-INFINITY && y[1] == (double)INFINITY);
}
END_TEST

/* float32 would see one value here. */
START_TEST(float64_is_no_float32_on_the_way) {
    static const double x[] = {1e9 + 0.5, 1e9 + 1, 1e9 + 1.5, 1e9 + 2}, mean[] = {1e9 + 1.25}, var[] = {0.3125};
    put_values("x.npy", "<f8", "(4, 1)", x, 4);
    OK("moments", "x.npy", "--mean-out", "m.npy", "--var-out", "v.npy", "--device", "cpu");
    check_file("m.npy", "<f8", "(1,)", mean, 1, 0);
    check_file("v.npy", "<f8", "(1,)", var, 1, 0);
    const outcome *result = OK("moments", "x.npy", "--device=cpu");
    ck_assert(strstr(result->out, "1000000001.25 ") && strstr(result->out, " 0.3125\n"));
    OK("normalize", "x.npy", "-o", "y.csv", "--epsilon", "0", "--device", "cpu");
    ck_assert_str_eq(get_text("y.csv"), "-1.34164079\n-0.447213595\n0.447213595\n1.34164079\n");
}
END_TEST

START_TEST(a_csv_takes_a_residual_and_an_activation) {
    put_text("x.csv", "a,b\n1,1\n3,5\n");
    put_text("r.csv", "c,d\n0.25,-1\n-3,7\n");
    OK("normalize", "x.csv", "-o", "y.csv", "--residual", "r.csv", "--activation", "clip:-2.5,2.5", "--epsilon=0",
       "--device=cpu");
    ck_assert_str_eq(get_text("y.csv"), "a,b\n-0.75,-2\n-2,2.5\n");
    OK("normalize", "x.csv", "-o", "y.csv", "--activation", "relu", "--epsilon=0", "--device=cpu");
    ck_assert_str_eq(get_text("y.csv"), "a,b\n0,0\n1,1\n");
}
END_TEST

START_TEST(the_device_that_auto_takes_agrees_in_every_type) {
    static const char *const command[] = {"normalize", "x.npy", "-o", "y.npy", NULL};
    const char *type = array_types[_i];
    scene s = put_scene(type);
    request r = {.activation = "leaky-relu:0.25", .with_residual = 1, .epsilon = 0.01};
    answer a = compute(&s, &r);
    run_request(&r, command, nothing);
    check_file("y.npy", type, "(5, 3, 4)", a.y, 60, 4);
}
END_TEST

/* In inference the factor depends on the running variance alone. */
START_TEST(without_rows_inference_has_its_statistics) {
    static const double var[] = {3, 0, 8.99}, mean[] = {1, 2, 3}, outside[] = {0.5};
    const double inside[] = {1 / 3.0, 1 / sqrt(6), 1 / sqrt(14.99)};
    double found[3];
    put_floats("x.npy", "(0, 3)", NULL, 0);
    put_values("rm.npy", "<f4", "(3,)", mean, 3);
    put_values("rv.npy", "<f4", "(3,)", var, 3);
    OK("normalize", "x.npy", "--mode=inference", "--running-mean=rm.npy", "--running-var=rv.npy", "--inv-std-out=s.npy",
       "--mean-out=m.npy", "--var-out=v.npy", "--epsilon=6", "--device=cpu");
    check_file("s.npy", "<f4", "(3,)", inside, 3, 0);
    check_file("m.npy", "<f4", "(3,)", mean, 3, 0);
    check_file("v.npy", "<f4", "(3,)", var, 3, 0);
    OK("normalize", "x.npy", "--mode=inference", "--running-mean=rm.npy", "--running-var=rv.npy", "--inv-std-out=s.npy",
       "--epsilon=0", "--device=cpu");
    get_values("s.npy", "<f4", "(3,)", found, 3);
    ck_assert(found[0] == (double)(float)(1 / sqrt(3)) && found[1] == 0);
    put_floats("x.npy", "(3, 0)", NULL, 0);
    put_text("one.csv", "4\n");
    OK("normalize", "x.npy", "--axis=none", "--mode=inference", "--running-mean=one.csv", "--running-var=one.csv",
       "--inv-std-out=s.npy", "--epsilon=0", "--epsilon-rule=outside", "--device=cpu");
    check_file("s.npy", "<f4", "(1,)", outside, 1, 0);
}
END_TEST

void add_types(Suite *suite) {
    TCase *tests = add_case(suite, "types");
    tcase_add_loop_test(tests, normalize_is_the_formula_in_every_type, 0, 3 * activation_count);
    tcase_add_loop_test(tests, running_statistics_and_moments_have_the_right_type, 0, 3);
    tcase_add_loop_test(tests, inputs_of_every_type_are_taken, 0, 9);
    tcase_add_test(tests, a_residual_that_the_type_of_x_cannot_hold_is_rounded);
    tcase_add_test(tests, a_float16_that_overflows_is_infinite);
    tcase_add_test(tests, float64_is_no_float32_on_the_way);
    tcase_add_test(tests, a_csv_takes_a_residual_and_an_activation);
    tcase_add_loop_test(tests, the_device_that_auto_takes_agrees_in_every_type, 0, 3);
    tcase_add_test(tests, without_rows_inference_has_its_statistics);
}
