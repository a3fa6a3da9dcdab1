/* SPDX-License-Identifier: Apache-2.0
 *
 * Data that sums exactly: see exact.h.
 */
#include "exact.h"
#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void *zeros(size_t count, size_t bytes) {
    void *p = calloc(count + 1, bytes);
    ck_assert_ptr_nonnull(p);
    return p;
}

size_t exact_place(const exact *e, size_t c, size_t k) {
    const definition_shape s = e->b.shape;
    return (k / s.inner * s.channels + c) * s.inner + k % s.inner;
}

/* splitmix64's last step: an integer from -most to most that k, c and salt choose. */
static int drawn(size_t k, size_t c, uint64_t salt, int most) {
    uint64_t z = (k * 0x9e3779b97f4a7c15u) ^ (c * 0xd1b54a32d192ed03u) ^ (salt << 56);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (int)((z ^ (z >> 31)) % (uint64_t)(2 * most + 1)) - most;
}

/* Of equal blocks: plus or minus by the parity of k's bits (Thue, Morse), so that values which differ in one bit of k, the lowest
 * three apart, cancel: any block of which such a bit is free has the sum 0. Of each eight one is 5 and seven are 1 in size, their
 * squares 32 together: var is 4. */
static int deviation(exact_kind kind, size_t k, size_t c) {
    if (kind == SCATTERED) return drawn(k, c, 1, 7);
    int odd = 0;
    for (size_t bits = k; bits; bits &= bits - 1) odd = !odd;
    const int size = (k & 7) == (c & 7) ? 5 : 1;
    return odd ? -size : size;
}

/* An integer that x's type still holds after 7 more or less: to 2^8 bfloat16, to 2^11 float16, to 2^24 the others. At least 24. */
static double center_of(clbn_dtype type, size_t c) {
    const double far = c % 3 == 1 ? 24 : type == CLBN_BF16 ? 100 : type == CLBN_F16 ? 1500 : 1e6;
    return (far + (double)(c % 40)) * (c % 2 ? -1 : 1);
}

static void fill_channel(exact *e, exact_kind kind, size_t c) {
    const size_t n = e->b.values;
    int64_t sum = 0, squares = 0, dy_sum = 0, product = 0;
    e->center[c] = center_of(manner_x_type(&e->m.m), c);
    for (size_t k = 0; k < n; k++) {
        const size_t at = exact_place(e, c, k);
        const int d = deviation(kind, k, c), dy = drawn(k, c, 2, 4);
        e->m.x[at] = e->center[c] + d;
        e->m.dy[at] = dy;
        sum += d, squares += d * d, dy_sum += dy, product += d * dy;
    }
    ck_assert(n < 200000); /* 5 * 7 * n, the most that a partial sum can be, is below 2^23 */
    e->mean[c] = (long double)e->center[c] + (long double)sum / (long double)n;
    e->m2[c] = (long double)((int64_t)n * squares - sum * sum) / (long double)n;
    e->sum[c] = (double)dy_sum, e->product[c] = (double)product;
    e->m.gamma[c] = (c % 3 ? 1 : -2) * (c % 5 ? 1 : 0.5);
    e->m.beta[c] = (double)(c % 7) - 3;
    if (kind == EQUAL_BLOCKS) ck_assert(sum == 0 && squares == EXACT_VAR * (int64_t)n);
}

/* inv_std r is a power of two, and so are gamma and n; sums are integers. With n to 2^14 the means sum / n and product / n are multiples
 * of 2^-14, so d r^2 product / n, with r^2 a quarter or a sixteenth, is one of 2^-18, and so is what dx is before it is multiplied by
 * gamma r: as long as it is below 32, float32 holds each term. It may be rounded where it is stored. */
static void exact_results(exact *e) {
    const long double r = e->inv_std, n = (long double)e->b.values;
    e->y = zeros(e->b.count, sizeof *e->y), e->dx = zeros(e->b.count, sizeof *e->dx);
    ck_assert(e->b.values <= 16384 && (e->b.values & (e->b.values - 1)) == 0);
    for (size_t c = 0; c < e->b.shape.channels; c++)
        for (size_t k = 0; k < e->b.values; k++) {
            const size_t at = exact_place(e, c, k);
            const long double d = e->m.x[at] - e->center[c], gamma = e->m.gamma[c];
            e->y[at] = gamma * d * r + e->m.beta[c];
            const long double mean = e->sum[c] / n, slope = r * r * e->product[c] / n;
            ck_assert(fabsl(d * slope) < 16 && fabsl(e->m.dy[at] - mean) < 16);
            e->dx[at] = gamma * r * (e->m.dy[at] - mean - d * slope);
        }
}

void exact_make(exact *e, exact_kind kind, const size_t extents[3], const manner *how, double epsilon) {
    memset(e, 0, sizeof *e);
    e->of = case_of(extents[0], extents[1], extents[2], NORMAL);
    batch_make(&e->b, &e->of, 0);
    material_make(&e->m, &e->b, how);
    e->m.epsilon = epsilon, e->inv_std = 1 / sqrt(EXACT_VAR + epsilon);
    const size_t n = e->b.shape.channels;
    double **numbers[] = {&e->center, &e->sum, &e->product};
    for (int k = 0; k < 3; k++) *numbers[k] = zeros(n, sizeof(double));
    e->mean = zeros(n, sizeof *e->mean), e->m2 = zeros(n, sizeof *e->m2);
    for (size_t c = 0; c < n; c++) fill_channel(e, kind, c);
    if (kind == EQUAL_BLOCKS) exact_results(e);
}

void exact_free(exact *e) {
    void *all[] = {e->center, e->sum, e->product, e->mean, e->m2, e->y, e->dx};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) free(all[k]);
    material_free(&e->m);
    batch_free(&e->b);
}
