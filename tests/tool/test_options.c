/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line: what is taken, in which order, and what each misuse is answered with.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

static const float six[] = {1, 2, 3, 4, 5, 9};

static void put_x(void) {
    put_floats("x.npy", "(2, 3)", six, 6);
    put_floats("three.npy", "(3,)", six, 3);
    put_floats("two.npy", "(2,)", six, 2);
    put_text("y.npy", "old");
}

#define N "normalize", "x.npy", "-o", "y.npy"
#define B "backward", "x.npy", "x.npy", "--dx", "y.npy"

static const struct {
    int status;
    const char *words;
    const char *arguments[10];
} misuse[] = {
    {2, "usage", {NULL}},
    {2, "'norm' is no command", {"norm"}},
    {2, "'--axis' is no command", {"--axis", "1"}},
    {2, "X is absent", {"normalize", "-o", "y.npy"}},
    {2, "X is absent", {"moments"}},
    {2, "no output", {"normalize", "x.npy"}},
    {2, "'z.npy' is left over", {N, "z.npy"}},
    {2, "'x.npy' is left over", {"devices", "x.npy"}},
    {2, "'x.npy' is left over", {"bench", "x.npy"}},
    {2, "--colour is no option", {N, "--colour", "red"}},
    {2, "-q is no option", {N, "-q"}},
    {2, "--dx is no option of normalize", {N, "--dx", "d.npy"}},
    {2, "--gamma is no option of moments", {"moments", "x.npy", "--gamma", "three.npy"}},
    {2, "--axis is no option of devices", {"devices", "--axis", "1"}},
    {2, "-o is no option of moments", {"moments", "x.npy", "-o", "y.npy"}},
    {2, "--shape is no option of normalize", {N, "--shape", "2x3"}},
    {2, "--axis is given twice", {N, "--axis", "1", "--axis=1"}},
    {2, "-o is given twice", {N, "-o", "z.npy"}},
    {2, "--axis needs a value", {N, "--axis"}},
    {2, "--gamma needs a value|--beta", {N, "--gamma", "--beta", "three.npy"}},
    {2, "--gamma needs a value", {N, "--gamma="}},
    {2, "--axis holds 'one'", {N, "--axis", "one"}},
    {2, "--axis holds '1.0'", {N, "--axis", "1.0"}},
    {2, "--axis holds '99999999999'", {N, "--axis", "99999999999"}},
    {2, "--axis 2 is out of range|x.npy|2x3", {N, "--axis", "2"}},
    {2, "--axis -3 is out of range|x.npy", {N, "--axis", "-3"}},
    {2, "--axis 1 (the default) is out of range|two.npy has 1 dimension", {"moments", "two.npy"}},
    {2, "--epsilon holds '-1e-5'|from 0 on", {N, "--epsilon", "-1e-5"}},
    {2, "--epsilon holds 'nan'", {N, "--epsilon", "nan"}},
    {2, "--epsilon holds 'inf'", {N, "--epsilon=inf"}},
    {2, "--epsilon holds '1e-5x'", {N, "--epsilon", "1e-5x"}},
    {2, "--epsilon holds '1e999'", {N, "--epsilon", "1e999"}},
    {2, "--epsilon holds '1,5'", {N, "--epsilon", "1,5"}},
    {2, "--epsilon-rule holds 'middle'", {N, "--epsilon-rule", "middle"}},
    {2, "--update-weight holds '1.5'", {N, "--update-weight", "1.5"}},
    {2, "--update-weight holds '-0.1'", {N, "--update-weight", "-0.1"}},
    {2, "--running-variance holds 'none'", {N, "--running-variance", "none"}},
    {2, "--preset holds 'caffe'", {N, "--preset", "caffe"}},
    {2, "--mode holds 'eval'", {N, "--mode", "eval"}},
    {2, "--running-mean is absent", {N, "--mode", "inference"}},
    {2, "--running-var is absent", {N, "--mode", "inference", "--running-mean", "three.npy"}},
    {2, "--device holds 'gpu'", {N, "--device", "gpu"}},
    {2, "--device holds '0:'", {N, "--device", "0:"}},
    {2, "--device holds '0:0x'", {N, "--device", "0:0x"}},
    {2, "--device holds '-1:0'", {N, "--device", "-1:0"}},
    {1, "--device 9:9", {N, "--device", "9:9"}},
    {2, "--gamma two.npy|2 values|needs 3", {N, "--gamma", "two.npy"}},
    {2, "--beta x.npy|6 values|needs 3", {N, "--beta", "x.npy"}},
    {2, "--running-mean two.npy|needs 3", {N, "--running-mean", "two.npy"}},
    {2, "--running-var none.npy|No such file", {N, "--running-var", "none.npy"}},
    {2, "--gamma three.npy|3 values|needs 1", {N, "--gamma", "three.npy", "--axis", "none"}},
    {2, "--epsilon holds '1e-40'|1.2e-38", {N, "--epsilon", "1e-40"}},
    {2, "--epsilon holds '1e39'|3.4e38", {N, "--epsilon", "1e39"}},
    {2, "'x' is left over: verify takes no file", {"verify", "x"}},
    {2, "--json takes no value", {"verify", "--json=1"}},
    {2, "--thorough is given twice", {"verify", "--thorough", "--thorough"}},
    {2, "--axis is no option of verify", {"verify", "--axis", "1"}},
    {2, "--variant holds 'planes', needs one of alone-fused-columns", {"bench", "--variant", "planes"}},
    {2, "--seconds holds '0'", {"verify", "--seconds", "0"}},
    {2, "--json is no option of bench", {"bench", "--json"}},
    {2, "--device", {"verify", "--device", "x:y"}},
    {1, "--device 98:7", {"verify", "--device", "98:7"}},
    {2, "--activation holds 'tanh'|needs identity, relu", {N, "--activation", "tanh"}},
    {2, "--activation holds 'reluctant'", {N, "--activation", "reluctant"}},
    {2, "--activation holds 'relu:1'", {N, "--activation", "relu:1"}},
    {2, "--activation holds 'leaky-relu'", {N, "--activation", "leaky-relu"}},
    {2, "--activation holds 'leaky-relu:'|slope", {N, "--activation", "leaky-relu:"}},
    {2, "--activation holds 'leaky-relu:x'|slope", {B, "--activation", "leaky-relu:x"}},
    {2, "--activation holds 'leaky-relu:inf'|finite", {N, "--activation", "leaky-relu:inf"}},
    {2, "--activation holds 'leaky-relu:1e39'|finite", {N, "--activation", "leaky-relu:1e39"}},
    {2, "--activation holds 'clip'", {N, "--activation", "clip"}},
    {2, "--activation holds 'clip:6'|two numbers", {N, "--activation=clip:6"}},
    {2, "--activation holds 'clip:6,0'|not above", {B, "--activation=clip:6,0"}},
    {2, "--activation holds 'clip:0,6,7'", {N, "--activation=clip:0,6,7"}},
    {2, "--activation holds 'clip:,6'", {N, "--activation=clip:,6"}},
    {2, "--activation holds 'clip:nan,6'", {"bench", "--activation=clip:nan,6"}},
    {2, "--activation is given twice", {N, "--activation=relu", "--activation=silu"}},
    {2, "--activation is no option of moments", {"moments", "x.npy", "--activation", "relu"}},
    {2, "--residual three.npy|3, needs 2x3|x.npy", {N, "--residual", "three.npy"}},
    {2, "--residual none.npy|No such file", {N, "--residual", "none.npy"}},
    {2, "--residual needs a value", {N, "--residual"}},
    {2, "X is absent", {"backward", "--dx", "d.npy"}},
    {2, "DY is absent", {"backward", "x.npy", "--dx", "d.npy"}},
    {2, "DY is an empty name", {"backward", "x.npy", "", "--dx", "d.npy"}},
    {2, "'z.npy' is left over|two files", {B, "z.npy"}},
    {2, "backward names no output|--dx", {"backward", "x.npy", "x.npy"}},
    {2, "--residual is absent|--dresidual", {"backward", "x.npy", "x.npy", "--dresidual", "d.npy"}},
    {2, "-o is no option of backward", {B, "-o", "y.npy"}},
    {2, "--mean-out is no option of backward", {B, "--mean-out", "m.npy"}},
    {2, "--running-mean-out is no option of backward", {B, "--running-mean-out", "m.npy"}},
    {2, "--dgamma is no option of normalize", {N, "--dgamma", "d.npy"}},
    {2, "--dgamma is no option of bench", {"bench", "--dgamma", "d.npy"}},
    {2, "three.npy|has the shape 3, needs 2x3, that of x.npy", {"backward", "x.npy", "three.npy", "--dx", "d.npy"}},
    {2, "none.npy|No such file", {"backward", "x.npy", "none.npy", "--dx", "d.npy"}},
    {2, "--residual two.npy|2, needs 2x3", {B, "--residual", "two.npy"}},
    {2, "--gamma two.npy|2 values|needs 3", {B, "--gamma", "two.npy"}},
    {2, "--running-mean is absent", {B, "--mode", "inference"}},
    {2, "--running-var is absent", {B, "--mode", "inference", "--running-mean", "three.npy"}},
    {2, "--axis 2 is out of range|x.npy|2x3", {B, "--axis", "2"}},
    {2, "--dgamma d.txt|.npy or .csv", {B, "--dgamma", "d.txt"}},
    {2, "--dgamma ./y.npy|--dx y.npy|same file", {B, "--dgamma", "./y.npy"}},
    {1, "--dgamma none/d.npy", {B, "--dgamma", "none/d.npy"}},
    {1, "--device 9:9", {B, "--device", "9:9"}},
    {2, "--residual takes no value", {"bench", "--residual=r.npy"}},
    {2, "--dtype holds 'int8'", {"bench", "--dtype", "int8"}},
    {2, "--dtype is no option of normalize", {N, "--dtype", "f16"}},
    {2, "--op holds 'forward'", {"bench", "--op", "forward"}},
    {2, "--shape holds '0x3'", {"bench", "--shape", "0x3"}},
    {2, "--shape holds '3x'", {"bench", "--shape", "3x"}},
    {2, "--shape holds 'x3'", {"bench", "--shape", "x3"}},
    {2, "--shape holds '3,4'", {"bench", "--shape", "3,4"}},
    {2, "--shape holds '1x1x1x1x1x1x1x1x1'", {"bench", "--shape", "1x1x1x1x1x1x1x1x1"}},
    {2, "--shape holds '4294967296x4294967296'|overflows", {"bench", "--shape", "4294967296x4294967296"}},
    {2, "--axis 2 is out of range|--shape 3x4", {"bench", "--shape", "3x4", "--axis", "2"}},
    {2, "--variant holds 'planes', needs one of alone-fused-columns", {"bench", "--variant", "planes"}},
    {2, "--seconds holds '0'", {"bench", "--seconds", "0"}},
    {2, "--seconds holds 'x'", {"bench", "--seconds", "x"}},
    {2, "--format holds 'json'", {"bench", "--format", "json"}},
    {2, "'now' is left over", {"--version", "now"}},
};

