/* SPDX-License-Identifier: Apache-2.0
 *
 * The CPU path is right: the definition judges it, in both of its forms, and it gives the same bits for any thread count. It
 * judges every device in its turn.
 */
#include "stage.h"
#include "support.h"
#include "sweep.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

static const char *chosen[] = {NULL};
static clbn_device *best, *portable;

static void open_both(void) {
    best = open_device("cpu", 0);
    portable = open_device("cpu", 1);
}

static void close_both(void) {
    judge_report();
    clbn_device_destroy(best);
    clbn_device_destroy(portable);
}

START_TEST(the_definition_gives_the_tutorials_numbers) {
    static const double x[] = {-1, 3, 2, -3, 1, 3, 2, -7, 4, 5, 7, 6};
    static const double printed[] = {-0.57731885, 0.39222473, -1.1829456, -1.2371118, 0,         -0.5069766,
                                     0.4123706,   -1.568899,  0.16899228, 1.40206,    1.1766742, 1.5209303};
    const definition_shape shape = {4, 3, 1};
    long double mean[3], lo[3], var[3], inv_std[3], y[12];
    definition_moments(shape, x, mean, lo, var);
    for (int c = 0; c < 3; c++) inv_std[c] = definition_inv_std(var[c], 0.001, 0);
    definition_normalize(shape, x, mean, lo, inv_std, NULL, NULL, NULL, y);
    for (int i = 0; i < 12; i++) { /* another library's float32: it gets a device's bound */
        bounds_channel c = {mean[i % 3], var[i % 3], inv_std[i % 3], 1, 0, 4};
        ck_assert_ldouble_le(fabsl(y[i] - printed[i]), bounds_y(BOUNDS_OF_DEVICE, &c, y[i]));
    }
}
END_TEST

/* Small integers and an n that is a power of two: every sum is exact, and so must the results be. */
START_TEST(the_definition_is_exact_on_small_integers) {
    static const double x[] = {1, 3, 5, 7, 10, 10, 10, 10, -3, 3, -3, 3, 9, 11, 13, 15, 10, 10, 10, 10, -3, 3, -3, 3};
    const definition_shape shape = {2, 3, 4};
    long double mean[3], lo[3], var[3];
    definition_moments(shape, x, mean, lo, var);
    for (int c = 0; c < 3; c++) ck_assert(lo[c] == 0);
    ck_assert(mean[0] == 8 && var[0] == 21);
    ck_assert(mean[1] == 10 && var[1] == 0);
    ck_assert(mean[2] == 0 && var[2] == 9);
    ck_assert(definition_inv_std(9, 7, 0) == 0.25L && definition_inv_std(9, 1, 1) == 0.25L && definition_inv_std(0, 0, 0) == 0);
    ck_assert(definition_unbiased(9, 4) == 12 && definition_running(4, 8, 0.25) == 5);
}
END_TEST

START_TEST(the_definition_judges_the_cpu_path) {
    const sweep s = {best, NULL, "", chosen, 1, NULL};
    sweep_case(&s, (size_t)_i);
}
END_TEST

START_TEST(the_definition_judges_the_portable_loops) {
    const sweep s = {portable, NULL, "portable", chosen, 1, NULL};
    sweep_case(&s, (size_t)_i);
}
END_TEST

/* One case by one device with 1, 2, 3 and 8 threads: the bits of the first must come again. */
static void must_not_know_its_threads(clbn_device *device, const test_case *c) {
    static const int threads[] = {1, 2, 3, 8, 1};
    const way w = plain_way(ON_HOST);
    batch b;
    batch_make(&b, c, 0);
    clbn_config config = config_of(&b, &w, NULL);
    clbn_plan *plan = plan_of(device, &config);
    int before = omp_get_max_threads();
    for (int v = TRAINING; v <= MOMENTS; v++) {
        scene first, again;
        result of_one = {0};
        for (int k = 0; k < 5; k++) {
            scene *s = k ? &again : &first;
            omp_set_num_threads(threads[k]);
            scene_make(s, &b, &w, (verb)v, NULL, plan, k ? "threads" : "one thread");
            result got = scene_run(s, plan, NULL);
            if (k) {
                results_must_be_same_bits(s, &of_one, &got);
                scene_free(s);
            } else
                of_one = got;
        }
        scene_free(&first);
    }
    omp_set_num_threads(before);
    clbn_plan_destroy(plan);
    batch_free(&b);
}

