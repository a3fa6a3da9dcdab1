/* SPDX-License-Identifier: Apache-2.0
 *
 * What judges is judged: the definition's gradients by finite differences of its forward formulas and by identities, the tests' storage
 * types by every bit pattern.
 */
#include "definition.h"
#include "stored.h"
#include "support.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------------------- a problem */

enum { OUTER = 3, CHANNELS = 2, INNER = 4, COUNT = OUTER * CHANNELS * INNER, VALUES = OUTER * INNER };

static const definition_shape shape = {OUTER, CHANNELS, INNER};

typedef struct problem {
    double x[COUNT], residual[COUNT], dy[COUNT], gamma[CHANNELS], beta[CHANNELS];
    long double mean[CHANNELS], mean_lo[CHANNELS], var[CHANNELS], inv_std[CHANNELS],
        v[COUNT]; /* the population's, or the batch's */
    definition_activation act;
    int outside, population;
} problem;

static const double epsilon = 1e-3;

static double around_0(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) * 0x1p-51 - 2;
}

static void forward(problem *p) {
    if (!p->population) definition_moments(shape, p->x, p->mean, p->mean_lo, p->var);
    for (int c = 0; c < CHANNELS; c++) p->inv_std[c] = definition_inv_std(p->var[c], epsilon, p->outside);
    definition_normalize(shape, p->x, p->mean, p->mean_lo, p->inv_std, p->gamma, p->beta, p->residual, p->v);
}

static long double loss(problem *p) {
    long double sum = 0;
    forward(p);
    for (int k = 0; k < COUNT; k++) sum += p->dy[k] * definition_activate(&p->act, p->v[k]);
    return sum;
}

/* Every v is at least this far from a kink, and moves by less in the differences below. */
static int is_away_from_kinks(const problem *p) {
    for (int k = 0; k < COUNT; k++) {
        if (p->act.kind == DEFINITION_CLIP && (fabsl(p->v[k] - p->act.low) < 0.03L || fabsl(p->v[k] - p->act.high) < 0.03L))
            return 0;
        if (p->act.kind != DEFINITION_CLIP && fabsl(p->v[k]) < 0.03L) return 0;
    }
    return 1;
}

static void draw(problem *p, const definition_activation *act, int outside, int population, uint64_t *state) {
    memset(p, 0, sizeof *p);
    p->act = *act, p->outside = outside, p->population = population;
    do {
        for (int k = 0; k < COUNT; k++) {
            p->x[k] = 3 + around_0(state);
            p->residual[k] = around_0(state);
            p->dy[k] = around_0(state);
        }
        for (int c = 0; c < CHANNELS; c++) {
            p->gamma[c] = c ? -1.25 : 0.75;
            p->beta[c] = 0.25 * around_0(state);
            p->mean[c] = 2.5, p->var[c] = 1.75;
        }
        forward(p);
    } while (!is_away_from_kinks(p));
}

/* The five-point difference: off by h^4 / 30 times the fifth derivative. */
static long double slope_of(problem *p, double *at, double h) {
    const double here = *at;
    long double values[4];
    static const int steps[4] = {-2, -1, 1, 2};
    for (int k = 0; k < 4; k++) {
        *at = here + steps[k] * h;
        values[k] = loss(p);
    }
    *at = here;
    return (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * (long double)h);
}

/* The difference by 2 h is off by 16 times what that by h is off, so the two differ by 15 times the latter. Steps are powers of two
 * and the values of few bits more, so that here + h is exact but for 2^-52 here, a relative 2^-40 of h; the loss is rounded to
 * 2^-60 of its size. */
static void must_be_the_slope(problem *p, double *at, long double gradient, const char *what) {
    const double h = 0x1p-11;
    const long double near = slope_of(p, at, h), far = slope_of(p, at, 2 * h);
    const long double allowed = fabsl(near - far) + 0x1p-38L * (1 + fabsl(near));
    ck_assert_msg(fabsl(near - far) < 1e-6L * (1 + fabsl(near)), "%s: the differences are no measure: %Lg, %Lg", what, near, far);
    ck_assert_msg(fabsl(near - gradient) <= allowed, "%s of activation %d%s%s: %.12Lg, and by differences %.12Lg (%.3Lg allowed)",
                  what, (int)p->act.kind, p->outside ? ", outside" : "", p->population ? ", population" : "", gradient, near,
                  allowed);
}

