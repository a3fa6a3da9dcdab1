/* SPDX-License-Identifier: Apache-2.0
 *
 * clbn backward against the formulas, in every type, mode and rule; what it writes, where, and what it leaves alone.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "reference.h"

#define SHAPE "(5, 3, 4)"
/* A gradient per channel is a sum over 20 values. */
#define SUM_SCALE 40

static const char *const backward[] = {"backward", "x.npy", "dy.npy", "--device=cpu", NULL};
static const char *const without_residual[] = {"--dx=dx.npy", "--dgamma=dg.npy", "--dbeta=db.npy", NULL};
static const char *const with_residual[] = {"--dx=dx.npy", "--dgamma=dg.npy", "--dbeta=db.npy", "--dresidual=dr.npy", NULL};

static void check_all(const answer *a, const request *r, const char *type) {
    const char *real = type[2] == '8' ? type : "<f4";
    check_file("dx.npy", type, SHAPE, a->dx, 60, 2);
    check_file("dg.npy", real, "(3,)", a->dgamma, 3, SUM_SCALE);
    check_file("db.npy", real, "(3,)", a->dbeta, 3, SUM_SCALE);
    if (r->with_residual) check_file("dr.npy", type, SHAPE, a->dresidual, 60, 2);
}

START_TEST(the_gradients_are_the_formula_in_every_type) {
    const char *type = array_types[_i / activation_count];
    scene s = put_scene(type);
    request r = {.activation = activations[_i % activation_count], .epsilon = 0.5};
    for (int kind = 0; kind < 8; kind++) {
        r.with_residual = kind & 1;
        r.inference = kind >> 1 & 1;
        r.outside = kind >> 2;
        answer a = compute(&s, &r);
        run_request(&r, backward, r.with_residual ? with_residual : without_residual);
        check_all(&a, &r, type);
    }
}
END_TEST

/* The reference itself, by differences: of the sum of dy * y. */
START_TEST(the_formula_is_the_derivative) {
    scene s = put_scene("<f8");
    request r = {.activation = "silu", .with_residual = 1, .outside = _i, .epsilon = 0.5};
    answer a = compute(&s, &r);
    double *inputs[] = {&s.x[17], &s.gamma[1], &s.beta[1], &s.residual[17]};
    double slopes[] = {a.dx[17], a.dgamma[1], a.dbeta[1], a.dresidual[17]};
    for (int which = 0; which < 4; which++) {
        double loss[2] = {0, 0}, step = 1e-4, old = *inputs[which];
        for (int side = 0; side < 2; side++) {
            *inputs[which] = old + (side ? step : -step);
            answer moved = compute(&s, &r);
            for (int i = 0; i < 60; i++) loss[side] += s.dy[i] * moved.y[i];
        }
        *inputs[which] = old;
        double slope = (loss[1] - loss[0]) / (2 * step);
        ck_assert_msg(fabs(slope - slopes[which]) <= 1e-6, "%d: %.9g, needs %.9g", which, slopes[which], slope);
    }
}
END_TEST

static const char *const subsets[][5] = {
    {"--dx=dx.npy"},
    {"--dgamma=dg.npy"},
    {"--dbeta=db.npy"},
    {"--dresidual=dr.npy"},
    {"--dx=dx.npy", "--dresidual=dr.npy"},
    {"--dgamma=dg.npy", "--dresidual=dr.npy"},
};

/* What is not asked for is not written, and what is does not depend on the rest. */
START_TEST(each_gradient_can_be_asked_for_by_itself) {
    static const char *const names[] = {"dx.npy", "dg.npy", "db.npy", "dr.npy"};
    scene s = put_scene("<f4");
    request r = {.activation = "relu", .with_residual = 1, .epsilon = 0.5};
    answer a = compute(&s, &r);
    const double *values[] = {a.dx, a.dgamma, a.dbeta, a.dresidual};
    run_request(&r, backward, subsets[_i]);
    for (int i = 0; i < 4; i++) {
        int asked = 0;
        for (int k = 0; subsets[_i][k]; k++) asked |= strstr(subsets[_i][k], names[i]) != NULL;
        ck_assert_int_eq(exists(names[i]), asked);
        int tensor = i == 0 || i == 3;
        if (asked) check_file(names[i], "<f4", tensor ? SHAPE : "(3,)", values[i], tensor ? 60 : 3, tensor ? 2 : SUM_SCALE);
    }
}
END_TEST

/* DY and the residual are converted to X's type. */
START_TEST(dy_of_every_type_is_taken) {
    const char *type = array_types[_i / 3], *other = array_types[_i % 3];
    scene s = put_scene(type);
    put_values("dy.npy", other, SHAPE, s.dy, 60);
    put_values("r.npy", other, SHAPE, s.residual, 60);
    put_values("g.npy", other, "(1, 3)", s.gamma, 3);
    request r = {.activation = "relu", .with_residual = 1, .epsilon = 0.5};
    answer a = compute(&s, &r);
    run_request(&r, backward, with_residual);
    check_all(&a, &r, type);
}
END_TEST