START_TEST(the_thread_count_changes_no_bit) {
    if (case_elements(&cases[_i]) > test_element_limit()) return;
    must_not_know_its_threads(best, &cases[_i]);
    must_not_know_its_threads(portable, &cases[_i]);
}
END_TEST

/* Forward and backward in one manner; every number that is left, one behind the other, for the caller to free. */
static double *all_of(clbn_device *device, const material *m, size_t *count) {
    stage s;
    ck_clbn(stage_open(&s, device, NULL, m, NULL, "threads"));
    stage_forward(&s);
    stage_backward(&s);
    const size_t n = m->b->shape.channels, elements = m->b->count;
    const double *of_channels[] = {s.out.mean,         s.out.mean_lo,     s.out.var,    s.out.inv_std,
                                   s.out.running_mean, s.out.running_var, s.out.dgamma, s.out.dbeta};
    const double *of_elements[] = {s.out.y, s.out.dx, s.out.dresidual};
    double *all = calloc(8 * n + 3 * elements, sizeof *all), *next = all;
    ck_assert_ptr_nonnull(all);
    for (int k = 0; k < 8; k++, next += n)
        if (of_channels[k]) memcpy(next, of_channels[k], n * sizeof *all);
    for (int k = 0; k < 3; k++, next += elements)
        if (of_elements[k]) memcpy(next, of_elements[k], elements * sizeof *all);
    *count = 8 * n + 3 * elements;
    stage_close(&s);
    return all;
}

START_TEST(the_thread_count_changes_no_bit_in_any_manner) {
    static const char *const names[] = {"outliers", "outliers_lanes", "inner_of_two_147x147", "one_nan", "lanes_65537"};
    static const int threads[] = {1, 3, 8};
    const manner how = manner_of((size_t)_i);
    const test_case *c = case_named(names[_i % 5]);
    if (case_elements(c) > test_element_limit()) return;
    const int before = omp_get_max_threads();
    batch b;
    material m;
    batch_make(&b, c, 0);
    material_make(&m, &b, &how);
    double *first = NULL;
    for (int k = 0; k < 3; k++) {
        size_t count;
        omp_set_num_threads(threads[k]);
        double *again = all_of(_i % 2 ? portable : best, &m, &count);
        if (!first)
            first = again;
        else {
            if (memcmp(first, again, count * sizeof *first)) ck_abort_msg("manner %d: %d threads change bits", _i, threads[k]);
            free(again);
        }
    }
    free(first);
    omp_set_num_threads(before);
    material_free(&m);
    batch_free(&b);
}
END_TEST

static void add(Suite *suite) {
    TCase *definition = add_tests(suite, "definition");
    tcase_add_test(definition, the_definition_gives_the_tutorials_numbers);
    tcase_add_test(definition, the_definition_is_exact_on_small_integers);
    TCase *tests = add_tests(suite, "cpu path");
    tcase_add_unchecked_fixture(tests, open_both, close_both);
    tcase_add_loop_test(tests, the_definition_judges_the_cpu_path, 0, (int)case_count);
    tcase_add_loop_test(tests, the_definition_judges_the_portable_loops, 0, (int)case_count);
    tcase_add_loop_test(tests, the_thread_count_changes_no_bit, 0, (int)case_count);
    tcase_add_loop_test(tests, the_thread_count_changes_no_bit_in_any_manner, 0, (int)manner_count());
}

int main(void) {
    return run_suite("cpu", add);
}
