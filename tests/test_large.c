/* SPDX-License-Identifier: Apache-2.0
 *
 * A batch above 2^31 elements, x and y above 4 GiB, on the CPU path: in float16 and in place. Each channel runs through the same
 * seven values over and over, so that everything is known in closed form and every element can be looked at; an address that wrapped
 * at 2^31 or 2^32, which are no multiples of 7, would bring a wrong value, or leave one as it was. Skipped where memory is short.
 */
#include "bounds.h"
#include "stored.h"
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

enum { SEVEN = 7, MOST_CHANNELS = 32 };
static const size_t GIB = (size_t)1 << 30;

/* x[outer][channels][inner]; inner, or else outer, is a multiple of 7 */
typedef struct large {
    const char *name;
    size_t outer, channels, inner;
} large;

static const large columns = {"outer x 32", (((size_t)1 << 31) / 224 + 1) * 7, 32, 1};
static const large planes = {"3 x 2 x inner", 3, 2, (((size_t)1 << 31) / 42 + 1) * 7};

static size_t elements_of(const large *l) {
    return l->outer * l->channels * l->inner;
}

static size_t available_bytes(void) {
    char line[200];
    size_t kib = 0;
    FILE *file = fopen("/proc/meminfo", "r");
    while (file && fgets(line, sizeof line, file) && sscanf(line, "MemAvailable: %zu", &kib) != 1) continue;
    if (file) fclose(file);
    return kib << 10;
}

/* Says why not. */
static int is_possible(void) {
    if (sizeof(size_t) < 8 || test_element_limit() <= (size_t)1 << 31) {
        printf("skipped: no address for 2^31 elements, or CLBN_TEST_ELEMENTS asks for fewer\n");
        return 0;
    }
    if (available_bytes() < 12 * GIB) {
        printf("skipped: %zu MiB are available, and it takes 12 GiB\n", available_bytes() >> 20);
        return 0;
    }
    return 1;
}

/* The value of x in step k of 7: mean 1, variance 4; of dy: mean 1, and its product with x - 1 has mean 8. */
static double x_value(size_t k) {
    return (double)(k % SEVEN) - 2;
}

static double dy_value(size_t k) {
    const double u = x_value(k) - 1;
    return u * u - 3 + 2 * u;
}

static double y_value(size_t k) {
    return 2 * (x_value(k) - 1) + 5; /* gamma 4, inv_std 1/2, beta 5 */
}

static double dx_value(size_t k) {
    const double u = x_value(k) - 1;
    return 2 * (u * u - 4); /* of dy is left what neither a constant nor x explains */
}

/* -------------------------------------------------------------------------------------------------------------- patterns */

/* Seven rows, or a row of planes' inner: what repeats through the whole batch, and many times it in one block. */
static uint16_t *block_of(const large *l, double (*value)(size_t k), size_t *length) {
    const size_t row = l->inner == 1 ? l->channels : 1, once = SEVEN * row;
    *length = once << (row == 1 ? 18 : 13);
    uint16_t *block = malloc(*length * sizeof *block);
    ck_assert_ptr_nonnull(block);
    for (size_t k = 0; k < *length; k++) stored_put(CLBN_F16, block + k, value(k / row + k % row));
    return block;
}

static uint16_t *fill(const large *l, uint16_t *into, double (*value)(size_t k)) {
    size_t length;
    uint16_t *block = block_of(l, value, &length);
    for (size_t at = 0; at < elements_of(l); at += length) {
        const size_t rest = elements_of(l) - at;
        memcpy(into + at, block, (rest < length ? rest : length) * sizeof *block);
    }
    free(block);
    return into;
}

/* Of both batches, as pages cost more than what is done with them. */
static uint16_t *rooms[2];

static void make_rooms(void) {
    const size_t most = elements_of(&columns) > elements_of(&planes) ? elements_of(&columns) : elements_of(&planes);
    if (!is_possible()) return;
    for (int k = 0; k < 2; k++) {
        void *memory = NULL;
        ck_assert_int_eq(posix_memalign(&memory, 1 << 21, most * sizeof *rooms[k]), 0);
#ifdef MADV_HUGEPAGE
        madvise(memory, most * sizeof *rooms[k], MADV_HUGEPAGE);
#endif
        rooms[k] = memory;
    }
}

static void free_rooms(void) {
    for (int k = 0; k < 2; k++) free(rooms[k]), rooms[k] = NULL;
}

/* Every element, by its bits. */
static void must_hold(const large *l, const uint16_t *memory, double (*value)(size_t k), const char *what) {
    size_t length;
    uint16_t *block = block_of(l, value, &length);
    for (size_t at = 0; at < elements_of(l); at += length) {
        const size_t rest = elements_of(l) - at, count = rest < length ? rest : length;
        if (!memcmp(memory + at, block, count * sizeof *block)) continue;
        for (size_t k = 0; k < count; k++)
            ck_assert_msg(memory[at + k] == block[k], "%s: element %zu of %s is %g instead of %g", l->name, at + k, what,
                          stored_get(CLBN_F16, memory + at + k), stored_get(CLBN_F16, block + k));
    }
    free(block);
}

