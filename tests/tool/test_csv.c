/* SPDX-License-Identifier: Apache-2.0
 *
 * .csv files through the tool: gamma 0 and beta b write b, so that reading and writing are seen apart from arithmetic.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support.h"

/* The mean of each column of a csv, which tells what was read. */
static void means(const char *text, float *mean, size_t columns) {
    char shape[16];
    put_text("x.csv", text);
    OK("moments", "x.csv", "--mean-out", "m.npy", "--device", "cpu");
    snprintf(shape, sizeof shape, "(%zu,)", columns);
    get_floats("m.npy", shape, mean, columns);
}

START_TEST(rows_are_read_whatever_ends_them) {
    static const char *const same[] = {"1,2\n3,4\n",
                                       "1,2\n3,4",
                                       "1,2\r\n3,4\r\n",
                                       "1,2\r\n3,4",
                                       " 1 ,\t2 \n3 , 4\n",
                                       "1,2\r3,4\r",
                                       "a,b\n1,2\n3,4\n",
                                       "\"a\",\"b\"\r\n1,2\r\n3,4\r\n",
                                       "\357\273\2771,2\n3,4\n",
                                       "1,2\n3,4\n\n\n",
                                       "\"1\",2\n3,\"4\"\n",
                                       "1,b\n1,2\n3,4\n",
                                       "\"a\nb\",c\n1,2\n3,4\n",
                                       "+1.0,2e0\n3.,.4e1\n",
                                       "1,2\n3,4\r\n\r\n"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        float mean[2];
        means(same[i], mean, 2);
        ck_assert_msg(mean[0] == 2.0F && mean[1] == 3.0F, "%s: %g %g", same[i], (double)mean[0], (double)mean[1]);
    }
}
END_TEST

START_TEST(nan_and_inf_are_numbers) {
    float mean[3];
    means("nan,inf,1\nNaN,-INFINITY,2\n", mean, 3);
    ck_assert_float_nan(mean[0]);
    ck_assert_float_eq(mean[2], 1.5F); /* and the first line was no header */
}
END_TEST

static const struct {
    const char *text;
    const char *words;
} bad[] = {
    {"", "no numbers"},
    {"\n\n", "no numbers"},
    {"1,2\n3\n", "line 2|1 fields"},
    {"1,2\n3,4,5\n", "line 2|3 fields"},
    {"1,2\n3,\n", "line 2|field 2|empty"},
    {"1,2\n,4\n", "line 2|field 1|empty"},
    {"1,,3\n", "line 1|field 2|empty"},
    {"a,b\n1,\"\"\n", "line 2|field 2|empty"},
    {"1,2\n\n3,4\n", "line 2|empty"},
    {"1,2\r\n\r\n3,4\r\n", "line 2|empty"},
    {"a,b\n1,2\n3,four\n", "line 3|field 2|'four'"},
    {"1,2\r\n3,0x10\r\n", "line 2|field 2|'0x10'"},
    {"1,2\n3,1e99\n", "line 2|field 2|1e99|float32"},
    {"1,2\n3,4 5\n", "line 2|'4 5'"},
    {"1;2\n3;4\n", "line 2|'3;4'"},
    {"1,2\n3,\"4\n", "line 2|quote"},
    {"1,2\n3,4\"5\n", "line 2|quote"},
    {"\"a\nb\",c\n1,x\n", "line 3|'x'"},
};

START_TEST(a_bad_line_is_named) {
    char words[128];
    put_text("x.csv", bad[_i].text);
    put_text("y.csv", "old\n");
    snprintf(words, sizeof words, "x.csv: |%s", bad[_i].words);
    REFUSED(2, words, "normalize", "x.csv", "-o", "y.csv", "--device", "cpu");
}
END_TEST

START_TEST(a_zero_byte_is_refused) {
    put_bytes("x.csv", "1,2\n3,4\0\n", 9);
    REFUSED(2, "x.csv|line 2|zero byte", "moments", "x.csv", "--device", "cpu");
}
END_TEST

