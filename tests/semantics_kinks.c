/* SPDX-License-Identifier: Apache-2.0
 *
 * Forward and backward stand on the same side of a kink, to the bit, where v is made of values that nearly cancel: by saved
 * statistics, by ones made again, and by mask.
 */
#include "semantics.h"

#include <math.h>
#include <stdlib.h>

/* A batch whose v lie within roundings of the kink at 0: the residual takes bn(x) away again, but for a last place or none. */
static void aim_at_the_kink(material *m) {
    const definition_shape s = m->b->shape;
    const int population = m->m.level[BY_STATISTICS] == OF_POPULATION, outside = manner_config(&m->m).epsilon_rule != 0;
    long double *mean = calloc(4 * s.channels + m->b->count, sizeof *mean), *lo = mean + s.channels, *var = lo + s.channels,
                *r = var + s.channels, *v = r + s.channels;
    ck_assert_ptr_nonnull(mean);
    definition_moments(s, m->x, mean, lo, var);
    for (size_t c = 0; c < s.channels; c++) {
        if (population) mean[c] = m->running_mean[c], lo[c] = 0, var[c] = m->running_var[c];
        r[c] = definition_inv_std(var[c], m->epsilon, outside);
    }
    definition_normalize(s, m->x, mean, lo, r, material_gamma(m), material_beta(m), NULL, v);
    for (size_t k = 0; k < m->b->count; k++) {
        const float near = (float)-v[k];
        m->residual[k] = k % 3 == 0 ? near : nextafterf(near, k % 3 == 1 ? INFINITY : -INFINITY);
        m->dy[k] = m->dy[k] == 0 ? 1 : m->dy[k];
    }
    free(mean);
}

static void sides_must_agree(const material *m, const char *variant) {
    const definition_activation act = manner_activation(&m->m);
    stage s;
    const clbn_status status = stage_open(&s, tested(), tested_queue(), m, variant, "at the kink");
    if (variant && status == CLBN_ERROR_UNSUPPORTED) return;
    ck_clbn(status);
    stage_forward(&s);
    stage_backward(&s);
    size_t above = 0;
    for (size_t k = 0; k < m->b->count; k++) {
        const int forward = s.out.y[k] > (act.kind == DEFINITION_CLIP ? act.low : 0), backward = s.out.dresidual[k] == m->dy[k];
        above += (size_t)forward;
        if (forward != backward)
            ck_abort_msg("element %zu: y is %g, so v is %s the kink, and dresidual %g of dy %g: %s", k, s.out.y[k],
                         forward ? "above" : "not above", s.out.dresidual[k], m->dy[k], s.title);
    }
    ck_assert_msg(above > m->b->count / 20 && above < m->b->count - m->b->count / 20, "only %zu of %zu v lie above: %s", above,
                  m->b->count, s.title);
    stage_close(&s);
}

/* By saved statistics, by ones made again, and by mask. The plan's choice, and the variants in turn. */
START_TEST(backward_stands_on_forwards_side_of_a_kink) {
    static const char *const shapes[] = {"inner_49", "lanes_17", "tiny_mixed", "inner_1025"};
    const test_case *c = case_named(shapes[_i % 4]);
    const char *names[MOST_NAMES];
    const size_t count = variant_names(names);
    if (case_elements(c) > test_element_limit() || (test_is_short() && _i != 2)) return;
    batch b;
    batch_make(&b, c, tested_flushes_denormals());
    for (unsigned how = 0; how < 3; how++)
        for (unsigned statistics = 0; statistics < 2; statistics++)
            for (unsigned rule = 0; rule < 2; rule++) {
                manner plain = {{0}};
                plain.level[BY_ACTIVATION] = _i == 1 ? 2 : 1; /* leaky, relu */
                plain.level[BY_RESIDUAL] = 1;
                plain.level[BY_MASK] = how == 2;
                plain.level[BY_SAVED] = how == 1 ? RECOMPUTED : ALL_SAVED;
                plain.level[BY_STATISTICS] = (unsigned char)statistics;
                plain.level[BY_RULE] = (unsigned char)rule;
                material m;
                material_make(&m, &b, &plain);
                aim_at_the_kink(&m);
                sides_must_agree(&m, NULL);
                const size_t turn = 1 + ((size_t)_i * 3 + how) % (count > 1 ? count - 1 : 1);
                if (turn < count && !test_is_short()) sides_must_agree(&m, names[turn]);
                material_free(&m);
            }
    batch_free(&b);
}
END_TEST

