/* SPDX-License-Identifier: Apache-2.0
 *
 * The tool's numbers against the formulas, computed here in double: the options reach the library, and the right one each.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support.h"

#define OUTER    5
#define CHANNELS 3
#define INNER    4
#define COUNT    (OUTER * CHANNELS * INNER)

typedef struct statistics {
    double mean[COUNT], var[COUNT];
    double n;
} statistics;

static float x[COUNT];
static float gamma_[COUNT], beta_[COUNT], running_mean[COUNT], running_var[COUNT];

static void put_all(void) {
    uint32_t state = 99;
    for (int i = 0; i < COUNT; i++) {
        state = state * 1664525U + 1013904223U;
        x[i] = (float)(state >> 8) * 0x1p-22F + (float)i;
        gamma_[i] = 1.0F + 0.25F * (float)i;
        beta_[i] = 0.5F - (float)i;
        running_mean[i] = (float)(3 * i);
        running_var[i] = 2.0F + (float)i;
    }
    put_floats("x.npy", "(5, 3, 4)", x, COUNT);
    put_floats("g.npy", "(3,)", gamma_, CHANNELS);
    put_floats("b.npy", "(3,)", beta_, CHANNELS);
    put_floats("rm.npy", "(3,)", running_mean, CHANNELS);
    put_floats("rv.npy", "(3,)", running_var, CHANNELS);
}

/* x as [outer][channels][inner] */
static statistics measure(int outer, int channels, int inner) {
    statistics s = {.n = outer * inner};
    for (int c = 0; c < channels; c++) {
        double sum = 0, squares = 0;
        for (int o = 0; o < outer; o++)
            for (int i = 0; i < inner; i++) sum += (double)x[(o * channels + c) * inner + i];
        s.mean[c] = sum / s.n;
        for (int o = 0; o < outer; o++)
            for (int i = 0; i < inner; i++) squares += pow((double)x[(o * channels + c) * inner + i] - s.mean[c], 2);
        s.var[c] = squares / s.n;
    }
    return s;
}

#define CLOSE(found, expected)                                                                                    \
    ck_assert_msg(fabs((double)(found) - (expected)) <= 4e-6 * fmax(1, fabs(expected)), "found %.9g, needs %.9g", \
                  (double)(found), (double)(expected))

static void check_channels(const char *name, const char *shape, const double *expected, int channels) {
    float found[COUNT];
    get_floats(name, shape, found, (size_t)channels);
    for (int c = 0; c < channels; c++) CLOSE(found[c], expected[c]);
}

static double inv_std(double var, double epsilon, int outside) {
    return outside ? 1 / (sqrt(var) + epsilon) : 1 / sqrt(var + epsilon);
}

static void check_y(const statistics *s, double epsilon, int outside) {
    float y[COUNT];
    get_floats("y.npy", "(5, 3, 4)", y, COUNT);
    for (int i = 0; i < COUNT; i++) {
        int c = i / INNER % CHANNELS;
        CLOSE(y[i], (double)gamma_[c] * ((double)x[i] - s->mean[c]) * inv_std(s->var[c], epsilon, outside) + (double)beta_[c]);
    }
}

#define TRAINING "normalize", "x.npy", "-o", "y.npy", "--gamma", "g.npy", "--beta", "b.npy", "--device", "cpu"

START_TEST(training_is_the_formula) {
    double s_inv[CHANNELS];
    put_all();
    statistics s = measure(OUTER, CHANNELS, INNER);
    OK(TRAINING, "--epsilon", "0.5", "--mean-out", "m.npy", "--var-out", "v.npy", "--inv-std-out", "s.npy");
    check_y(&s, 0.5, 0);
    check_channels("m.npy", "(3,)", s.mean, CHANNELS);
    check_channels("v.npy", "(3,)", s.var, CHANNELS);
    for (int c = 0; c < CHANNELS; c++) s_inv[c] = inv_std(s.var[c], 0.5, 0);
    check_channels("s.npy", "(3,)", s_inv, CHANNELS);
    OK(TRAINING, "--epsilon", "0.5", "--epsilon-rule", "outside");
    check_y(&s, 0.5, 1);
}
END_TEST

static const struct {
    const char *option, *value;
    double weight;
    int unbiased;
} updates[] = {
    {"--preset", "pytorch", 0.1, 1},      {"--preset", "tensorflow", 0.01, 0},      {"--preset", "onnx", 0.1, 0},
    {"--update-weight", "0.75", 0.75, 1}, {"--running-variance", "biased", 0.1, 0}, {"--update-weight", "1", 1, 1},
};