START_TEST(a_misuse_gets_its_status_and_one_line) {
    const char *const *a = misuse[_i].arguments;
    put_x();
    REFUSED(misuse[_i].status, misuse[_i].words, a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9]);
}
END_TEST

START_TEST(training_only_outputs_are_refused_in_inference) {
    put_x();
    REFUSED(2, "--running-mean-out|training", N, "--mode=inference", "--running-mean=three.npy", "--running-var=three.npy",
            "--running-mean-out", "o.npy");
    REFUSED(2, "--running-var-out|training", N, "--mode=inference", "--running-mean=three.npy", "--running-var=three.npy",
            "--running-var-out", "o.npy");
}
END_TEST

START_TEST(help_and_version_go_to_standard_output) {
    static const char *const words[] = {"normalize", "--running-variance", "--gamma", "bench", "--shape", "exit status"};
    const char *const calls[] = {"help", "--help", "-h"};
    for (int i = 0; i < 3; i++) {
        const outcome *result = OK(calls[i]);
        for (size_t w = 0; w < sizeof words / sizeof *words; w++) ck_assert_ptr_nonnull(strstr(result->out, words[w]));
    }
    const outcome *result = OK("moments", "--help");
    ck_assert_ptr_nonnull(strstr(result->out, "--mean-out"));
    ck_assert_ptr_null(strstr(result->out, "--gamma"));
    result = OK("backward", "--help");
    ck_assert_ptr_nonnull(strstr(result->out, "clbn backward   X DY"));
    ck_assert_ptr_nonnull(strstr(result->out, "--dresidual F"));
    ck_assert_ptr_nonnull(strstr(result->out, "clip:LOW,HIGH"));
    ck_assert_ptr_null(strstr(result->out, "--mean-out"));
    ck_assert_ptr_nonnull(strstr(OK("bench", "-h")->out, "bf16"));
    ck_assert_int_eq(strncmp(OK("--version")->out, "clbn ", 5), 0);
}
END_TEST