static const definition_activation activations[] = {
    {DEFINITION_IDENTITY, 0, 0, 0},   {DEFINITION_RELU, 0, 0, 0}, {DEFINITION_LEAKY, 0.125, 0, 0}, {DEFINITION_LEAKY, -0.5, 0, 0},
    {DEFINITION_CLIP, 0, -0.75, 1.5}, {DEFINITION_SILU, 0, 0, 0}, {DEFINITION_SQUARE, 0, 0, 0},
};
enum { ACTIVATIONS = sizeof activations / sizeof *activations };

typedef struct gradients {
    long double g[COUNT], dx[COUNT], dgamma[CHANNELS], dbeta[CHANNELS];
} gradients;

static void differentiate(const problem *p, gradients *into) {
    const definition_backward of = {.shape = shape,
                                    .x = p->x,
                                    .dy = p->dy,
                                    .gamma = p->gamma,
                                    .v = p->v,
                                    .mean = p->mean,
                                    .mean_lo = p->mean_lo,
                                    .var = p->var,
                                    .inv_std = p->inv_std,
                                    .act = p->act,
                                    .outside = p->outside,
                                    .population = p->population};
    definition_gradients(&of, into->g, into->dx, into->dgamma, into->dbeta);
}

/* _i: activation, rule, whose statistics. */
START_TEST(finite_differences_give_the_gradients) {
    uint64_t state = 20150211u + (unsigned)_i;
    problem p;
    gradients of;
    for (int again = 0; again < 3; again++) {
        draw(&p, &activations[_i / 4], _i / 2 % 2, _i % 2, &state);
        differentiate(&p, &of);
        for (int k = 0; k < COUNT; k++) {
            must_be_the_slope(&p, &p.x[k], of.dx[k], "dx");
            must_be_the_slope(&p, &p.residual[k], of.g[k], "dresidual");
        }
        for (int c = 0; c < CHANNELS; c++) {
            must_be_the_slope(&p, &p.gamma[c], of.dgamma[c], "dgamma");
            must_be_the_slope(&p, &p.beta[c], of.dbeta[c], "dbeta");
        }
    }
}
END_TEST

/* The batch's mean takes the mean of dx away, its variance what is along xhat, all but a share of epsilon. */
START_TEST(dx_has_no_mean_and_little_along_xhat) {
    uint64_t state = 7;
    problem p;
    gradients of;
    draw(&p, &activations[0], 0, 0, &state);
    differentiate(&p, &of);
    for (int c = 0; c < CHANNELS; c++) {
        long double sum = 0, along = 0, dy_along = 0;
        for (int k = 0; k < COUNT; k++) {
            if (k / INNER % CHANNELS != c) continue;
            const long double xhat = definition_about(p.x[k], p.mean[c], p.mean_lo[c]) * p.inv_std[c];
            sum += of.dx[k];
            along += of.dx[k] * xhat;
            dy_along += p.dy[k] * xhat;
        }
        const long double left = p.gamma[c] * p.inv_std[c] * dy_along * epsilon / (p.var[c] + epsilon);
        ck_assert_ldouble_le(fabsl(sum), 1e-16L);
        ck_assert_ldouble_le(fabsl(along - left), 1e-16L);
        ck_assert_ldouble_gt(fabsl(left), 1e-6L);
    }
}
END_TEST

/* Steps of 2^-32, which 2^20 + x holds exactly: at 10^6 sigma the last place of a long double's mean is 10^-13 sigma, and of what follows
 * from it. Here all is as it is about 0, to some places of a number of size 1. */