START_TEST(running_statistics_follow_weight_and_rule) {
    double mean[CHANNELS], var[CHANNELS];
    put_all();
    statistics s = measure(OUTER, CHANNELS, INNER);
    double w = updates[_i].weight;
    OK(TRAINING, updates[_i].option, updates[_i].value, "--running-mean", "rm.npy", "--running-var", "rv.npy",
       "--running-mean-out", "rm2.npy", "--running-var-out", "rv2.npy");
    for (int c = 0; c < CHANNELS; c++) {
        double batch = updates[_i].unbiased ? s.var[c] * s.n / (s.n - 1) : s.var[c];
        mean[c] = (1 - w) * (double)running_mean[c] + w * s.mean[c];
        var[c] = (1 - w) * (double)running_var[c] + w * batch;
    }
    check_channels("rm2.npy", "(3,)", mean, CHANNELS);
    check_channels("rv2.npy", "(3,)", var, CHANNELS);
    OK(TRAINING, updates[_i].option, updates[_i].value, "--running-mean-out", "rm2.npy", "--running-var-out", "rv2.npy");
    for (int c = 0; c < CHANNELS; c++) { /* the default: from mean 0, variance 1 */
        mean[c] -= (1 - w) * (double)running_mean[c];
        var[c] += (1 - w) * (1 - (double)running_var[c]);
    }
    check_channels("rm2.npy", "(3,)", mean, CHANNELS);
    check_channels("rv2.npy", "(3,)", var, CHANNELS);
}
END_TEST

START_TEST(inference_uses_the_running_statistics) {
    double s_inv[CHANNELS];
    statistics s = {.n = 1};
    put_all();
    for (int c = 0; c < CHANNELS; c++) {
        s.mean[c] = (double)running_mean[c];
        s.var[c] = (double)running_var[c];
        s_inv[c] = inv_std(s.var[c], 1e-3, 0);
    }
    OK(TRAINING, "--mode", "inference", "--preset", "keras", "--running-mean", "rm.npy", "--running-var", "rv.npy", "--mean-out",
       "m.npy", "--var-out", "v.npy", "--inv-std-out", "s.npy");
    check_y(&s, 1e-3, 0);
    check_channels("m.npy", "(3,)", s.mean, CHANNELS);
    check_channels("v.npy", "(3,)", s.var, CHANNELS);
    check_channels("s.npy", "(3,)", s_inv, CHANNELS);
    OK("normalize", "x.npy", "--mode", "inference", "--running-mean", "rm.npy", "--running-var", "rv.npy", "--inv-std-out",
       "s.npy", "--epsilon", "1e-3", "--device", "cpu");
    check_channels("s.npy", "(3,)", s_inv, CHANNELS);
}
END_TEST

static const struct {
    const char *axis;
    int outer, channels, inner;
    const char *shape;
} axes[] = {{"0", 1, 5, 12, "(5,)"},  {"1", 5, 3, 4, "(3,)"},   {"2", 15, 4, 1, "(4,)"},
            {"-1", 15, 4, 1, "(4,)"}, {"-3", 1, 5, 12, "(5,)"}, {"none", 1, 1, 60, "(1,)"}};

START_TEST(every_axis_is_its_own_channels) {
    put_all();
    statistics s = measure(axes[_i].outer, axes[_i].channels, axes[_i].inner);
    OK("moments", "x.npy", "--axis", axes[_i].axis, "--mean-out", "m.npy", "--var-out", "v.npy", "--device", "cpu");
    check_channels("m.npy", axes[_i].shape, s.mean, axes[_i].channels);
    check_channels("v.npy", axes[_i].shape, s.var, axes[_i].channels);
    OK("normalize", "x.npy", "--axis", axes[_i].axis, "--var-out", "v.npy", "--device", "cpu");
    check_channels("v.npy", axes[_i].shape, s.var, axes[_i].channels);
}
END_TEST

START_TEST(the_table_of_moments_names_columns) {
    put_text("x.csv", "length,width\n1,10\n3,30\n");
    const outcome *result = OK("moments", "x.csv", "--device", "cpu");
    const char *line = strstr(result->out, "channel");
    unsigned channel;
    char name[16];
    double mean, variance;
    ck_assert_ptr_nonnull(line);
    ck_assert_int_eq(sscanf(strchr(line, '\n') + 1, "%u %15s %lf %lf", &channel, name, &mean, &variance), 4);
    ck_assert(channel == 0 && strcmp(name, "length") == 0 && mean == 2 && variance == 1);
    result = OK("moments", "x.csv", "--device", "cpu", "--var-out", "v.csv");
    ck_assert_ptr_null(strstr(result->out, "channel"));
    ck_assert_str_eq(get_text("v.csv"), "1,100\n");
}
END_TEST

START_TEST(the_device_that_auto_takes_agrees_with_the_cpu) {
    float expected[COUNT], found[COUNT];
    put_all();
    OK(TRAINING);
    get_floats("y.npy", "(5, 3, 4)", expected, COUNT);
    OK("normalize", "x.npy", "-o", "z.npy", "--gamma", "g.npy", "--beta", "b.npy");
    get_floats("z.npy", "(5, 3, 4)", found, COUNT);
    for (int i = 0; i < COUNT; i++) CLOSE(found[i], (double)expected[i]);
}
END_TEST

void add_numbers(Suite *suite) {
    TCase *tests = add_case(suite, "numbers");
    tcase_add_test(tests, training_is_the_formula);
    tcase_add_loop_test(tests, running_statistics_follow_weight_and_rule, 0, (int)(sizeof updates / sizeof *updates));
    tcase_add_test(tests, inference_uses_the_running_statistics);
    tcase_add_loop_test(tests, every_axis_is_its_own_channels, 0, (int)(sizeof axes / sizeof *axes));
    tcase_add_test(tests, the_table_of_moments_names_columns);
    tcase_add_test(tests, the_device_that_auto_takes_agrees_with_the_cpu);
}
