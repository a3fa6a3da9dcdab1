/* SPDX-License-Identifier: Apache-2.0
 *
 * A search for the worst data: in hundreds of channels a climber changes one of 64 values a generation, keeps the change where the
 * device's variance is further off by it, and takes it back where not. The values are a kernel's first two blocks, or more where it
 * shares them out. However long it climbs, none may come to the bound.
 * CLBN_TEST_GENERATIONS=n: so many, where it is to search long; for all of them together sums conspire as they never do by chance.
 */
#include "bounds.h"
#include "data.h"
#include "judge.h"
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Each value fills a vector, in planes. */
enum { VALUES = 64, CHANNELS = 512, RUN = 16, GENERATIONS = 150 };

static const char *variants[MOST_NAMES];
static size_t variant_count;

static void open_names(void) {
    variant_count = variant_names(variants);
}

static size_t generations(void) {
    const char *const asked = getenv("CLBN_TEST_GENERATIONS");
    return asked ? (size_t)strtoull(asked, NULL, 10) : test_is_short() ? GENERATIONS / 10 : GENERATIONS;
}

/* xorshift64* (Vigna, 2016), in [0, 1). */
static double uniform(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (double)(*state * 2685821657736338717u >> 11) * 0x1p-53;
}

typedef struct climbers {
    int planes;
    uint64_t random;
    float values[CHANNELS][VALUES], before[CHANNELS];
    size_t changed[CHANNELS];
    long double ratio[CHANNELS];
    float x[CHANNELS * VALUES * RUN], var[CHANNELS];
} climbers;

/* A step from a constant or from noise to numbers around another, with a spread of 1 to 1/16 of it; every other two from what an earlier
 * search had found. */
static void begin(climbers *all, int planes) {
    const data_case found = {"found", 2, {VALUES, CHANNELS}, 1, STEPPED};
    batch b;
    ck_assert(data_make(&b, &found, 0));
    all->planes = planes, all->random = 20150211;
    for (size_t c = 0; c < CHANNELS; c++) {
        const double noise = c % 2 ? 0.1 : 0, mean = 1.5 * uniform(&all->random), spread = exp2(-4 * uniform(&all->random));
        for (size_t i = 0; i < VALUES; i++) {
            const double any = uniform(&all->random), sign = i % 2 ? 1 : -1;
            const double own = i < VALUES / 2 ? noise * (any - 0.5) : mean + spread * sign * (1 + 0.01 * any);
            all->values[c][i] = c % 4 < 2 ? (float)own : b.x[i * CHANNELS + c];
        }
        all->changed[c] = 0, all->before[c] = all->values[c][0], all->ratio[c] = -1;
    }
    data_free(&b);
}

/* One value of each, by up to a half, mostly by far less. */
static void change(climbers *all) {
    for (size_t c = 0; c < CHANNELS; c++) {
        const size_t i = all->changed[c] = (size_t)(uniform(&all->random) * VALUES);
        const double by = (uniform(&all->random) - 0.5) * exp2(-22 * uniform(&all->random));
        all->before[c] = all->values[c][i];
        all->values[c][i] += (float)by;
    }
}

static void lay_out(climbers *all) {
    for (size_t c = 0; c < CHANNELS; c++)
        for (size_t i = 0; i < VALUES; i++)
            for (size_t k = 0; k < (all->planes ? RUN : 1); k++)
                all->x[all->planes ? (c * VALUES + i) * RUN + k : i * CHANNELS + c] = all->values[c][i];
}

static long double ratio_of(const climbers *all, size_t c) {
    bounds_channel exact = {.values = VALUES};
    for (size_t i = 0; i < VALUES; i++) exact.mean += all->values[c][i] / (long double)VALUES;
    for (size_t i = 0; i < VALUES; i++) {
        const long double d = all->values[c][i] - exact.mean;
        exact.var += d * d / VALUES;
    }
    return fabsl(all->var[c] - exact.var) / bounds_var(tested_bounds(), &exact);
}

static void keep_what_is_worse(climbers *all) {
    for (size_t c = 0; c < CHANNELS; c++) {
        const long double ratio = ratio_of(all, c);
        if (ratio >= all->ratio[c])
            all->ratio[c] = ratio;
        else
            all->values[c][all->changed[c]] = all->before[c];
    }
}

static void climb(const char *variant, int planes) {
    climbers *const all = malloc(sizeof *all);
    clbn_plan *plan = NULL;
    long double worst = 0;
    const size_t dims[] = {planes ? 1 : VALUES, CHANNELS, planes ? VALUES * RUN : 1};
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    ck_assert_ptr_nonnull(all);
    config.rank = 3, config.dims = dims, config.variant = variant;
    const clbn_status status = clbn_plan_create(tested(), &config, &plan);
    if (!variant || status != CLBN_ERROR_UNSUPPORTED) {
        const clbn_moments_args args = {.x = clbn_host(all->x), .var = clbn_host(all->var)};
        ck_clbn(status);
        begin(all, planes);
        for (size_t g = 0; g <= generations(); g++) {
            if (g) change(all);
            lay_out(all);
            ck_clbn(clbn_moments(plan, tested_queue(), &args, 0, NULL, NULL));
            keep_what_is_worse(all);
        }
        for (size_t c = 0; c < CHANNELS; c++) worst = all->ratio[c] > worst ? all->ratio[c] : worst;
        printf("%s by %-20s var %.3Lf of its bound\n", planes ? "planes " : "columns", variant ? variant : "its choice", worst);
        ck_assert_msg(worst <= 1, "%s by %s: a climber's variance is off by %.3Lf of its bound", planes ? "planes" : "columns",
                      variant ? variant : "its choice", worst);
        clbn_plan_destroy(plan);
    }
    free(all);
}

START_TEST(no_climber_comes_to_the_bound) {
    for (size_t k = 0; k < variant_count; k++) climb(variants[k], _i);
}
END_TEST

static void add(Suite *suite) {
    TCase *tests = add_tests(suite, "adversary");
    tcase_add_unchecked_fixture(tests, open_names, NULL);
    tcase_add_loop_test(tests, no_climber_comes_to_the_bound, 0, 2);
}

int main(void) {
    return run_suite("adversary", add);
}