START_TEST(options_stand_anywhere_and_in_both_forms) {
    float first[6], other[6];
    put_x();
    OK(N, "--axis", "-1", "--device", "cpu", "--epsilon", "0.5");
    get_floats("y.npy", "(2, 3)", first, 6);
    OK("normalize", "--epsilon=0.5", "--axis=-1", "-o", "z.npy", "--device=cpu", "x.npy");
    get_floats("z.npy", "(2, 3)", other, 6);
    ck_assert_mem_eq(first, other, sizeof first);
    OK("normalize", "--epsilon=5e-1", "-o", "z.npy", "--device=cpu", "--", "x.npy");
    get_floats("z.npy", "(2, 3)", other, 6);
    ck_assert_mem_eq(first, other, sizeof first);
}
END_TEST

START_TEST(an_explicit_option_wins_over_the_preset_wherever_it_stands) {
    float first[6], other[6], plain[6];
    put_x();
    OK(N, "--device", "cpu", "--epsilon", "0.25");
    get_floats("y.npy", "(2, 3)", plain, 6);
    OK(N, "--device", "cpu", "--epsilon", "0.25", "--preset", "tensorflow");
    get_floats("y.npy", "(2, 3)", first, 6);
    OK(N, "--device", "cpu", "--preset", "tensorflow", "--epsilon", "0.25");
    get_floats("y.npy", "(2, 3)", other, 6);
    ck_assert_mem_eq(first, other, sizeof first);
    ck_assert_mem_eq(first, plain, sizeof first);
    OK(N, "--device", "cpu", "--preset", "tensorflow");
    get_floats("y.npy", "(2, 3)", other, 6);
    ck_assert_mem_ne(first, other, sizeof first);
    OK(N, "--device", "cpu", "--preset", "keras");
    get_floats("y.npy", "(2, 3)", first, 6);
    ck_assert_mem_eq(first, other, sizeof first);
}
END_TEST

