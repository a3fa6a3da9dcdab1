/* SPDX-License-Identifier: Apache-2.0
 *
 * Parts of the tool that need no process: numbers from text, float16, sizes, the .npy header's parser against noise.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "array.h"
#include "npy.h"
#include "number.h"
#include "support.h"

START_TEST(numbers_are_whole_decimal_texts) {
    static const char *const good[] = {"0", "-1", "+2", "3.", ".5", "1e5", "1.5E-3", "nan", "-NaN", "inf", "+Infinity", "007"};
    static const char *const bad[] = {"",   " 1",  "1 ", "0x10",   "1e",    "1e+", ".",  "-",     "1,5",
                                      "1f", "--1", "e5", "nan(1)", "infin", "1_0", "++", "1e5.5", "one"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) ck_assert_msg(number_looks_like_one(good[i]), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) ck_assert_msg(!number_looks_like_one(bad[i]), "%s", bad[i]);
}
END_TEST

START_TEST(numbers_beyond_their_type_are_out_of_range) {
    float f;
    double d;
    int i;
    size_t size;
    const char *digits = "18446744073709551616", *most = "18446744073709551615";
    ck_assert_int_eq(number_to_float("1e39", &f), NUMBER_RANGE);
    ck_assert_int_eq(number_to_float("1e-60", &f), NUMBER_OK);
    ck_assert_float_eq(f, 0.0F);
    ck_assert_int_eq(number_to_double("1e309", &d), NUMBER_RANGE);
    ck_assert_int_eq(number_to_double("-inf", &d), NUMBER_OK);
    ck_assert_int_eq(number_to_int("-2147483647", &i), NUMBER_OK);
    ck_assert_int_eq(i, -2147483647);
    ck_assert_int_eq(number_to_int("2147483648", &i), NUMBER_RANGE);
    ck_assert_int_eq(number_to_int("1x", &i), NUMBER_NONE);
    ck_assert_int_eq(number_scan_size(&digits, &size), sizeof(size_t) == 8 ? NUMBER_RANGE : NUMBER_OK);
    if (sizeof(size_t) == 8) ck_assert_int_eq(number_scan_size(&most, &size), NUMBER_OK);
}
END_TEST

START_TEST(every_float16_converts_exactly_and_back) {
    for (unsigned half = 0; half < 65536; half++) {
        double value = half_to_double((uint16_t)half);
        if ((half >> 10 & 31) != 31)
            ck_assert_msg(value == half_by_definition(half) && !signbit(value) == !(half >> 15), "%04x", half);
        else if (half & 1023)
            ck_assert(isnan(value) && isnan(half_to_double(half_from_double(value))));
        else
            ck_assert(isinf(value) && !signbit(value) == !(half >> 15));
        if (!isnan(value)) ck_assert_uint_eq(half_from_double(value), half);
    }
}
END_TEST

/* Between any two neighbours: the nearer, and halfway the even one. The next after the largest would be 65536. */
START_TEST(float16_rounds_to_nearest_even_and_overflows_to_infinity) {
    for (unsigned half = 0; half < 0x7c00; half++) {
        double low = half_by_definition(half), high = half == 0x7bff ? 65536 : half_by_definition(half + 1);
        double middle = (low + high) / 2;
        unsigned even = half % 2 ? half + 1 : half;
        ck_assert_uint_eq(half_from_double(middle), even);
        ck_assert_uint_eq(half_from_double(-middle), even | 0x8000U);
        ck_assert_uint_eq(half_from_double(nextafter(middle, low)), half);
        ck_assert_uint_eq(half_from_double(nextafter(middle, high)), half + 1);
    }
    ck_assert_uint_eq(half_from_double(1e300), 0x7c00);
    ck_assert_uint_eq(half_from_double(-INFINITY), 0xfc00);
    ck_assert_uint_eq(half_from_double(-4e-320), 0x8000);
}
END_TEST

START_TEST(arrays_convert_between_all_types) {
    static const double values[] = {0, -1.5, 1e30, 1e300, 65503.5, 0.1, INFINITY, NAN};
    static const array_type types[] = {ARRAY_F16, ARRAY_F32, ARRAY_F64};
    static const double stored[3][8] = {{0, -1.5, INFINITY, INFINITY, 65504, 0.0999755859375, INFINITY, NAN},
                                        {0, -1.5, (double)1e30F, INFINITY, 65503.5, (double)0.1F, INFINITY, NAN},
                                        {0, -1.5, 1e30, 1e300, 65503.5, 0.1, INFINITY, NAN}};
    const size_t count = 8;
    for (int t = 0; t < 3; t++) {
        array a;
        ck_assert_int_eq(array_make(&a, (file_ref){"", "a"}, ARRAY_F64, 1, &count), EXIT_DONE);
        for (size_t i = 0; i < count; i++) array_put(&a, i, values[i]);
        ck_assert_int_eq(array_convert(&a, (file_ref){"", "a"}, types[t]), EXIT_DONE);
        ck_assert_int_eq(a.type, types[t]);
        ck_assert_int_eq(array_convert(&a, (file_ref){"", "a"}, ARRAY_F64), EXIT_DONE);
        for (size_t i = 0; i < count; i++)
            ck_assert_msg(isnan(stored[t][i]) ? isnan(array_get(&a, i)) : array_get(&a, i) == stored[t][i], "%d %zu: %g", t, i,
                          array_get(&a, i));
        array_free(&a);
    }
}
END_TEST