START_TEST(nothing_depends_on_where_the_data_lies) {
    const double far = 0x1p20;
    const long double none = 0x1p-59L;
    uint64_t state = 11;
    problem near, away;
    gradients of_near, of_away;
    draw(&near, &activations[5], 0, 0, &state);
    for (int k = 0; k < COUNT; k++) near.x[k] = rint(near.x[k] * 0x1p32) * 0x1p-32;
    away = near;
    for (int k = 0; k < COUNT; k++) away.x[k] += far;
    forward(&near), forward(&away);
    differentiate(&near, &of_near), differentiate(&away, &of_away);
    for (int c = 0; c < CHANNELS; c++) {
        const long double apart = (away.mean[c] - far - near.mean[c]) + (away.mean_lo[c] - near.mean_lo[c]);
        ck_assert_msg(fabsl(apart) <= none, "the mean of channel %d is off by %Lg", c, apart);
        ck_assert_ldouble_le(fabsl(away.var[c] - near.var[c]), none);
        ck_assert_ldouble_le(fabsl(of_away.dgamma[c] - of_near.dgamma[c]), 4 * none);
    }
    for (int k = 0; k < COUNT; k++) {
        ck_assert_msg(fabsl(away.v[k] - near.v[k]) <= none, "v %d is off by %Lg", k, away.v[k] - near.v[k]);
        ck_assert_ldouble_le(fabsl(of_away.dx[k] - of_near.dx[k]), 4 * none);
    }
}
END_TEST

/* mean_lo is 0 there, and takes nothing from what the other numbers are; the other channel does not notice. */
START_TEST(what_is_not_finite_stays_in_its_channel) {
    static const double those[] = {NAN, INFINITY, -INFINITY};
    uint64_t state = 13;
    for (int t = 0; t < 3; t++) {
        problem p, clean;
        draw(&p, &activations[0], 0, 0, &state);
        clean = p;
        p.x[INNER] = those[t];
        forward(&p);
        ck_assert(!isfinite(p.mean[1]) && p.mean_lo[1] == 0 && isnan(p.var[1]));
        ck_assert(p.mean[0] == clean.mean[0] && p.mean_lo[0] == clean.mean_lo[0] && p.var[0] == clean.var[0]);
        for (int k = 0; k < COUNT; k++) ck_assert(k / INNER % CHANNELS ? isnan(p.v[k]) : p.v[k] == clean.v[k]);
    }
}
END_TEST

START_TEST(kinks_belong_to_their_lower_side) {
    const definition_activation *a = activations;
    ck_assert(definition_derivative(&a[1], 0) == 0 && definition_derivative(&a[1], 0x1p-100L) == 1);
    ck_assert(definition_derivative(&a[2], 0) == 0.125 && definition_derivative(&a[2], 0x1p-100L) == 1);
    ck_assert(definition_derivative(&a[4], -0.75) == 0 && definition_derivative(&a[4], 1.5) == 1);
    ck_assert(definition_derivative(&a[4], 1.5000001L) == 0 && definition_derivative(&a[4], 0) == 1);
    ck_assert(definition_derivative(&a[5], 0) == 0.5 && definition_activate(&a[5], 0) == 0);
    for (int k = 0; k < ACTIVATIONS; k++) ck_assert(isnan(definition_activate(&a[k], NAN)));
}
END_TEST

/* ---------------------------------------------------------------------------------------------------------- storage types */

START_TEST(every_pattern_of_16_bits_comes_back) {
    static const clbn_dtype types[] = {CLBN_F16, CLBN_BF16};
    for (int t = 0; t < 2; t++)
        for (unsigned bits = 0; bits < 65536; bits++) {
            const uint16_t given = (uint16_t)bits;
            uint16_t back;
            const double value = stored_get(types[t], &given);
            stored_put(types[t], &back, value);
            if (isnan(value) ? !isnan(stored_get(types[t], &back)) : back != given)
                ck_abort_msg("%s: 0x%04x is %g, which is 0x%04x", stored_name(types[t]), given, value, back);
        }
}
END_TEST

