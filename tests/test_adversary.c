/* SPDX-License-Identifier: Apache-2.0
 *
 * A search for the worst data: in each channel a climber changes one of 64 values a generation, keeps the change where the device's
 * variance is further off by it, and takes it back where not. The values are the first two blocks of a lane, each repeated so that all
 * lanes of a group have them; a group that shares a channel with others (group-split-*) has fewer, of one block a lane. However long it climbs, none may come to the bound. Searched is for the variance alone, whose error is the
 * nearest to its bound of those that data decides; the CPU path's sums, in double, are out of float32's sight.
 * CLBN_TEST_GENERATIONS=n: so many, where it is to search long; for all of them together sums conspire as they never do by chance.
 */
#include "bounds.h"
#include "data.h"
#include "judge.h"
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUES = 64, CHANNELS = 512, GENERATIONS = 150 };

/* Planes or columns; how often each value stands there, in planes side by side: as a vector of a work-item that works alone, or as those of
 * a group of 256, of which along a row of columns 8 are one row; and how many climb. */
typedef struct ground {
    const char *name, *variants;
    size_t planes, repeats, climbers;
} ground;
static const ground grounds[] = {{"columns", "alone", 0, 1, CHANNELS},
                                 {"planes", "alone", 1, 16, CHANNELS},
                                 {"columns", "group", 0, 32, 128},
                                 {"planes", "group", 1, 1024, 16}};
enum { GROUNDS = sizeof grounds / sizeof *grounds, MOST_X = 32 * VALUES * CHANNELS };

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
    const ground *on;
    uint64_t random;
    float values[CHANNELS][VALUES], before[CHANNELS];
    size_t changed[CHANNELS];
    long double ratio[CHANNELS];
    float x[MOST_X], var[CHANNELS];
} climbers;

/* A step from a constant or from noise to numbers around another, with a spread of 1 to 1/16 of it; every other two from what an earlier
 * search had found. */
static void begin(climbers *all, const ground *on) {
    const data_case found = {"found", 2, {VALUES, CHANNELS}, 1, STEPPED};
    batch b;
    ck_assert(data_make(&b, &found, 0));
    all->on = on, all->random = 20150211;
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
    const size_t count = all->on->climbers, repeats = all->on->repeats;
    for (size_t c = 0; c < count; c++)
        for (size_t i = 0; i < VALUES * repeats; i++)
            all->x[all->on->planes ? c * VALUES * repeats + i : i * count + c] = all->values[c][i / repeats];
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
    for (size_t c = 0; c < all->on->climbers; c++) {
        const long double ratio = ratio_of(all, c);
        ck_assert_msg(isfinite(ratio), "var of channel %zu is %g", c, (double)all->var[c]);
        if (ratio >= all->ratio[c])
            all->ratio[c] = ratio;
        else
            all->values[c][all->changed[c]] = all->before[c];
    }
}

/* 0 where the variant does not fit. */
static int climb(const char *variant, const ground *on) {
    climbers *const all = malloc(sizeof *all);
    clbn_plan *plan = NULL;
    long double worst = 0;
    const size_t values = VALUES * on->repeats, dims[] = {on->planes ? 1 : values, on->climbers, on->planes ? values : 1};
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    ck_assert_ptr_nonnull(all);
    config.rank = 3, config.dims = dims, config.variant = variant;
    const clbn_status status = clbn_plan_create(tested(), &config, &plan);
    if (status != CLBN_ERROR_UNSUPPORTED) {
        const clbn_moments_args args = {.x = clbn_host(all->x), .var = clbn_host(all->var)};
        ck_clbn(status);
        begin(all, on);
        for (size_t g = 0; g <= generations(); g++) {
            if (g) change(all);
            lay_out(all);
            ck_clbn(clbn_moments(plan, tested_queue(), &args, 0, NULL, NULL));
            keep_what_is_worse(all);
        }
        for (size_t c = 0; c < on->climbers; c++) worst = all->ratio[c] > worst ? all->ratio[c] : worst;
        printf("%s by %-20s var %.3Lf of its bound\n", on->name, variant, worst);
        ck_assert_msg(worst <= 1, "%s by %s: a climber's variance is off by %.3Lf of its bound", on->name, variant, worst);
        clbn_plan_destroy(plan);
    }
    free(all);
    return status == CLBN_SUCCESS;
}

START_TEST(no_climber_comes_to_the_bound) {
    const ground *const on = &grounds[_i];
    int climbed = 0;
    for (size_t k = 1; k < variant_count; k++)
        if (strncmp(variants[k], on->variants, strlen(on->variants)) == 0) climbed += climb(variants[k], on);
    ck_assert_int_gt(climbed, 0);
}
END_TEST

static void add(Suite *suite) {
    TCase *tests = add_tests(suite, "adversary");
    tcase_add_unchecked_fixture(tests, open_names, NULL);
    tcase_add_loop_test(tests, no_climber_comes_to_the_bound, 0, GROUNDS);
}

int main(void) {
    return run_suite("adversary", add);
}
