/* SPDX-License-Identifier: Apache-2.0
 *
 * On data whose products and sums float32 holds, nothing may be lost: results are compared without any tolerance, for every variant,
 * type and layout. exact.h makes the data.
 * Sums of g and g * (x - mean), the mean given: whatever the order, each partial sum is an integer below 2^24.
 * Mean and M2 of equal blocks: each block's sum of deviations from its first value is an integer, and a power of two divides it, so
 * its mean is the exact one; all later deviations are from that, their sums 0, their squares' sums integers. Blocks of one mean
 * merge without moving it, whatever shares of the values they hold.
 * Elsewhere a mean moves by (difference of means) * share, rounded: a few u of a difference that is small beside the mean, to
 * which half an ulp comes when it is rounded itself: 1 ulp. For M2 a deviation is from a mean that is rounded, and its square is,
 * by u each; and a block's sum, of up to 32 such terms a lane, by up to 5 u more where its four chains grow evenly, as roundings of
 * either sign by about the root of that; what blocks differ by is small, and they are added in two floats: 4 u.
 */
#include "exact.h"
#include "stage.h"
#include "support.h"
#include "verdict.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TYPES = 5, LAYOUTS = 6, COMMON = 2 };

static const char *variants[MOST_NAMES];
static size_t variant_count, held[MOST_NAMES], values;
static clbn_device *judged[2]; /* on the CPU path: with its best loops and with the portable ones */
static size_t judged_count;
static long double worst_mean, worst_m2[2]; /* in ulp; in u, of float32 and of float64 */

static void open_judged(void) {
    variant_count = variant_names(variants);
    judged[0] = tested(), judged_count = 1;
    if (tested_is_cpu_path()) judged[judged_count++] = open_device("cpu", 1);
}

static void close_judged(void) {
    for (size_t k = 0; k < variant_count; k++) printf("stages %-22s %zu\n", variants[k] ? variants[k] : "chosen", held[k]);
    printf("values compared to the bit: %zu\n", values);
    printf("elsewhere: mean off by %.3Lf ulp at most, M2 by %.3Lf u, in float64 by %.3Lf u\n", worst_mean, worst_m2[0],
           worst_m2[1]);
    if (judged_count > 1) clbn_device_destroy(judged[1]);
}

/* --------------------------------------------------------------------------------------------------------------- comparing */

static void must_be(double got, long double want, const char *what, size_t at, const char *title) {
    values++;
    if (got != want) ck_abort_msg("%s[%zu] is %.12g instead of exactly %.12Lg: %s", what, at, got, want, title);
}

static clbn_dtype real_of(const stage *s) {
    return manner_is_f64(&s->of->m) ? CLBN_F64 : CLBN_F32;
}

/* A part's five arrays, and what its count must be. */
static double *read_part(stage *s, guarded *part, guarded *count) {
    double *p = calloc(part->count, sizeof *p);
    ck_assert_ptr_nonnull(p);
    if (s->queue) ck_cl(clFinish(s->queue));
    array_read(part, real_of(s), s->title, p);
    ck_assert_uint_eq(*(const uint64_t *)guarded_read(count, s->title), s->of->b->values);
    guarded_free(part), guarded_free(count);
    return p;
}

static void make_part(stage *s, guarded *part, guarded *count) {
    array_make(part, "part", s->queue, CL_MEM_READ_WRITE, real_of(s), CLBN_PART_REALS * s->of->b->shape.channels, 0, NULL);
    guarded_make_of(count, "count", s->queue, CL_MEM_READ_WRITE, sizeof(uint64_t), 1, 0, NULL);
}

/* ------------------------------------------------------------------------------------------------------------------- calls */

static void make_input(stage *s, role r, const double *from) {
    tensor_free(&s->tensors[r]);
    tensor_make(&s->tensors[r], r == ROLE_X ? "x" : "dy", s->queue, CL_MEM_READ_WRITE,
                r == ROLE_X ? manner_x_type(&s->of->m) : manner_y_type(&s->of->m), s->of->b->shape,
                steps_of(s->of->m.level[BY_LAYOUT], (unsigned)r, s->of->b->shape), manner_offset(&s->of->m), from);
}

