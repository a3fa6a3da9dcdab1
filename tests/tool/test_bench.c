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

START_TEST(the_csv_is_a_header_and_rows_and_nothing_else) {
    check_csv("cpu");
}
END_TEST

START_TEST(the_csv_is_the_same_on_the_device_that_auto_takes) {
    check_csv("auto");
}
END_TEST

START_TEST(the_table_has_a_row_for_each_product) {
    const outcome *result = OK("bench", "--device", "cpu", "--seconds", "0.01", "--shape", "20x10", "--axis", "none");
    ck_assert_ptr_nonnull(strstr(result->out, "training   20x10"));
    ck_assert_ptr_nonnull(strstr(result->out, "inference  20x10"));
    ck_assert_ptr_nonnull(strstr(result->out, "none"));
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
    tcase_add_test(tests, the_table_has_a_row_for_each_product);
    tcase_add_test(tests, devices_lists_the_cpu_path_and_what_auto_chooses);
}
