/* SPDX-License-Identifier: Apache-2.0
 *
 * .npy files through the tool: what is read, what is written, and what each lie in a header is answered with.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

static const float six[] = {1, 2, 3, 4, 5, 6};
#define DICT(descr, order, shape) "{'descr': " descr ", 'fortran_order': " order ", 'shape': " shape ", }"

START_TEST(all_three_formats_are_read) {
    for (int major = 1; major <= 3; major++) {
        float y[6];
        put_npy("x.npy", major, DICT("'<f4'", "False", "(2, 3)"), six, sizeof six);
        OK("normalize", "x.npy", "-o", "y.npy", "--device", "cpu", "--epsilon", "0");
        get_floats("y.npy", "(2, 3)", y, 6);
        for (int i = 0; i < 6; i++) ck_assert_float_eq(y[i], i < 3 ? -1.0F : 1.0F);
    }
}
END_TEST

START_TEST(a_vector_is_written_as_one) {
    float y[3];
    put_floats("x.npy", "(3,)", six, 3);
    OK("normalize", "x.npy", "-o", "y.npy", "--mean-out=m.npy", "--axis", "none", "--device", "cpu");
    get_floats("y.npy", "(3,)", y, 3);
    get_floats("m.npy", "(1,)", y, 1);
    ck_assert_float_eq(y[0], 2.0F);
}
END_TEST

START_TEST(per_channel_files_may_be_of_any_type_and_shape) {
    static const double wide[] = {1, 2, 3};
    static const uint16_t narrow[] = {0x3c00, 0x4000, 0x4200}; /* 1 2 3 */
    float y[6], z[6];
    put_floats("x.npy", "(2, 3)", six, 6);
    put_floats("f4.npy", "(3,)", six, 3);
    put_npy("f8.npy", 1, DICT("'<f8'", "False", "(1, 3, 1)"), wide, sizeof wide);
    put_npy("f2.npy", 1, DICT("'<f2'", "False", "(3, 1)"), narrow, sizeof narrow);
    put_text("c.csv", "1,2,3\n");
    OK("normalize", "x.npy", "-o", "y.npy", "--gamma", "f4.npy", "--beta", "f4.npy", "--device", "cpu");
    OK("normalize", "x.npy", "-o", "z.npy", "--gamma", "f8.npy", "--beta", "f2.npy", "--device", "cpu");
    get_floats("y.npy", "(2, 3)", y, 6);
    get_floats("z.npy", "(2, 3)", z, 6);
    ck_assert_mem_eq(y, z, sizeof y);
    OK("normalize", "x.npy", "-o", "z.npy", "--gamma", "c.csv", "--beta", "f4.npy", "--device", "cpu");
    get_floats("z.npy", "(2, 3)", z, 6);
    ck_assert_mem_eq(y, z, sizeof y);
}
END_TEST

static const struct {
    const char *dict;
    const char *words;
} lies[] = {
    {DICT("'<f4'", "False", "(2, 4)"), "cut short|2x4|32 bytes|24"},
    {DICT("'<f4'", "False", "(5,)"), "left over|20 bytes|24"},
    {DICT("'<f8'", "False", "(2, 3)"), "cut short|<f8"},
    {DICT("'<f4'", "True", "(2, 3)"), "fortran_order|C order"},
    {DICT("'<f4'", "false", "(2, 3)"), "fortran_order"},
    {DICT("'<f4'", "0", "(2, 3)"), "fortran_order"},
    {DICT("'>f4'", "False", "(2, 3)"), ">f4"},
    {DICT("'<i4'", "False", "(2, 3)"), "<i4|needs <f2, <f4 or <f8"},
    {DICT("'|O'", "False", "(2, 3)"), "|O"},
    {DICT("[('a', '<f4')]", "False", "(6,)"), "descr"},
    {DICT("'<f4'", "False", "()"), "0 dimensions"},
    {DICT("'<f4'", "False", "(6)"), "tuple"},
    {DICT("'<f4'", "False", "6"), "shape"},
    {DICT("'<f4'", "False", "(2 3)"), "shape"},
    {DICT("'<f4'", "False", "(2, -3)"), "shape"},
    {DICT("'<f4'", "False", "(2, 3.0)"), "shape"},
    {DICT("'<f4'", "False", "(1, 1, 1, 1, 1, 1, 1, 2, 3)"), "more than 8"},
    {DICT("'<f4'", "False", "(4294967296, 4294967296)"), "4294967296x4294967296|overflows"},
    {DICT("'<f4'", "False", "(4611686018427387904, 4)"), "overflows"},
    {DICT("'<f4'", "False", "(0, 4611686018427387904, 4)"), "overflows"},
    {DICT("'<f4'", "False", "(99999999999999999999,)"), "overflows"},
    {DICT("'<f4'", "False", "(1000000000000,)"), "cut short"},
    {"{'descr': '<f4', 'fortran_order': False}", "'shape'"},
    {"{'descr': '<f4', 'shape': (2, 3)}", "'fortran_order'"},
    {"{'fortran_order': False, 'shape': (2, 3)}", "'descr'"},
    {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}", "twice"},
    {"{'descr': '<f4', 'order': 1, 'fortran_order': False, 'shape': (2, 3)}", "unknown key 'order'"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)", "}"},
    {"{'descr': '<f4' 'fortran_order': False, 'shape': (2, 3)}", ","},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)} + evil", "after the dict"},
    {"", "{"},
};

