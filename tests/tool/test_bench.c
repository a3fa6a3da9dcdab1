/* SPDX-License-Identifier: Apache-2.0
 *
 * bench and devices: the form of what they print, and that bench's numbers hold together.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support.h"

#define HEAD "op,shape,axis,dtype,device,variant,median_ms,min_ms,min_bytes,gbps,copy_gbps,copy_ratio"

static int commas(const char *line) {
    int count = 0;
    for (; *line && *line != '\n'; line++) count += *line == ',';
    return count;
}

static void check_row(const char *line, const char *begin, double bytes) {
    double median, minimum, min_bytes, gbps, copy, ratio;
    ck_assert_msg(strncmp(line, begin, strlen(begin)) == 0, "%s", line);
    const char *at = line;
    for (int field = 0; field < 6; field++) at = strchr(at, ',') + 1;
    ck_assert_int_eq(sscanf(at, "%lf,%lf,%lf,%lf,%lf,%lf", &median, &minimum, &min_bytes, &gbps, &copy, &ratio), 6);
    ck_assert(minimum > 0 && median >= minimum && copy > 0);
    ck_assert_double_eq(min_bytes, bytes);
    ck_assert_double_le(fabs(gbps - bytes / median * 1e-6), 1e-4 * gbps);
    ck_assert_double_le(fabs(ratio - gbps / copy), 1e-4 * ratio);
}

static void check_csv(const char *device) {
    const outcome *result = OK("bench", "--device", device, "--format", "csv", "--seconds", "0.02", "--shape", "64x33",
                               "--shape=2x3x5", "--op", "training", "--op", "inference");
    const char *line = result->out;
    ck_assert_msg(strncmp(line, HEAD, strlen(HEAD)) == 0, "%s", line);
    static const char *const begins[] = {"training,64x33,1,f32,", "inference,64x33,1,f32,", "training,2x3x5,1,f32,",
                                         "inference,2x3x5,1,f32,"};
    int columns = commas(line);
    for (int row = 0; row < 4; row++) {
        line = strchr(line, '\n') + 1;
        ck_assert_int_eq(commas(line), columns);
        check_row(line, begins[row], row < 2 ? 2.0 * 64 * 33 * 4 : 2.0 * 30 * 4);
    }
    ck_assert_str_eq(strchr(line, '\n'), "\n");
}

/* A row for each operation, in every type; what is counted is what must move. */
static void check_kinds(const char *device) {
    static const char *const types[] = {"f32", "f16", "bf16", "f64"};
    static const double bytes[] = {4, 2, 2, 8}, plain[] = {2, 2, 3}, fused[] = {3, 3, 5};
    static const char *const ops[] = {"training", "inference", "backward"};
    for (int t = 0; t < 4; t++) {
        for (int residual = 0; residual < 2; residual++) {
            const outcome *result = OK("bench", "--device", device, "--format=csv", "--seconds=0.005", "--shape=15x7", "--dtype",
                                       types[t], "--activation", "clip:0,6", residual ? "--residual" : "--axis=1");
            const char *line = result->out;
            int columns = commas(line);
            for (int op = 0; op < 3; op++) {
                char begin[64];
                line = strchr(line, '\n') + 1;
                snprintf(begin, sizeof begin, "%s,15x7,1,%s,", ops[op], types[t]);
                ck_assert_int_eq(commas(line), columns);
                check_row(line, begin, (residual ? fused : plain)[op] * 105 * bytes[t]);
            }
            ck_assert_str_eq(strchr(line, '\n'), "\n");
            ck_assert_ptr_nonnull(strstr(line, residual ? "clip:0 6,yes" : "clip:0 6,no"));
        }
    }
}

START_TEST(the_csv_is_a_header_and_rows_and_nothing_else) {
    check_csv("cpu");
}
END_TEST

START_TEST(the_csv_is_the_same_on_the_device_that_auto_takes) {
    check_csv("auto");
}
END_TEST

START_TEST(every_type_and_operation_has_its_bytes) {
    check_kinds("cpu");
}
END_TEST

START_TEST(every_type_and_operation_runs_on_the_device_that_auto_takes) {
    check_kinds("auto");
}
END_TEST

START_TEST(the_table_has_a_row_for_each_product) {
    const outcome *result = OK("bench", "--device", "cpu", "--seconds", "0.01", "--shape", "20x10", "--axis", "none");
    ck_assert_ptr_nonnull(strstr(result->out, "training   20x10"));
    ck_assert_ptr_nonnull(strstr(result->out, "inference  20x10"));
    ck_assert_ptr_nonnull(strstr(result->out, "backward   20x10"));
    ck_assert_ptr_nonnull(strstr(result->out, "none"));
    result = OK("bench", "--device=cpu", "--seconds=0.01", "--shape=20x10", "--activation=relu", "--residual", "--op=backward");
    ck_assert_ptr_nonnull(strstr(result->out, "with the activation relu, a residual"));
    ck_assert_ptr_null(strstr(result->out, "training   "));
}
END_TEST

START_TEST(devices_lists_the_cpu_path_and_what_auto_chooses) {
    const outcome *result = OK("devices");
    ck_assert_ptr_nonnull(strstr(result->out, "cpu path"));
    ck_assert_ptr_nonnull(strstr(result->out, "auto chooses "));
}
END_TEST

void add_bench(Suite *suite) {
    TCase *tests = add_case(suite, "bench");
    tcase_add_test(tests, the_csv_is_a_header_and_rows_and_nothing_else);
    tcase_add_test(tests, the_csv_is_the_same_on_the_device_that_auto_takes);
    tcase_add_test(tests, every_type_and_operation_has_its_bytes);
    tcase_add_test(tests, every_type_and_operation_runs_on_the_device_that_auto_takes);
    tcase_add_test(tests, the_table_has_a_row_for_each_product);
    tcase_add_test(tests, devices_lists_the_cpu_path_and_what_auto_chooses);
}
