/* SPDX-License-Identifier: Apache-2.0
 *
 * What shape.c makes of dims, an axis and strides, without any memory behind it: addresses of huge tensors at sampled and extreme
 * indices, and on small ones every answer against an enumeration of all addresses. Built from the library's own source, as a
 * shared library hides it.
 */
#include "internal.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned __int128 wide;

static char sentence[1024];

static void listen(void *user_data, clbn_status status, cl_int native, const char *text) {
    (void)user_data, (void)status, (void)native;
    snprintf(sentence, sizeof sentence, "%s", text);
}

static const clbn_device device = {.message = listen};

/* ------------------------------------------------------------------------------------------------------------- a layout */

static uint64_t state;

/* splitmix64 */
static uint64_t draw(uint64_t below) {
    uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) % below;
}

typedef struct layout {
    unsigned rank;
    int axis; /* as in the config */
    size_t dims[CLBN_MAX_RANK], strides[CLBN_MAX_RANK];
    size_t element_bytes;
    char text[700];
} layout;

static void describe(layout *l, unsigned long long seed) {
    int n = snprintf(l->text, sizeof l->text, "seed %llu, axis %d, %zu bytes, dims x strides", seed, l->axis, l->element_bytes);
    for (unsigned i = 0; i < l->rank; i++)
        n += snprintf(l->text + n, sizeof l->text - (size_t)n, " %zux%zu", l->dims[i], l->strides[i]);
}

static clbn_status make(const layout *l, clbn_shape *shape, clbn_view views[CLBN_TENSOR_COUNT]) {
    clbn_config config = {.rank = l->rank, .dims = l->dims, .axis = l->axis, .strides = {.dy = l->strides}};
    sentence[0] = '\0';
    return clbn_shape_make(&device, &config, l->element_bytes, shape, views);
}

/* The dims of group 0 (before the axis), 1 (the axis), 2 (behind it) are [from, to). */
static void group_of(const layout *l, int group, unsigned *from, unsigned *to) {
    const unsigned axis = (unsigned)(l->axis < 0 ? l->axis + (int)l->rank : l->axis);
    const unsigned edges[] = {0, axis, axis + 1, l->rank};
    *from = edges[group], *to = edges[group + 1];
    if (l->axis == CLBN_AXIS_NONE) *from = group ? l->rank : 0, *to = l->rank;
}

/* Row-major number of an element among those of the dims [from, to). */
static size_t number_in(const layout *l, const size_t *index, unsigned from, unsigned to) {
    size_t number = 0;
    for (unsigned i = from; i < to; i++) number = number * l->dims[i] + index[i];
    return number;
}

static wide address_of(const layout *l, const size_t *index) {
    wide address = 0;
    for (unsigned i = 0; i < l->rank; i++) address += (wide)index[i] * l->strides[i];
    return address;
}

static void must_find(const layout *l, const clbn_shape *s, const clbn_view *v, const size_t *index) {
    size_t at[3];
    for (int group = 0; group < 3; group++) {
        unsigned from, to;
        group_of(l, group, &from, &to);
        at[group] = number_in(l, index, from, to);
    }
    if (l->axis == CLBN_AXIS_NONE) at[2] = at[0] % s->inner, at[0] /= s->inner;
    const wide found = (wide)at[0] * v->outer + (wide)at[1] * v->channel + (wide)at[2] * v->unit;
    ck_assert_msg(at[0] < s->outer && at[1] < s->channels && at[2] < s->inner, "%s: an index out of its extent", l->text);
    ck_assert_msg(found == address_of(l, index), "%s: element (%zu, %zu, %zu) of strides %zu, %zu, %zu is at %llu, not at %llu",
                  l->text, at[0], at[1], at[2], v->outer, v->channel, v->unit, (unsigned long long)address_of(l, index),
                  (unsigned long long)found);
}

/* ------------------------------------------------------------------------------------------------------ layouts that are good */

/* Dims whose product is at most 2^bits; every third or so is 1. */
static void draw_dims(layout *l, unsigned bits) {
    l->rank = 1 + (unsigned)draw(CLBN_MAX_RANK);
    l->element_bytes = (size_t)1 << (1 + draw(3));
    l->axis = draw(5) == 0 ? CLBN_AXIS_NONE : (int)draw(2 * l->rank) - (int)l->rank;
    wide product = 1;
    for (unsigned i = 0; i < l->rank; i++) {
        size_t most = (size_t)(((wide)1 << bits) / product);
        if (draw(2)) most = clbn_min(most, (size_t)1 << draw(20));
        l->dims[i] = draw(3) ? 1 + draw(most) : 1;
        product *= l->dims[i];
    }
    for (unsigned i = l->rank; i > 1; i--) { /* large ones anywhere */
        const unsigned j = (unsigned)draw(i);
        const size_t swap = l->dims[i - 1];
        l->dims[i - 1] = l->dims[j], l->dims[j] = swap;
    }
}

