/* SPDX-License-Identifier: Apache-2.0
 *
 * Extents past 65535 in every dimension, where a 16-bit index or a launch dimension with a limit would give itself away: forward
 * through relu and back, judged by plain loops in double.
 */
#include "support.h"

#include <math.h>
#include <stdlib.h>

static const size_t shapes[][3] = {{70001, 2, 1}, {1, 70001, 1}, {1, 2, 70001}, {70001, 1, 3},  {2, 70001, 2},  {3, 70001, 1},
                                   {65537, 3, 2}, {5, 1, 70001}, {1, 70001, 3}, {70001, 17, 1}, {17, 70001, 1}, {2, 3, 140003}};

static double *numbers(size_t count) {
    double *p = calloc(count, sizeof *p);
    ck_assert_ptr_nonnull(p);
    return p;
}

static float *floats(size_t count) {
    float *p = calloc(count, sizeof *p);
    ck_assert_ptr_nonnull(p);
    return p;
}

static size_t channel_of(const size_t *s, size_t k) {
    return k / s[2] % s[1];
}

/* Of each channel: sum(g), sum(g * (x - mean)). */
static void add_up(const size_t *s, const float *g, const float *x, const double *mean, double *first, double *second) {
    for (size_t k = 0; k < s[0] * s[1] * s[2]; k++) {
        const size_t c = channel_of(s, k);
        first[c] += (double)g[k];
        second[c] += (double)g[k] * ((double)x[k] - mean[c]);
    }
}

static void must_be_near(const size_t *s, const char *what, size_t k, double got, double want, double scale) {
    if (fabs(got - want) <= 2e-6 * scale) return;
    ck_abort_msg("%zux%zux%zu: %s[%zu] is %.9g instead of %.9g", s[0], s[1], s[2], what, k, got, want);
}

/* A batch, what the calls made of it, and what the loops did. */
typedef struct subject {
    const size_t *s;
    size_t count;
    double n;
    float *x, *y, *dy, *dx, *mean, *mean_lo, *inv_std, *dgamma, *dbeta;
    double *m, *var, *first, *second, *size, *product, *nothing;
} subject;

static void make(subject *t, const size_t *s) {
    const size_t channels = s[1];
    *t = (subject){.s = s, .count = s[0] * s[1] * s[2], .n = (double)(s[0] * s[2])};
    float **tensors[] = {&t->x, &t->y, &t->dy, &t->dx}, **singles[] = {&t->mean, &t->mean_lo, &t->inv_std, &t->dgamma, &t->dbeta};
    double **doubles[] = {&t->m, &t->var, &t->first, &t->second, &t->size, &t->product, &t->nothing};
    for (int k = 0; k < 4; k++) *tensors[k] = floats(t->count);
    for (int k = 0; k < 5; k++) *singles[k] = floats(channels);
    for (int k = 0; k < 7; k++) *doubles[k] = numbers(channels);
    for (size_t k = 0; k < t->count; k++) { /* scattered, so that every place counts */
        const uint32_t hash = (uint32_t)k * 2654435761u;
        t->x[k] = (float)(hash >> 20) / 1024 + (float)(channel_of(s, k) % 5);
        t->dy[k] = (float)((hash >> 8) & 1023) / 512 - 0.75f;
    }
}

static void unmake(subject *t) {
    float *singles[] = {t->x, t->y, t->dy, t->dx, t->mean, t->mean_lo, t->inv_std, t->dgamma, t->dbeta};
    double *doubles[] = {t->m, t->var, t->first, t->second, t->size, t->product, t->nothing};
    for (int k = 0; k < 9; k++) free(singles[k]);
    for (int k = 0; k < 7; k++) free(doubles[k]);
}