/* Each channel has two values, and beta takes one of them to the kink but for a last place. */
static void make_two_values(batch *b, double epsilon, int outside) {
    const definition_shape s = b->shape;
    long double *mean = calloc(3 * s.channels, sizeof *mean), *lo = mean + s.channels, *var = lo + s.channels;
    for (size_t i = 0; i < b->count; i++) {
        const size_t c = i / s.inner % s.channels;
        b->x[i] = b->x[i] > 0 ? b->running_mean[c] : b->running_mean[c] + 1.7f * b->gamma[c];
    }
    double *x = widened(b->x, b->count);
    definition_moments(s, x, mean, lo, var);
    for (size_t c = 0; c < s.channels; c++) {
        const long double r = definition_inv_std(var[c], epsilon, outside);
        const float near = (float)(-b->gamma[c] * definition_about(b->running_mean[c], mean[c], lo[c]) * r);
        b->beta[c] = c % 3 == 0 ? near : nextafterf(near, c % 3 == 1 ? INFINITY : -INFINITY);
    }
    free(x), free(mean);
}

/* With dy 1 and no residual each channel's dbeta counts the values above. saved: are they given to backward? */
static void dbeta_must_count(const batch *b, const clbn_config *config, int saved) {
    const definition_shape s = b->shape;
    const size_t n = s.channels;
    float *y = calloc(2 * b->count + 5 * n, sizeof *y), *one = y + b->count, *statistics = one + b->count;
    float *dbeta = statistics + 4 * n;
    clbn_plan *plan = plan_of(tested(), config);
    char *bits = calloc(clbn_plan_mask_bytes(plan) + 1, 1);
    const clbn_buffer mask = clbn_host(config->mask ? bits : NULL), absent = {0};
    const clbn_buffer mean = clbn_host(statistics), lo = clbn_host(statistics + n), var = clbn_host(statistics + 2 * n),
                      inv_std = clbn_host(statistics + 3 * n);
    for (size_t i = 0; i < b->count; i++) one[i] = 1;
    ck_clbn(clbn_forward_training(plan, NULL,
                                  &(clbn_forward_args){.x = clbn_host(b->x),
                                                       .y = clbn_host(y),
                                                       .gamma = clbn_host(b->gamma),
                                                       .beta = clbn_host(b->beta),
                                                       .saved_mean = mean,
                                                       .saved_mean_lo = lo,
                                                       .saved_var = var,
                                                       .saved_inv_std = inv_std,
                                                       .mask = mask},
                                  0, NULL, NULL));
    ck_clbn(clbn_backward_training(plan, NULL,
                                   &(clbn_backward_args){.dy = clbn_host(one),
                                                         .x = clbn_host(b->x),
                                                         .dbeta = clbn_host(dbeta),
                                                         .gamma = clbn_host(b->gamma),
                                                         .beta = clbn_host(b->beta),
                                                         .saved_mean = saved ? mean : absent,
                                                         .saved_mean_lo = saved ? lo : absent,
                                                         .saved_var = saved ? var : absent,
                                                         .saved_inv_std = saved ? inv_std : absent,
                                                         .mask = mask},
                                   0, NULL, NULL));
    for (size_t c = 0; c < n; c++) {
        size_t above = 0;
        for (size_t i = 0; i < b->count; i++) above += i / s.inner % n == c && y[i] > 0;
        ck_assert_msg(dbeta[c] == (float)above, "channel %zu of %zux%zux%zu: %zu values passed, and dbeta is %g", c, s.outer, n,
                      s.inner, above, (double)dbeta[c]);
    }
    clbn_plan_destroy(plan);
    free(y), free(bits);
}

START_TEST(dbeta_counts_what_forward_let_pass) {
    static const size_t shapes[][3] = {{16, 40, 1}, {4, 20, 24}, {2, 8, 147}};
    for (int k = 0; k < 9; k++) {
        const size_t *shape = shapes[k / 3];
        if (shape[0] * shape[1] * shape[2] > test_element_limit() || (test_is_short() && k % 4)) continue;
        const test_case of = case_of(shape[0], shape[1], shape[2], NORMAL);
        clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
        config.rank = 3, config.dims = of.dims, config.activation = CLBN_RELU, config.mask = k % 3 == 2;
        config.epsilon_rule = (clbn_epsilon_rule)(k % 2);
        batch b;
        batch_make(&b, &of, 0);
        make_two_values(&b, config.epsilon, k % 2);
        dbeta_must_count(&b, &config, k % 3 != 1);
        batch_free(&b);
    }
}
END_TEST

void add_kinks(TCase *tests) {
    tcase_add_loop_test(tests, backward_stands_on_forwards_side_of_a_kink, 0, 4);
    tcase_add_test(tests, dbeta_counts_what_forward_let_pass);
}