START_TEST(a_header_that_lies_is_refused_in_a_sentence) {
    put_text("y.npy", "old");
    put_npy("x.npy", 1 + _i % 3, lies[_i].dict, six, sizeof six);
    char words[256];
    snprintf(words, sizeof words, "x.npy: |%s", lies[_i].words[0] == '|' ? lies[_i].words + 1 : lies[_i].words);
    REFUSED(2, words, "normalize", "x.npy", "-o", "y.npy", "--device", "cpu");
    put_floats("good.npy", "(2, 3)", six, 6);
    snprintf(words, sizeof words, "--gamma x.npy: ");
    REFUSED(2, words, "normalize", "good.npy", "-o", "y.npy", "--device", "cpu", "--gamma", "x.npy");
}
END_TEST

START_TEST(a_file_cut_anywhere_is_refused) {
    char whole[256];
    put_floats("whole.npy", "(2, 3)", six, 6);
    FILE *stream = fopen("whole.npy", "rb");
    size_t length = fread(whole, 1, sizeof whole, stream);
    fclose(stream);
    for (size_t cut = 0; cut < length; cut += cut < 13 ? 1 : 7) {
        put_bytes("x.npy", whole, cut);
        REFUSED(2, "x.npy: ", "moments", "x.npy", "--device", "cpu");
    }
    put_bytes("x.npy", whole, length);
    OK("moments", "x.npy", "--device", "cpu");
}
END_TEST

START_TEST(what_is_no_npy_file_is_refused) {
    put_text("x.npy", "1,2,3,4,5,6,7,8\n");
    REFUSED(2, "x.npy|no .npy file", "moments", "x.npy");
    put_bytes("x.npy", "\x93NUMPY\x04\x00\x10\x00                     ", 30);
    REFUSED(2, "x.npy|format 4.0", "moments", "x.npy");
    put_bytes("x.npy", "\x93NUMPY\x01\x01\x10\x00                     ", 30);
    REFUSED(2, "x.npy|format 1.1", "moments", "x.npy");
    put_bytes("x.npy", "\x93NUMPY\x02\x00\xff\xff\xff\xff                   ", 30);
    REFUSED(2, "x.npy|cut short|4294967295", "moments", "x.npy");
    REFUSED(2, "none.npy|No such file", "moments", "none.npy");
    REFUSED(2, "x.txt|.npy or .csv", "moments", "x.txt");
    REFUSED(2, "..npy", "moments", "..npy");
}
END_TEST

START_TEST(a_folder_is_no_array) {
    REFUSED(2, "/|.npy or .csv", "moments", "/");
    ck_assert_int_eq(system("mkdir d.npy"), 0);
    REFUSED(2, "d.npy|directory", "moments", "d.npy");
}
END_TEST

START_TEST(an_array_without_values_succeeds) {
    float y[3], statistics[3];
    put_floats("x.npy", "(0, 3)", NULL, 0);
    OK("normalize", "x.npy", "-o", "y.npy", "--device", "cpu", "--running-mean-out", "rm.npy", "--mean-out", "m.npy");
    get_floats("y.npy", "(0, 3)", y, 0);
    get_floats("rm.npy", "(3,)", statistics, 3);
    for (int c = 0; c < 3; c++) ck_assert_float_eq(statistics[c], 0.0F);
    get_floats("m.npy", "(3,)", statistics, 3);
    for (int c = 0; c < 3; c++) ck_assert_float_nan(statistics[c]);
    put_floats("x.npy", "(2, 0)", NULL, 0);
    OK("normalize", "x.npy", "-o", "y.npy", "--mean-out", "m.npy", "--device", "cpu");
    get_floats("m.npy", "(0,)", y, 0);
    OK("moments", "x.npy", "--device", "cpu");
}
END_TEST

void add_npy(Suite *suite) {
    TCase *tests = add_case(suite, "npy");
    tcase_add_test(tests, all_three_formats_are_read);
    tcase_add_test(tests, a_vector_is_written_as_one);
    tcase_add_test(tests, per_channel_files_may_be_of_any_type_and_shape);
    tcase_add_loop_test(tests, a_header_that_lies_is_refused_in_a_sentence, 0, (int)(sizeof lies / sizeof *lies));
    tcase_add_test(tests, a_file_cut_anywhere_is_refused);
    tcase_add_test(tests, what_is_no_npy_file_is_refused);
    tcase_add_test(tests, a_folder_is_no_array);
    tcase_add_test(tests, an_array_without_values_succeeds);
}