/* The upper half of a float is its bfloat16; known float16s are those of IEEE 754's table. */
START_TEST(known_values_have_their_known_bits) {
    static const struct {
        clbn_dtype type;
        uint16_t bits;
        double value;
    } known[] = {{CLBN_F16, 0x3c00, 1},          {CLBN_F16, 0xc000, -2},         {CLBN_F16, 0x7bff, 65504},
                 {CLBN_F16, 0x0400, 0x1p-14},    {CLBN_F16, 0x0001, 0x1p-24},    {CLBN_F16, 0x03ff, 0x3ffp-24},
                 {CLBN_F16, 0x3555, 0x555p-12},  {CLBN_F16, 0x8000, -0.0},       {CLBN_F16, 0x7c00, INFINITY},
                 {CLBN_BF16, 0x3f80, 1},         {CLBN_BF16, 0x4049, 3.140625},  {CLBN_BF16, 0x0001, 0x1p-133},
                 {CLBN_BF16, 0xff80, -INFINITY}, {CLBN_BF16, 0x7f7f, 0x1.fep127}};
    for (size_t k = 0; k < sizeof known / sizeof *known; k++)
        ck_assert_double_eq(stored_get(known[k].type, &known[k].bits), known[k].value);
    for (unsigned bits = 0; bits < 0xff80u; bits += 7) {
        const uint32_t wide = (uint32_t)bits << 16;
        const uint16_t half = (uint16_t)bits;
        float value;
        memcpy(&value, &wide, sizeof value);
        if (!isnan(value) && stored_get(CLBN_BF16, &half) != (double)value) ck_abort_msg("0x%04x is not %g", half, (double)value);
    }
}
END_TEST

START_TEST(rounding_is_to_nearest_and_ties_to_even) {
    ck_assert_double_eq(stored_round(CLBN_F16, 2049), 2048);
    ck_assert_double_eq(stored_round(CLBN_F16, 2051), 2052);
    ck_assert_double_eq(stored_round(CLBN_F16, 2049.0001L), 2050);
    ck_assert_double_eq(stored_round(CLBN_F16, 65519.999L), 65504);
    ck_assert_double_eq(stored_round(CLBN_F16, 65520), INFINITY);
    ck_assert_double_eq(stored_round(CLBN_F16, -65520), -INFINITY);
    ck_assert_double_eq(stored_round(CLBN_F16, 0x1p-25L), 0);
    ck_assert_double_eq(stored_round(CLBN_F16, 0x1.8p-24L), 0x1p-23);
    ck_assert_double_eq(stored_round(CLBN_BF16, 257), 256);
    ck_assert_double_eq(stored_round(CLBN_BF16, 259), 260);
    ck_assert_double_eq(stored_round(CLBN_BF16, 0x1.ffp127L), INFINITY);
    uint64_t state = 3;
    for (int k = 0; k < 20000; k++) {
        const long double value = ldexpl(around_0(&state), (int)(state >> 58) * 5 - 160);
        for (int t = 0; t < 2; t++) {
            const clbn_dtype type = t ? CLBN_F64 : CLBN_F32;
            const long double step = 2 * stored_half_ulp(type, value), near = rintl(value / step) * step;
            const int past = t == 0 && fabsl(near) >= 0x1p128L;
            if (stored_round(type, value) != (past ? copysign(INFINITY, (double)value) : (double)near))
                ck_abort_msg("%.20Lg is rounded to %.20g", value, stored_round(type, value));
        }
    }
}
END_TEST

static void add(Suite *suite) {
    TCase *tests = add_tests(suite, "definition");
    tcase_add_loop_test(tests, finite_differences_give_the_gradients, 0, 4 * ACTIVATIONS);
    tcase_add_test(tests, dx_has_no_mean_and_little_along_xhat);
    tcase_add_test(tests, nothing_depends_on_where_the_data_lies);
    tcase_add_test(tests, what_is_not_finite_stays_in_its_channel);
    tcase_add_test(tests, kinks_belong_to_their_lower_side);
    tcase_add_test(tests, every_pattern_of_16_bits_comes_back);
    tcase_add_test(tests, known_values_have_their_known_bits);
    tcase_add_test(tests, rounding_is_to_nearest_and_ties_to_even);
}

int main(void) {
    return run_suite("definition", add);
}