static double *moments_part(stage *s) {
    guarded part, count;
    make_part(s, &part, &count);
    make_input(s, ROLE_X, s->of->x);
    const clbn_moments_part_args args = {
        .x = guarded_buffer(&s->tensors[ROLE_X].memory), .part = guarded_buffer(&part), .count = guarded_buffer(&count)};
    ck_clbn(clbn_moments_part(s->plan, s->queue, &args, 0, NULL, NULL));
    return read_part(s, &part, &count);
}

static void make_channels(stage *s, guarded *g, const char *name, const double *from) {
    guarded_free(g);
    array_make(g, name, s->queue, CL_MEM_READ_WRITE, real_of(s), s->of->b->shape.channels, 0, from);
}

/* Backward's sums about the centers, as if these had been saved, with an inv_std of a quarter; dgamma and dbeta besides. */
static double *sums_part(stage *s, const exact *e) {
    const size_t n = e->b.shape.channels;
    guarded part, count;
    double *quarters = calloc(n, sizeof *quarters);
    ck_assert_ptr_nonnull(quarters);
    for (size_t c = 0; c < n; c++) quarters[c] = 0.25;
    make_part(s, &part, &count);
    make_input(s, ROLE_X, e->m.x);
    make_input(s, ROLE_DY, e->m.dy);
    make_channels(s, &s->mean, "saved_mean", e->center);
    make_channels(s, &s->inv_std, "saved_inv_std", quarters);
    make_channels(s, &s->dgamma, "dgamma", NULL);
    make_channels(s, &s->dbeta, "dbeta", NULL);
    free(quarters);
    const clbn_backward_args args = {.dy = guarded_buffer(&s->tensors[ROLE_DY].memory),
                                     .x = guarded_buffer(&s->tensors[ROLE_X].memory),
                                     .saved_mean = guarded_buffer(&s->mean),
                                     .saved_inv_std = guarded_buffer(&s->inv_std),
                                     .dgamma = guarded_buffer(&s->dgamma),
                                     .dbeta = guarded_buffer(&s->dbeta),
                                     .part = guarded_buffer(&part),
                                     .count = guarded_buffer(&count)};
    ck_clbn(clbn_backward_part(s->plan, s->queue, &args, 0, NULL, NULL));
    return read_part(s, &part, &count);
}

/* ----------------------------------------------------------------------------------------------------------- what must hold */

static void sums_must_be_exact(stage *s, const exact *e) {
    const size_t n = e->b.shape.channels;
    double *p = sums_part(s, e), *got = calloc(n, sizeof *got);
    ck_assert_ptr_nonnull(got);
    for (size_t c = 0; c < n; c++) {
        must_be(p[c], e->sum[c], "a part's sum(g)", c, s->title);
        must_be(p[n + c], 0, "what is left of a part's sum(g)", c, s->title);
        must_be(p[2 * n + c], e->product[c], "a part's sum(g * (x - mean))", c, s->title);
        must_be(p[3 * n + c], 0, "what is left of a part's sum(g * (x - mean))", c, s->title);
    }
    array_read(&s->dbeta, real_of(s), s->title, got);
    for (size_t c = 0; c < n; c++) must_be(got[c], e->sum[c], "dbeta", c, s->title);
    array_read(&s->dgamma, real_of(s), s->title, got);
    for (size_t c = 0; c < n; c++) must_be(got[c], e->product[c] / 4, "dgamma", c, s->title);
    free(p), free(got);
}

static void moments_must_be_exact(stage *s, const exact *e) {
    const size_t n = e->b.shape.channels;
    double *p = moments_part(s);
    for (size_t c = 0; c < n; c++) {
        must_be(p[c], e->center[c], "a part's mean", c, s->title);
        must_be(p[n + c], 0, "what is left of a part's mean", c, s->title);
        must_be(p[2 * n + c], e->m2[c], "a part's M2", c, s->title);
        must_be(p[3 * n + c], 0, "what is left of a part's M2", c, s->title);
    }
    free(p);
}

static void keep(long double *worst, long double ratio) {
    if (ratio > *worst) *worst = ratio;
}