static void must_be_near(const large *l, const char *what, const float *values, double want) {
    const bounds_of who = tested_is_cpu_path() ? BOUNDS_OF_CPU_PATH : BOUNDS_OF_DEVICE;
    const long double rounded = tested_is_cpu_path() ? bounds_real(who) : 0; /* a device's promise has it */
    for (size_t c = 0; c < l->channels; c++)
        ck_assert_msg(fabs((double)values[c] - want) <= (double)(bounds_accuracy(who) + rounded) * fabs(want),
                      "%s: %s[%zu] is %.9g instead of %.9g", l->name, what, c, (double)values[c], want);
}

/* ----------------------------------------------------------------------------------------------------------------- calls */

static clbn_plan *plan_of_large(const large *l) {
    const size_t dims[] = {l->outer, l->channels, l->inner};
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 3, config.dims = dims, config.dtype = CLBN_F16, config.epsilon = 0;
    return plan_of(tested(), &config);
}

static void set(float *values, float value) {
    for (int c = 0; c < MOST_CHANNELS; c++) values[c] = value;
}

/* y on x. */
static void normalize(const large *l, const clbn_plan *plan, uint16_t *x) {
    float gamma[MOST_CHANNELS], beta[MOST_CHANNELS], running_var[MOST_CHANNELS];
    float mean[MOST_CHANNELS], var[MOST_CHANNELS], inv_std[MOST_CHANNELS];
    set(gamma, 4), set(beta, 5), set(running_var, 7);
    fill(l, x, x_value);
    const clbn_forward_args args = {.x = clbn_host(x),
                                    .y = clbn_host(x),
                                    .gamma = clbn_host(gamma),
                                    .beta = clbn_host(beta),
                                    .running_var = clbn_host(running_var),
                                    .saved_mean = clbn_host(mean),
                                    .saved_var = clbn_host(var),
                                    .saved_inv_std = clbn_host(inv_std),
                                    .update_weight = 1};
    ck_clbn(clbn_forward_training(plan, NULL, &args, 0, NULL, NULL));
    must_be_near(l, "saved_mean", mean, 1);
    must_be_near(l, "saved_var", var, 4);
    must_be_near(l, "running_var", running_var, 4);
    must_be_near(l, "saved_inv_std", inv_std, 0.5);
    must_hold(l, x, y_value, "y");
}

/* dx on dy. */
static void differentiate(const large *l, const clbn_plan *plan, uint16_t *x, uint16_t *dy) {
    float gamma[MOST_CHANNELS], mean[MOST_CHANNELS], inv_std[MOST_CHANNELS], dgamma[MOST_CHANNELS], dbeta[MOST_CHANNELS];
    set(gamma, 4), set(mean, 1), set(inv_std, 0.5F);
    const double count = (double)(l->outer * l->inner);
    fill(l, x, x_value);
    fill(l, dy, dy_value);
    const clbn_backward_args args = {.dy = clbn_host(dy),
                                     .x = clbn_host(x),
                                     .dx = clbn_host(dy),
                                     .gamma = clbn_host(gamma),
                                     .saved_mean = clbn_host(mean),
                                     .saved_inv_std = clbn_host(inv_std),
                                     .dgamma = clbn_host(dgamma),
                                     .dbeta = clbn_host(dbeta)};
    ck_clbn(clbn_backward_training(plan, NULL, &args, 0, NULL, NULL));
    must_be_near(l, "dgamma", dgamma, 4 * count);
    must_be_near(l, "dbeta", dbeta, count);
    must_hold(l, dy, dx_value, "dx");
    must_hold(l, x, x_value, "x");
}

static void run(const large *l) {
    if (!rooms[1]) return;
    ck_assert_uint_gt(elements_of(l), (size_t)1 << 31);
    clbn_plan *plan = plan_of_large(l);
    normalize(l, plan, rooms[0]);
    differentiate(l, plan, rooms[0], rooms[1]);
    clbn_plan_destroy(plan);
}

START_TEST(columns_of_more_than_2_to_the_31_elements_are_right_to_the_last) {
    run(&columns);
}
END_TEST

START_TEST(planes_of_more_than_2_to_the_31_elements_are_right_to_the_last) {
    run(&planes);
}
END_TEST

static void add(Suite *suite) {
    TCase *tests = add_tests(suite, "large");
    tcase_add_unchecked_fixture(tests, make_rooms, free_rooms);
    tcase_add_test(tests, columns_of_more_than_2_to_the_31_elements_are_right_to_the_last);
    tcase_add_test(tests, planes_of_more_than_2_to_the_31_elements_are_right_to_the_last);
}

int main(void) {
    return run_suite("large", add);
}