/* The groups nested in any order with gaps of any kind between them; the place behind the last element. Strides of extents 1 are
 * anything. */
static wide draw_strides(layout *l) {
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    const int *order = orders[draw(6)];
    wide span = 1;
    for (int k = 3; k-- > 0;) {
        unsigned from, to;
        group_of(l, order[k], &from, &to);
        wide stride = span + (draw(2) ? draw(draw(2) ? 4 : 1 << 10) : 0), count = 1;
        if (draw(8) == 0) stride *= 1 + draw(3);
        for (unsigned i = to; i-- > from;) {
            l->strides[i] = stride * count > SIZE_MAX ? SIZE_MAX : (size_t)(stride * count);
            if (l->dims[i] == 1) l->strides[i] = draw(2) ? 0 : (size_t)draw(UINT64_MAX);
            count *= l->dims[i];
        }
        span += (count - 1) * stride;
    }
    return span;
}

static size_t good, too_far;

START_TEST(the_view_of_a_huge_tensor_finds_every_element) {
    for (unsigned long long seed = 1; seed <= 20000; seed++) {
        layout l;
        clbn_shape shape;
        clbn_view views[CLBN_TENSOR_COUNT];
        state = seed;
        draw_dims(&l, 50);
        const wide span = draw_strides(&l);
        describe(&l, seed);
        const clbn_status status = make(&l, &shape, views);
        if (span * l.element_bytes > PTRDIFF_MAX) {
            ck_assert_msg(status == CLBN_ERROR_INVALID_DIMS && strstr(sentence, "further"), "%s: %s", l.text, sentence);
            too_far++;
            continue;
        }
        ck_assert_msg(status == CLBN_SUCCESS, "%s: refused: %s", l.text, sentence);
        ck_assert_msg(views[CLBN_DY].span == span, "%s: the span is %zu", l.text, views[CLBN_DY].span);
        ck_assert_msg(views[CLBN_X].span == shape.elements, "%s: the dense span is %zu", l.text, views[CLBN_X].span);
        for (int sample = 0; sample < 40; sample++) {
            size_t index[CLBN_MAX_RANK];
            for (unsigned i = 0; i < l.rank; i++) {
                const uint64_t choice = draw(4);
                index[i] = choice == 0 || sample == 0 ? l.dims[i] - 1 : choice == 1 ? 0 : draw(l.dims[i]);
            }
            must_find(&l, &shape, &views[CLBN_DY], index);
        }
        good++;
    }
    ck_assert_uint_gt(good, 10000);
    ck_assert_uint_gt(too_far, 20);
}
END_TEST

/* --------------------------------------------------------------------------------------- small layouts, good and bad, enumerated */

enum { MOST = 256 };

typedef struct place {
    size_t address;
    size_t at[3]; /* its number in each group */
} place;

static size_t enumerate(const layout *l, place *places) {
    size_t count = 1, index[CLBN_MAX_RANK];
    for (unsigned i = 0; i < l->rank; i++) count *= l->dims[i];
    ck_assert_uint_le(count, MOST);
    for (size_t k = 0; k < count; k++) {
        size_t rest = k;
        for (unsigned i = l->rank; i-- > 0;) index[i] = rest % l->dims[i], rest /= l->dims[i];
        places[k].address = (size_t)address_of(l, index);
        for (int group = 0; group < 3; group++) {
            unsigned from, to;
            group_of(l, group, &from, &to);
            places[k].at[group] = number_in(l, index, from, to);
        }
    }
    return count;
}

static int by_address(const void *a, const void *b) {
    const place *p = a, *q = b;
    return (p->address > q->address) - (p->address < q->address);
}