static void moments_must_be_near(stage *s, const exact *e) {
    const size_t n = e->b.shape.channels;
    const clbn_dtype real = real_of(s);
    const long double u = bounds_real(bounds_for(tested_is_cpu_path(), &s->of->m));
    double *p = moments_part(s);
    for (size_t c = 0; c < n; c++) {
        const long double ulp = 2 * stored_half_ulp(real, e->mean[c]), of_mean = fabsl(p[c] - e->mean[c]);
        const long double of_m2 = fabsl((long double)p[2 * n + c] + p[3 * n + c] - e->m2[c]);
        if (!(of_mean <= ulp))
            ck_abort_msg("the mean of channel %zu is %.12g, not within 1 ulp of %.12Lg: %s", c, p[c], e->mean[c], s->title);
        if (!(of_m2 <= 4 * u * e->m2[c]))
            ck_abort_msg("M2 of channel %zu is %.12g + %.3g, not within 4 u of %.12Lg, but off by %.3Lg u: %s", c, p[2 * n + c],
                         p[3 * n + c], e->m2[c], of_m2 / (u * e->m2[c]), s->title);
        keep(&worst_mean, of_mean / ulp);
        if (e->m2[c] > 0) keep(&worst_m2[real == CLBN_F64], of_m2 / (u * e->m2[c]));
    }
    free(p);
}

/* Forward, and back by what it saved. */
static void all_must_be_exact(stage *s, const exact *e) {
    const size_t n = e->b.shape.channels;
    const material *m = s->of;
    stage_forward(s);
    stage_backward(s);
    for (size_t c = 0; c < n; c++) {
        must_be(s->out.mean[c], e->center[c], "saved_mean", c, s->title);
        must_be(s->out.mean_lo[c], 0, "saved_mean_lo", c, s->title);
        must_be(s->out.var[c], EXACT_VAR, "saved_var", c, s->title);
        must_be(s->out.inv_std[c], e->inv_std, "saved_inv_std", c, s->title);
        must_be(s->out.running_mean[c], e->center[c], "running_mean", c, s->title);
        must_be(s->out.running_var[c], EXACT_VAR, "running_var", c, s->title);
        must_be(s->out.dbeta[c], e->sum[c], "dbeta", c, s->title);
        must_be(s->out.dgamma[c], e->product[c] * e->inv_std, "dgamma", c, s->title);
    }
    for (size_t k = 0; k < e->b.count; k++) {
        must_be(s->out.y[k], stored_round(manner_y_type(&m->m), e->y[k]), "y", k, s->title);
        must_be(s->out.dx[k], stored_round(manner_x_type(&m->m), e->dx[k]), "dx", k, s->title);
    }
}

/* ------------------------------------------------------------------------------------------------------------------ sweeping */

typedef void (*must_hold)(stage *s, const exact *e);

static int lacks_f64(const manner *how) {
    clbn_device_info info;
    ck_clbn(clbn_device_query(tested(), &info));
    return !info.has_fp64 && manner_is_f64(how);
}

static void by_every_variant(const exact *e, must_hold holds) {
    static size_t turn;
    turn++;
    for (size_t k = 0; k < variant_count; k++)
        for (size_t j = 0; j < judged_count; j++) {
            if (test_is_short() && k != turn % variant_count) continue;
            stage s;
            const clbn_status status = stage_open(&s, judged[j], tested_queue(), &e->m, variants[k], j ? "portable" : "exact");
            if (variants[k] && status == CLBN_ERROR_UNSUPPORTED) continue;
            if (status != CLBN_SUCCESS) ck_abort_msg("no plan: %s, saying: %s\n%s", clbn_status_name(status), said(), s.title);
            holds(&s, e);
            stage_close(&s);
            held[k]++;
        }
}

/* x and y float32, float16, bfloat16, float64, and a pair that differs; every layout. */
static manner manner_at(size_t nth) {
    static const unsigned char types[TYPES][2] = {{0, 0}, {1, 1}, {2, 2}, {3, 3}, {1, 0}};
    manner how = {{0}};
    how.level[BY_X_TYPE] = types[nth % TYPES][0], how.level[BY_Y_TYPE] = types[nth % TYPES][1];
    how.level[BY_LAYOUT] = (unsigned char)(nth / TYPES % LAYOUTS);
    how.level[BY_RULE] = 2; /* a weight of 1: running statistics become the batch's */
    how.level[BY_OFFSET] = nth % 4 == 3;
    return how;
}

/* The first COMMON of each table have groups of the same sizes, for which drivers compile anew; these go by every type in every layout,
 * the others by float32, dense, and on the CPU path, which compiles nothing, by all too. Under a simulator some go, by one
 * variant each. */