START_TEST(sizes_that_overflow_are_seen) {
    size_t count;
    const size_t good[] = {3, 4, 5}, empty[] = {3, 0, 5}, wide[] = {(size_t)1 << 32, (size_t)1 << 31};
    const size_t hidden[] = {(size_t)1 << 62, 0, 8};
    ck_assert_int_eq(array_count(3, good, ARRAY_F64, &count), 0);
    ck_assert_uint_eq(count, 60);
    ck_assert_int_eq(array_count(3, empty, ARRAY_F32, &count), 0);
    ck_assert_uint_eq(count, 0);
    ck_assert_int_ne(array_count(2, wide, ARRAY_F32, &count), 0);
    ck_assert_int_ne(array_count(3, hidden, ARRAY_F32, &count), 0);
}
END_TEST

static const char good_header[] = "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }   \n";

START_TEST(a_header_takes_its_keys_in_any_order) {
    static const char *const same[] = {good_header, "{\"shape\":(3,4),'descr':\"<f8\",'fortran_order':False}",
                                       " { 'fortran_order' : False , 'shape' : ( 3 , 4 , ) , 'descr' : '<f8' } "};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        npy_header header;
        npy_reason reason = {""};
        ck_assert_msg(npy_parse_header(same[i], strlen(same[i]), &header, &reason) == 0, "%s: %s", same[i], reason.text);
        ck_assert_int_eq(header.type, ARRAY_F64);
        ck_assert_uint_eq(header.rank, 2);
        ck_assert(header.dims[0] == 3 && header.dims[1] == 4);
    }
}
END_TEST

/* A header with a byte changed, dropped or doubled either is refused with a reason or says something that holds together. */
START_TEST(a_damaged_header_is_refused_or_sound) {
    uint32_t state = 12345;
    int refused = 0;
    for (int seed = 0; seed < 20000; seed++) {
        char text[2 * sizeof good_header];
        size_t length = sizeof good_header - 1;
        memcpy(text, good_header, length);
        for (int edits = 1 + seed % 4; edits > 0; edits--) {
            state = state * 1664525U + 1013904223U;
            size_t at = (state >> 8) % length;
            char byte = "{}()',:0123456789<f \n\\\"TrueFals\0\xff"[(state >> 3) % 34];
            switch (state >> 30) {
            case 0:
                memmove(text + at, text + at + 1, --length - at);
                break;
            case 1:
                memmove(text + at + 1, text + at, length++ - at);
                break;
            default:
                text[at] = byte;
                break;
            }
        }
        npy_header header;
        npy_reason reason = {""};
        if (npy_parse_header(text, length, &header, &reason) == 0) {
            size_t count;
            ck_assert(header.rank >= 1 && header.rank <= ARRAY_MAX_RANK);
            ck_assert_int_eq(array_count(header.rank, header.dims, header.type, &count), 0);
        } else {
            ck_assert_uint_gt(strlen(reason.text), 5);
            refused++;
        }
    }
    ck_assert_int_gt(refused, 10000);
}
END_TEST

START_TEST(every_beginning_of_a_header_is_refused) {
    const char *end = strchr(good_header, '}');
    for (size_t length = 0; length <= (size_t)(end - good_header); length++) {
        npy_header header;
        npy_reason reason = {""};
        ck_assert_int_ne(npy_parse_header(good_header, length, &header, &reason), 0);
    }
}
END_TEST

void add_parts(Suite *suite) {
    TCase *tests = tcase_create("parts");
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, numbers_are_whole_decimal_texts);
    tcase_add_test(tests, numbers_beyond_their_type_are_out_of_range);
    tcase_add_test(tests, every_float16_converts_exactly_and_back);
    tcase_add_test(tests, float16_rounds_to_nearest_even_and_overflows_to_infinity);
    tcase_add_test(tests, arrays_convert_between_all_types);
    tcase_add_test(tests, sizes_that_overflow_are_seen);
    tcase_add_test(tests, a_header_takes_its_keys_in_any_order);
    tcase_add_test(tests, a_damaged_header_is_refused_or_sound);
    tcase_add_test(tests, every_beginning_of_a_header_is_refused);
}