START_TEST(a_dy_that_the_type_of_x_cannot_hold_is_rounded) {
    static const double dy[] = {1 + 0x1p-11, -1e5, 2 + 3 * 0x1p-10};
    static const float statistics[] = {0, 0, 0}, variances[] = {1, 1, 1};
    double dx[3];
    put_values("x.npy", "<f2", "(1, 3)", (const double[]){0, 0, 0}, 3);
    put_values("dy.npy", "<f8", "(1, 3)", dy, 3);
    put_floats("rm.npy", "(3,)", statistics, 3);
    put_floats("rv.npy", "(3,)", variances, 3);
    OK("backward", "x.npy", "dy.npy", "--dx", "dx.npy", "--mode=inference", "--running-mean=rm.npy", "--running-var=rv.npy",
       "--epsilon=0", "--device=cpu");
    get_values("dx.npy", "<f2", "(1, 3)", dx, 3);
    ck_assert(dx[0] == 1 && dx[1] == (double)-INFINITY && dx[2] == 2 + 4 * 0x1p-10);
}
END_TEST

static const struct {
    const char *axis;
    int outer, channels, inner;
    const char *shape;
} axes[] = {{"0", 1, 5, 12, "(5,)"}, {"2", 15, 4, 1, "(4,)"}, {"-3", 1, 5, 12, "(5,)"}, {"none", 1, 1, 60, "(1,)"}};

START_TEST(every_axis_has_its_gradients) {
    scene s = put_scene("<f4");
    request r = {.activation = "identity", .epsilon = 1e-5};
    s.outer = axes[_i].outer;
    s.channels = axes[_i].channels;
    s.inner = axes[_i].inner;
    for (int i = 0; i < 60; i++) s.gamma[i] = 1; /* as where none is given */
    answer a = compute(&s, &r);
    OK("backward", "x.npy", "dy.npy", "--axis", axes[_i].axis, "--dx=dx.npy", "--dgamma=dg.npy", "--dbeta=db.npy",
       "--device=cpu");
    check_file("dx.npy", "<f4", SHAPE, a.dx, 60, 2);
    check_file("dg.npy", "<f4", axes[_i].shape, a.dgamma, (size_t)s.channels, 3 * SUM_SCALE);
    check_file("db.npy", "<f4", axes[_i].shape, a.dbeta, (size_t)s.channels, 3 * SUM_SCALE);
}
END_TEST

START_TEST(a_preset_brings_its_epsilon) {
    scene s = put_scene("<f8");
    request r = {.activation = "identity", .epsilon = 1e-3};
    answer a = compute(&s, &r);
    OK("backward", "x.npy", "dy.npy", "--preset=keras", "--gamma=g.npy", "--beta=b.npy", "--dx=dx.npy", "--dgamma=dg.npy",
       "--dbeta=db.npy", "--device=cpu");
    check_all(&a, &r, "<f8");
}
END_TEST

/* y = x here, up to the mean: relu cuts the first row off. */
START_TEST(a_csv_gives_csv_with_the_header_of_x) {
    put_text("x.csv", "a,b\n1,1\n3,5\n");
    put_text("dy.csv", "c,d\n10,20\n0.1,-3\n");
    put_text("zero.csv", "0,0\n");
    put_text("one.csv", "1,1\n");
    put_text("shift.csv", "-2,-3\n");
    OK("backward", "x.csv", "dy.csv", "--dx=dx.csv", "--dgamma=dg.csv", "--dbeta=db.csv", "--beta=shift.csv", "--mode=inference",
       "--running-mean=zero.csv", "--running-var=one.csv", "--epsilon=0", "--activation=relu", "--device=cpu");
    ck_assert_str_eq(get_text("dx.csv"), "a,b\n0,0\n0.100000001,-3\n");
    ck_assert_str_eq(get_text("dg.csv"), "0.300000012,-15\n");
    ck_assert_str_eq(get_text("db.csv"), "0.100000001,-3\n");
}
END_TEST

START_TEST(an_infinite_dy_that_is_cut_off_counts_nothing) {
    put_text("x.csv", "1\n-1\n2\n");
    put_text("dy.csv", "1\n-inf\n3\n");
    put_text("zero.csv", "0\n");
    put_text("one.csv", "1\n");
    OK("backward", "x.csv", "dy.csv", "--dx=dx.csv", "--dbeta=db.csv", "--mode=inference", "--running-mean=zero.csv",
       "--running-var=one.csv", "--epsilon=0", "--activation=relu", "--device=cpu");
    ck_assert_str_eq(get_text("dx.csv"), "1\n0\n3\n");
    ck_assert_str_eq(get_text("db.csv"), "4\n");
}
END_TEST