START_TEST(a_line_stays_one_line_whatever_a_name_holds) {
    REFUSED(2, "no such.npy", "moments", "no\nsuch.npy");
    REFUSED(2, "is no option", "moments", "--two\nlines");
}
END_TEST

START_TEST(notes_name_the_device_and_the_time) {
    put_x();
    const outcome *result = OK(N, "--device", "cpu");
    ck_assert_ptr_nonnull(strstr(result->out, "device: cpu"));
    ck_assert_ptr_nonnull(strstr(result->out, "time: "));
    ck_assert_ptr_nonnull(strstr(OK(N)->out, "device: "));
}
END_TEST

START_TEST(without_a_driver_auto_takes_the_cpu_path_and_opencl_is_not_there) {
    char folder[4096], old[4096] = "";
    put_x();
    if (getenv("OCL_ICD_VENDORS")) snprintf(old, sizeof old, "%s", getenv("OCL_ICD_VENDORS"));
    ck_assert_ptr_nonnull(getcwd(folder, sizeof folder));
    setenv("OCL_ICD_VENDORS", folder, 1); /* no .icd file lies here */
    const outcome *result = OK(N);
    ck_assert_ptr_nonnull(strstr(result->out, "note: "));
    ck_assert_ptr_nonnull(strstr(result->out, "device: cpu"));
    REFUSED(1, "--device opencl", N, "--device", "opencl");
    REFUSED(1, "--device 0:0", "bench", "--device", "0:0");
    REFUSED(1, "CPU path has no variants", "bench", "--device=cpu", "--variant=alone-split-planes");
    if (old[0])
        setenv("OCL_ICD_VENDORS", old, 1);
    else
        unsetenv("OCL_ICD_VENDORS");
}
END_TEST