/* Is an element's place the sum of multiples of its three numbers? */
static int is_even(const place *places, size_t count) {
    size_t spacing[3] = {0, 0, 0};
    for (size_t k = 0; k < count; k++) {
        const size_t *at = places[k].at;
        for (int g = 0; g < 3; g++)
            if (at[g] == 1 && at[(g + 1) % 3] == 0 && at[(g + 2) % 3] == 0) spacing[g] = places[k].address;
    }
    for (size_t k = 0; k < count; k++) {
        size_t sum = 0;
        for (int g = 0; g < 3; g++) sum += places[k].at[g] * spacing[g];
        if (sum != places[k].address) return 0;
    }
    return 1;
}

static int is_shared(const place *sorted, size_t count) {
    for (size_t k = 1; k < count; k++)
        if (sorted[k].address == sorted[k - 1].address) return 1;
    return 0;
}

/* In the order of addresses, do rows of one group lie within rows of another, as in a loop nest? */
static int is_nested(const place *sorted, size_t count) {
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (int o = 0; o < 6; o++) {
        int follows = 1;
        for (size_t k = 1; k < count && follows; k++) {
            const size_t *a = sorted[k - 1].at, *b = sorted[k].at;
            int g = 0;
            while (g < 2 && a[orders[o][g]] == b[orders[o][g]]) g++;
            follows = a[orders[o][g]] < b[orders[o][g]];
        }
        if (follows) return 1;
    }
    return 0;
}

typedef enum answer { GOOD, UNEVEN, SHARED, NOT_NESTED, ANSWERS } answer;

static answer judge(const place *places, size_t count) {
    static place sorted[MOST];
    if (!is_even(places, count)) return UNEVEN;
    memcpy(sorted, places, count * sizeof *places);
    qsort(sorted, count, sizeof *sorted, by_address);
    if (is_shared(sorted, count)) return SHARED;
    return is_nested(sorted, count) ? GOOD : NOT_NESTED;
}

/* Without an axis it is enough that some cut into rows and what is in a row is good. */
static answer expected(const layout *l) {
    static place places[MOST];
    const size_t count = enumerate(l, places);
    if (l->axis != CLBN_AXIS_NONE) return judge(places, count);
    answer best = UNEVEN;
    for (unsigned cut = 0; cut <= l->rank; cut++) {
        size_t row = 1;
        for (unsigned i = cut; i < l->rank; i++) row *= l->dims[i];
        for (size_t k = 0; k < count; k++) places[k].at[0] = k / row, places[k].at[1] = 0, places[k].at[2] = k % row;
        const answer got = judge(places, count);
        if (got == GOOD || best == UNEVEN) best = got;
        if (best == GOOD) break;
    }
    return best;
}

/* A good layout with, more often than not, something wrong in it. */
static void draw_small(layout *l) {
    size_t product;
    do {
        draw_dims(l, 8);
        product = 1;
        for (unsigned i = 0; i < l->rank; i++) product *= l->dims[i] = clbn_min(l->dims[i], 5);
    } while (product > MOST);
    draw_strides(l);
    for (unsigned i = 0; i < l->rank; i++)
        if (l->dims[i] > 1 && l->strides[i] > 2000) l->strides[i] = draw(2000);
    for (uint64_t changes = draw(3); changes > 0; changes--) {
        const unsigned i = (unsigned)draw(l->rank);
        l->strides[i] = draw(2) ? draw(12) : l->strides[i] + draw(3) - 1;
    }
    for (unsigned i = 0; i < l->rank; i++)
        if (l->dims[i] > 1 && l->strides[i] > 1u << 20) l->strides[i] = 1;
}

static void must_find_all(const layout *l, const clbn_shape *shape, const clbn_view *view) {
    size_t index[CLBN_MAX_RANK], last = 0;
    for (size_t k = 0; k < shape->elements; k++) {
        size_t rest = k;
        for (unsigned i = l->rank; i-- > 0;) index[i] = rest % l->dims[i], rest /= l->dims[i];
        must_find(l, shape, view, index);
        last = clbn_max(last, (size_t)address_of(l, index));
    }
    ck_assert_msg(view->span == last + 1, "%s: the span is %zu, the last element at %zu", l->text, view->span, last);
}