static void call_both(subject *t) {
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = 3, config.dims = t->s, config.activation = CLBN_RELU, config.epsilon = 0.25;
    clbn_plan *plan = plan_of(tested(), &config);
    const clbn_buffer mean = clbn_host(t->mean), mean_lo = clbn_host(t->mean_lo), inv_std = clbn_host(t->inv_std);
    const clbn_forward_args forward = {
        .x = clbn_host(t->x), .y = clbn_host(t->y), .saved_mean = mean, .saved_mean_lo = mean_lo, .saved_inv_std = inv_std};
    ck_clbn(clbn_forward_training(plan, NULL, &forward, 0, NULL, NULL));
    const clbn_backward_args backward = {.dy = clbn_host(t->dy),
                                         .x = clbn_host(t->x),
                                         .dx = clbn_host(t->dx),
                                         .dgamma = clbn_host(t->dgamma),
                                         .dbeta = clbn_host(t->dbeta),
                                         .saved_mean = mean,
                                         .saved_mean_lo = mean_lo,
                                         .saved_inv_std = inv_std};
    ck_clbn(clbn_backward_training(plan, NULL, &backward, 0, NULL, NULL));
    clbn_plan_destroy(plan);
}

static double inv_std_of(const subject *t, size_t c) {
    return 1 / sqrt(t->var[c] / t->n + 0.25);
}

/* Leaves g in dy's place. */
static void judge_forward(subject *t) {
    const size_t *s = t->s, channels = s[1];
    add_up(s, t->x, t->x, t->nothing, t->m, t->second);
    for (size_t c = 0; c < channels; c++) t->m[c] /= t->n, t->second[c] = 0;
    add_up(s, t->x, t->x, t->m, t->nothing, t->var);
    for (size_t c = 0; c < channels; c++) {
        const double r = inv_std_of(t, c);
        must_be_near(s, "saved_mean", c, (double)t->mean[c] + (double)t->mean_lo[c], t->m[c], fmax(1, fabs(t->m[c])));
        must_be_near(s, "saved_inv_std", c, (double)t->inv_std[c], r, r);
    }
    for (size_t k = 0; k < t->count; k++) {
        const size_t c = channel_of(s, k);
        const double u = (double)t->x[k] - t->m[c], v = u * inv_std_of(t, c);
        must_be_near(s, "y", k, (double)t->y[k], v > 0 ? v : 0, fmax(1, fabs(v)));
        if (!(t->y[k] > 0)) t->dy[k] = 0;
        t->size[c] += fabs((double)t->dy[k]), t->product[c] += fabs((double)t->dy[k] * u);
    }
}

static void judge_backward(subject *t) {
    const size_t *s = t->s;
    add_up(s, t->dy, t->x, t->m, t->first, t->second);
    for (size_t c = 0; c < s[1]; c++) {
        const double r = inv_std_of(t, c);
        must_be_near(s, "dbeta", c, (double)t->dbeta[c], t->first[c], t->size[c]);
        must_be_near(s, "dgamma", c, (double)t->dgamma[c], r * t->second[c], r * t->product[c] + 1e-6);
    }
    for (size_t k = 0; k < t->count; k++) {
        const size_t c = channel_of(s, k);
        const double r = inv_std_of(t, c), u = ((double)t->x[k] - t->m[c]) * r, g = (double)t->dy[k];
        const double want = r * (g - t->first[c] / t->n - u * r * t->second[c] / t->n);
        const double scale = r * (fabs(g) + t->size[c] / t->n + fabs(u) * r * t->product[c] / t->n);
        must_be_near(s, "dx", k, (double)t->dx[k], want, scale + 1e-9);
    }
}

static void try_shape(const size_t *s) {
    subject t;
    make(&t, s);
    call_both(&t);
    judge_forward(&t);
    judge_backward(&t);
    unmake(&t);
}

START_TEST(extents_past_65535_are_ordinary) {
    const size_t *s = shapes[_i];
    if (s[0] * s[1] * s[2] <= test_element_limit()) try_shape(s);
}
END_TEST

static void add(Suite *suite) {
    TCase *tests = add_tests(suite, "extents");
    tcase_add_loop_test(tests, extents_past_65535_are_ordinary, 0, (int)(sizeof shapes / sizeof *shapes));
}

int main(void) {
    return run_suite("extents", add);
}