START_TEST(y_keeps_the_header_and_the_row_form) {
    put_text("x.csv", "a , \"b,c\",\"say \"\"d\"\"\"\r\n1,2,3\r\n3,4,9\r\n");
    put_text("g.csv", "0,0,0\n");
    put_text("b.csv", "0.1,-2e10,16777217\n");
    OK("normalize", "x.csv", "-o", "y.csv", "--gamma", "g.csv", "--beta", "b.csv", "--mean-out", "m.csv", "--device", "cpu");
    ck_assert_str_eq(get_text("y.csv"),
                     "a,\"b,c\",\"say \"\"d\"\"\"\n0.100000001,-2e+10,16777216\n0.100000001,-2e+10,16777216\n");
    ck_assert_str_eq(get_text("m.csv"), "2,3,6\n");
}
END_TEST

START_TEST(what_was_written_is_read_back_to_the_bit) {
    float written[64], read[64];
    uint32_t state = 7;
    for (int i = 0; i < 64; i++) {
        state = state * 1664525U + 1013904223U;
        written[i] = ldexpf((float)(state >> 8), (int)(state % 200) - 120);
    }
    written[5] = INFINITY;
    written[6] = -INFINITY;
    written[7] = -NAN;
    put_floats("x.npy", "(1, 64)", written, 64);
    put_floats("b.npy", "(64,)", written, 64);
    /* One value a channel: y is beta. */
    OK("normalize", "x.npy", "-o", "y.csv", "--beta", "b.npy", "--device", "cpu", "--mode", "inference", "--running-mean",
       "x.npy", "--running-var", "x.npy", "--mean-out", "mean.csv");
    OK("normalize", "x.npy", "-o", "z.npy", "--device", "cpu", "--mode", "inference", "--running-mean", "mean.csv",
       "--running-var", "x.npy", "--mean-out", "mean.npy");
    get_floats("mean.npy", "(64,)", read, 64);
    for (int i = 0; i < 64; i++)
        ck_assert_msg(isnan(written[i]) ? isnan(read[i]) : written[i] == read[i], "%d: %.9g %.9g", i, (double)written[i],
                      (double)read[i]);
    ck_assert_ptr_nonnull(strstr(get_text("mean.csv"), ",inf,-inf,nan,"));
}
END_TEST

START_TEST(csv_holds_rows_and_columns_only) {
    static const float values[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    put_floats("x.npy", "(2, 2, 2)", values, 8);
    REFUSED(2, "-o y.csv|2x2x2", "normalize", "x.npy", "-o", "y.csv", "--device", "cpu");
    put_floats("x.npy", "(0, 2)", values, 0);
    REFUSED(2, "-o y.csv|0x2", "normalize", "x.npy", "-o", "y.csv", "--device", "cpu");
    put_text("x.csv", "a,b\n");
    OK("normalize", "x.csv", "-o", "y.csv", "--device", "cpu");
    ck_assert_str_eq(get_text("y.csv"), "a,b\n");
}
END_TEST

START_TEST(a_wide_and_a_long_file_come_through) {
    FILE *stream = fopen("x.csv", "w");
    for (int row = 0; row < 3; row++)
        for (int c = 0; c < 3000; c++) fprintf(stream, "%d%c", c, c == 2999 ? '\n' : ',');
    fclose(stream);
    OK("normalize", "x.csv", "--mean-out", "m.csv", "--device", "cpu");
    ck_assert_ptr_nonnull(strstr(get_text("m.csv"), ",2998,2999\n"));
    stream = fopen("x.csv", "w");
    for (int row = 0; row < 300000; row++) fprintf(stream, "%d , %d\r\n", row % 2, 5);
    fclose(stream);
    OK("normalize", "x.csv", "--mean-out", "m.csv", "--device", "cpu");
    ck_assert_str_eq(get_text("m.csv"), "0.5,5\n");
}
END_TEST

void add_csv(Suite *suite) {
    TCase *tests = add_case(suite, "csv");
    tcase_add_test(tests, rows_are_read_whatever_ends_them);
    tcase_add_test(tests, nan_and_inf_are_numbers);
    tcase_add_loop_test(tests, a_bad_line_is_named, 0, (int)(sizeof bad / sizeof *bad));
    tcase_add_test(tests, a_zero_byte_is_refused);
    tcase_add_test(tests, y_keeps_the_header_and_the_row_form);
    tcase_add_test(tests, what_was_written_is_read_back_to_the_bit);
    tcase_add_test(tests, csv_holds_rows_and_columns_only);
    tcase_add_test(tests, a_wide_and_a_long_file_come_through);
}