START_TEST(small_layouts_are_taken_or_refused_as_an_enumeration_says) {
    static const char *const words[ANSWERS] = {NULL, "evenly", "share a place", "gaps"};
    size_t counts[ANSWERS] = {0};
    for (unsigned long long seed = 1; seed <= 60000; seed++) {
        layout l;
        clbn_shape shape;
        clbn_view views[CLBN_TENSOR_COUNT];
        state = seed;
        draw_small(&l);
        describe(&l, seed);
        const answer want = expected(&l);
        const clbn_status status = make(&l, &shape, views);
        counts[want]++;
        ck_assert_msg(status == (want == GOOD ? CLBN_SUCCESS : CLBN_ERROR_INVALID_DIMS),
                      "%s: %s, and the enumeration says %d: %s", l.text, status == CLBN_SUCCESS ? "taken" : "refused", (int)want,
                      sentence);
        if (want == GOOD)
            must_find_all(&l, &shape, &views[CLBN_DY]);
        else
            ck_assert_msg(strstr(sentence, "strides.dy") && strstr(sentence, words[want]), "%s: %s", l.text, sentence);
    }
    printf("layouts: %zu good, %zu uneven, %zu with shared places, %zu with rows in each other's gaps\n", counts[GOOD],
           counts[UNEVEN], counts[SHARED], counts[NOT_NESTED]);
    for (int k = 0; k < ANSWERS; k++) ck_assert_uint_gt(counts[k], 100);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------- the last byte */

START_TEST(the_last_element_may_end_at_the_last_byte_and_no_further) {
    for (size_t bytes = 2; bytes <= 8; bytes *= 2) {
        const size_t most = (size_t)PTRDIFF_MAX / bytes; /* elements */
        for (int k = 0; k < 2; k++) {
            layout l = {.rank = 2, .axis = 1, .dims = {2, 3}, .element_bytes = bytes};
            l.strides[0] = most - 2 * 7 - 1 + (size_t)k, l.strides[1] = 7;
            clbn_shape shape;
            clbn_view views[CLBN_TENSOR_COUNT];
            describe(&l, 0);
            const clbn_status status = make(&l, &shape, views);
            ck_assert_msg(status == (k ? CLBN_ERROR_INVALID_DIMS : CLBN_SUCCESS), "%s: %s", l.text, sentence);
            ck_assert_msg(!k || strstr(sentence, "further"), "%s: %s", l.text, sentence);
            ck_assert_msg(k || views[CLBN_DY].span == most, "%s: the span is %zu", l.text, views[CLBN_DY].span);
        }
    }
}
END_TEST

START_TEST(strides_whose_products_overflow_lie_too_far) {
    static const size_t far[] = {SIZE_MAX, SIZE_MAX / 2 + 1, SIZE_MAX / 2, SIZE_MAX / 3, (size_t)1 << 62, (size_t)1 << 61};
    for (size_t i = 0; i < sizeof far / sizeof *far; i++) {
        for (int axis = 0; axis < 3; axis++) {
            layout l = {.rank = 3, .axis = axis == 2 ? CLBN_AXIS_NONE : axis, .dims = {3, 4, 5}, .strides = {far[i], 5, 1}};
            l.element_bytes = 4;
            clbn_shape shape;
            clbn_view views[CLBN_TENSOR_COUNT];
            describe(&l, 0);
            ck_assert_msg(make(&l, &shape, views) == CLBN_ERROR_INVALID_DIMS, "%s: taken", l.text);
            ck_assert_msg(strstr(sentence, "strides.dy") && strstr(sentence, "further"), "%s: %s", l.text, sentence);
        }
    }
}
END_TEST

START_TEST(strides_of_a_tensor_without_elements_are_not_looked_at) {
    for (int axis = 0; axis < 4; axis++) {
        layout l = {.rank = 3, .axis = axis == 3 ? CLBN_AXIS_NONE : axis, .dims = {3, 0, 5}, .strides = {SIZE_MAX, 0, 0}};
        l.element_bytes = 4;
        clbn_shape shape;
        clbn_view views[CLBN_TENSOR_COUNT];
        describe(&l, 0);
        ck_assert_msg(make(&l, &shape, views) == CLBN_SUCCESS, "%s: %s", l.text, sentence);
        ck_assert_uint_eq(shape.elements, 0);
        ck_assert_uint_eq(views[CLBN_DY].span, 0);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("views");
    TCase *tests = tcase_create("views");
    tcase_set_timeout(tests, 0);
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, the_view_of_a_huge_tensor_finds_every_element);
    tcase_add_test(tests, small_layouts_are_taken_or_refused_as_an_enumeration_says);
    tcase_add_test(tests, the_last_element_may_end_at_the_last_byte_and_no_further);
    tcase_add_test(tests, strides_whose_products_overflow_lie_too_far);
    tcase_add_test(tests, strides_of_a_tensor_without_elements_are_not_looked_at);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