/* Of a run whose only device has none (rusticl's llvmpipe). */
START_TEST(without_fp64_auto_takes_the_cpu_path_and_a_named_device_is_status_1) {
    static const double wide[] = {1, 2, 3, 4, 5, 9};
    double y[6], z[6];
    put_x();
    put_values("w.npy", "<f8", "(2, 3)", wide, 6);
    OK("normalize", "w.npy", "-o", "z.npy", "--device", "cpu");
    const outcome *result = OK("normalize", "w.npy", "-o", "y.npy");
    ck_assert_msg(strstr(result->out, "no fp64, which w.npy of <f8 needs") != NULL, "%s", result->out);
    ck_assert_ptr_nonnull(strstr(result->out, "device: cpu, "));
    get_values("y.npy", "<f8", "(2, 3)", y, 6);
    get_values("z.npy", "<f8", "(2, 3)", z, 6);
    ck_assert_mem_eq(y, z, sizeof y);
    ck_assert_ptr_nonnull(strstr(OK("backward", "w.npy", "w.npy", "--dx", "y.npy")->out, "device: cpu, "));
    ck_assert_ptr_nonnull(strstr(OK("moments", "w.npy")->out, "device: cpu, "));
    ck_assert_ptr_null(strstr(OK("moments", "x.npy")->out, "device: cpu, "));
    REFUSED(1, "--device opencl|no fp64|w.npy", "normalize", "w.npy", "-o", "y.npy", "--device", "opencl");
    REFUSED(1, "--device 0:0|no fp64|w.npy", "backward", "w.npy", "w.npy", "--dx", "y.npy", "--device", "0:0");
    REFUSED(1, "--device 0:0|no fp64|--dtype f64", "bench", "--shape", "4x4", "--dtype", "f64", "--device", "0:0");
    result = OK("bench", "--shape", "4x4", "--dtype", "f64", "--format", "csv", "--seconds", "0.01", "--op", "inference");
    ck_assert_ptr_nonnull(strstr(result->out, ",f64,cpu "));
    ck_assert_int_eq(strncmp(result->out, "op,shape", 8), 0);
}
END_TEST

START_TEST(a_full_standard_output_is_a_failure) {
    char command[8192];
    put_x();
    snprintf(command, sizeof command, "%s moments x.npy --device cpu > /dev/full 2> err", CLBN_TOOL_PATH);
    ck_assert_int_eq(system(command) >> 8, 1);
    ck_assert_int_eq(strncmp(get_text("err"), "clbn: standard output", 21), 0);
}
END_TEST

void add_options(Suite *suite) {
    TCase *tests = add_case(suite, "options");
    tcase_add_loop_test(tests, a_misuse_gets_its_status_and_one_line, 0, (int)(sizeof misuse / sizeof *misuse));
    tcase_add_test(tests, training_only_outputs_are_refused_in_inference);
    tcase_add_test(tests, help_and_version_go_to_standard_output);
    tcase_add_test(tests, options_stand_anywhere_and_in_both_forms);
    tcase_add_test(tests, an_explicit_option_wins_over_the_preset_wherever_it_stands);
    tcase_add_test(tests, a_line_stays_one_line_whatever_a_name_holds);
    tcase_add_test(tests, notes_name_the_device_and_the_time);
    tcase_add_test(tests, without_a_driver_auto_takes_the_cpu_path_and_opencl_is_not_there);
    tcase_add_test(tests, a_full_standard_output_is_a_failure);
    if (!getenv("CLBN_TEST_NO_FP64")) return;
    tests = add_case(suite, "without-fp64");
    tcase_add_test(tests, without_fp64_auto_takes_the_cpu_path_and_a_named_device_is_status_1);
}