static int takes_turn(size_t nth, size_t k) {
    if (test_is_short()) return nth % 4 == 0 && (k + nth / 4) % 3 == 0;
    return k < COMMON || nth == 0 || tested_is_cpu_path();
}

static void sweep(size_t nth, exact_kind kind, const size_t shapes[][3], size_t shape_count, must_hold holds) {
    const manner how = manner_at(nth);
    for (size_t k = 0; k < shape_count && !lacks_f64(&how); k++) {
        const size_t *extents = shapes[k];
        if (extents[0] * extents[1] * extents[2] > test_element_limit() || !takes_turn(nth, k)) continue;
        exact e;
        exact_make(&e, kind, extents, &how, k % 2 ? 12 : 0);
        by_every_variant(&e, holds);
        exact_free(&e);
    }
}

/* Powers of two, so that a device whose groups are powers of two cuts such blocks, and the CPU path, whose blocks hold whole rows. */
static const size_t powers[][3] = {{64, 4, 64},  {256, 8, 1},  {1, 2, 4096}, {1024, 1, 1}, {16, 4, 256},
                                   {4096, 4, 1}, {2, 4, 8192}, {64, 8, 16},  {128, 32, 1}, {64, 2, 4},
                                   {8192, 2, 2}, {8, 1, 64},   {32, 16, 1},  {2, 4, 64}};
/* Extents about vectors, blocks and groups, and those of single values. */
static const size_t any[][3] = {{5, 3, 61}, {129, 7, 1},  {5, 3, 1025}, {1, 2, 4999},   {997, 3, 7},   {33, 1, 31},  {1, 1, 1},
                                {1, 19, 2}, {2, 19, 1},   {65, 33, 3},  {2047, 2, 1},   {1, 1, 16411}, {513, 15, 1}, {33, 2, 15},
                                {4, 2, 17}, {129, 17, 1}, {17, 1, 63},  {1, 1, 150001}, {40001, 3, 1}};
#define COUNT(of) (sizeof(of) / sizeof *(of))

/* Else blocks are of other lengths: PoCL can be told to take groups of 7. */
static int blocks_are_equal(void) {
    size_t group = 1;
    if (!tested_is_cpu_path())
        ck_cl(clGetDeviceInfo(tested_cl_device(), CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof group, &group, NULL));
    if ((group & (group - 1)) == 0) return 1;
    printf("left out: blocks of equal length, in groups of %zu\n", group);
    return 0;
}

START_TEST(sums_of_gradients_are_exact) {
    sweep((size_t)_i, SCATTERED, any, COUNT(any), sums_must_be_exact);
}
END_TEST

START_TEST(mean_and_m2_of_equal_blocks_are_exact) {
    if (blocks_are_equal()) sweep((size_t)_i, EQUAL_BLOCKS, powers, COUNT(powers), moments_must_be_exact);
}
END_TEST

START_TEST(forward_and_back_of_equal_blocks_are_exact) {
    if (blocks_are_equal()) sweep((size_t)_i, EQUAL_BLOCKS, powers, COUNT(powers), all_must_be_exact);
}
END_TEST

START_TEST(elsewhere_the_mean_is_within_1_ulp_and_m2_within_4_u) {
    sweep((size_t)_i, SCATTERED, any, COUNT(any), moments_must_be_near);
}
END_TEST

START_TEST(every_variant_was_compared) {
    ck_assert_uint_gt(values, 0);
    for (size_t k = 0; k < variant_count; k++)
        ck_assert_msg(held[k] > 0, "nothing was run by %s", variants[k] ? variants[k] : "the plan's own choice");
}
END_TEST

static void add(Suite *suite) {
    TCase *tests = add_tests(suite, "exact");
    tcase_add_unchecked_fixture(tests, open_judged, close_judged);
    tcase_add_loop_test(tests, sums_of_gradients_are_exact, 0, TYPES * LAYOUTS);
    tcase_add_loop_test(tests, mean_and_m2_of_equal_blocks_are_exact, 0, TYPES * LAYOUTS);
    tcase_add_loop_test(tests, forward_and_back_of_equal_blocks_are_exact, 0, TYPES * LAYOUTS);
    tcase_add_loop_test(tests, elsewhere_the_mean_is_within_1_ulp_and_m2_within_4_u, 0, TYPES * LAYOUTS);
    tcase_add_test(tests, every_variant_was_compared);
}

int main(void) {
    return run_suite("exact", add);
}