START_TEST(without_values_the_gradients_are_0) {
    double gradient[3] = {1, 1, 1};
    put_floats("x.npy", "(0, 3)", NULL, 0);
    OK("backward", "x.npy", "x.npy", "--dx=dx.npy", "--dgamma=dg.npy", "--dbeta=db.npy", "--device=cpu");
    get_values("dx.npy", "<f4", "(0, 3)", gradient, 0);
    get_values("dg.npy", "<f4", "(3,)", gradient, 3);
    for (int c = 0; c < 3; c++) ck_assert(gradient[c] == 0);
    get_values("db.npy", "<f4", "(3,)", gradient, 3);
    for (int c = 0; c < 3; c++) ck_assert(gradient[c] == 0);
    put_floats("x.npy", "(3, 0)", NULL, 0);
    OK("backward", "x.npy", "x.npy", "--dx=dx.npy", "--dgamma=dg.npy", "--device=cpu");
    get_values("dg.npy", "<f4", "(0,)", gradient, 0);
}
END_TEST

/* DX may replace DY's file, or X's: all inputs have been read by then. */
START_TEST(an_output_may_replace_an_input_here_too) {
    scene s = put_scene("<f4");
    request r = {.activation = "silu", .with_residual = 1, .epsilon = 0.5};
    static const char *const over[] = {"--dx=dy.npy", "--dresidual=r.npy", "--dgamma=g.npy", NULL};
    answer a = compute(&s, &r);
    run_request(&r, backward, over);
    check_file("dy.npy", "<f4", SHAPE, a.dx, 60, 2);
    check_file("r.npy", "<f4", SHAPE, a.dresidual, 60, 2);
    check_file("g.npy", "<f4", "(3,)", a.dgamma, 3, SUM_SCALE);
}
END_TEST

START_TEST(a_failure_leaves_what_was_there) {
    put_scene("<f4");
    put_text("dx.npy", "old");
    put_text("dg.npy", "old");
#define CALL "backward", "x.npy", "dy.npy", "--dx=dx.npy", "--dgamma=dg.npy", "--device=cpu"
    REFUSED(1, "--dbeta none/db.npy", CALL, "--dbeta=none/db.npy");
    REFUSED(2, "--dresidual r.csv|5x3x4", CALL, "--residual=r.npy", "--dresidual=r.csv");
    put_npy("dy.npy", 1, "{'descr': '<i4', 'fortran_order': False, 'shape': (5, 3, 4), }", NULL, 0);
    REFUSED(2, "dy.npy|<i4", CALL);
    put_floats("dy.npy", "(5, 3, 1)", (const float[15]){0}, 15);
    REFUSED(2, "dy.npy|5x3x1, needs 5x3x4", CALL);
    put_floats("dy.npy", "(5, 12)", (const float[60]){0}, 60);
    REFUSED(2, "dy.npy|5x12, needs 5x3x4", CALL);
#undef CALL
}
END_TEST

START_TEST(the_device_that_auto_takes_agrees) {
    static const char *const command[] = {"backward", "x.npy", "dy.npy", NULL};
    const char *type = array_types[_i % 3];
    scene s = put_scene(type);
    request r = {.activation = "leaky-relu:0.25", .with_residual = 1, .inference = _i / 3, .epsilon = 0.5};
    answer a = compute(&s, &r);
    const outcome *result = run_request(&r, command, with_residual);
    ck_assert_ptr_nonnull(strstr(result->out, "device: "));
    ck_assert_ptr_nonnull(strstr(result->out, "time: "));
    check_all(&a, &r, type);
}
END_TEST

void add_backward(Suite *suite) {
    TCase *tests = add_case(suite, "backward");
    tcase_add_loop_test(tests, the_gradients_are_the_formula_in_every_type, 0, 3 * activation_count);
    tcase_add_loop_test(tests, the_formula_is_the_derivative, 0, 2);
    tcase_add_loop_test(tests, each_gradient_can_be_asked_for_by_itself, 0, (int)(sizeof subsets / sizeof *subsets));
    tcase_add_loop_test(tests, dy_of_every_type_is_taken, 0, 9);
    tcase_add_test(tests, a_dy_that_the_type_of_x_cannot_hold_is_rounded);
    tcase_add_loop_test(tests, every_axis_has_its_gradients, 0, (int)(sizeof axes / sizeof *axes));
    tcase_add_test(tests, a_preset_brings_its_epsilon);
    tcase_add_test(tests, a_csv_gives_csv_with_the_header_of_x);
    tcase_add_test(tests, an_infinite_dy_that_is_cut_off_counts_nothing);
    tcase_add_test(tests, without_values_the_gradients_are_0);
    tcase_add_test(tests, an_output_may_replace_an_input_here_too);
    tcase_add_test(tests, a_failure_leaves_what_was_there);
    tcase_add_loop_test(tests, the_device_that_auto_takes_agrees, 0, 6);
}
