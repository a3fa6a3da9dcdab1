/* SPDX-License-Identifier: Apache-2.0
 *
 * Every argument of every call, on plans of every kind: absent, of the wrong memory, too small, misaligned, on top of every other.
 */
#include "refusals.h"

#include <stdio.h>

/* Calls check for each kind and operation; on the host and, on a device, in cl_mem. Simulators take the kinds with most to say. */
static void with_every_call(void (*check)(plan_kind kind, operation op, int in_mem)) {
    for (int k = 0; k < PLAN_KINDS; k++) {
        if (test_is_short() && k != PLAIN && k != MASKED && k != TWO_HALVES) continue;
        for (int op = 0; op < OPERATIONS; op++) {
            if (!call_exists((plan_kind)k, (operation)op)) continue;
            check((plan_kind)k, (operation)op, 0);
            if (!tested_is_cpu_path()) check((plan_kind)k, (operation)op, 1);
        }
    }
}

/* ---------------------------------------------------------------------------------------------------------------- absent */

static void leave_out_each(plan_kind kind, operation op, int in_mem) {
    attempt a;
    attempt_make(&a, kind, op, in_mem);
    for (int p = 0; p < PIECES; p++) {
        if (!(attempt_use(&a, (piece)p) & IS_NEEDED)) continue;
        clbn_buffer *argument = attempt_argument(&a, (piece)p), given = *argument;
        *argument = (clbn_buffer){0};
        attempt_must_be_refused(&a, CLBN_ERROR_MISSING_BUFFER, attempt_name(&a, (piece)p), "the absence");
        *argument = given;
    }
    attempt_must_pass(&a, "with every argument");
    attempt_free(&a);
    for (int p = 0; p < PIECES; p++) {
        a.kind = kind, a.operation = op;
        if (!attempt_use(&a, (piece)p) || (attempt_use(&a, (piece)p) & IS_NEEDED)) continue;
        attempt_make(&a, kind, op, in_mem);
        *attempt_argument(&a, (piece)p) = (clbn_buffer){0};
        guarded_free(&a.pieces[p]);
        attempt_must_pass(&a, attempt_name(&a, (piece)p));
        attempt_free(&a);
    }
}

START_TEST(an_argument_that_a_call_needs_is_missed_and_any_other_is_not) {
    with_every_call(leave_out_each);
}
END_TEST

/* ---------------------------------------------------------------------------------------------------------------- memory */

static void spoil_the_kind(plan_kind kind, operation op, int in_mem) {
    attempt a;
    attempt_make(&a, kind, op, in_mem);
    for (int p = 0; p < PIECES; p++) {
        if (!attempt_use(&a, (piece)p)) continue;
        clbn_buffer *argument = attempt_argument(&a, (piece)p), given = *argument;
        const char *name = attempt_name(&a, (piece)p);
        argument->kind = (clbn_buffer_kind)7;
        attempt_must_be_refused(&a, CLBN_ERROR_INVALID_ARGUMENT, name, "a kind of no buffer");
        *argument = (clbn_buffer){.kind = CLBN_BUFFER_HOST};
        attempt_must_be_refused(&a, CLBN_ERROR_INVALID_ARGUMENT, name, "a NULL pointer");
        *argument = (clbn_buffer){.kind = CLBN_BUFFER_MEM};
        attempt_must_be_refused(&a, CLBN_ERROR_WRONG_MEMORY, name, "a NULL cl_mem");
        *argument = given;
    }
    attempt_free(&a);
}

START_TEST(what_is_no_buffer_is_refused) {
    with_every_call(spoil_the_kind);
}
END_TEST

static void shift_each(plan_kind kind, operation op, int in_mem) {
    attempt a;
    if (in_mem) return;
    attempt_make(&a, kind, op, in_mem);
    for (int p = 0; p < PIECES; p++) {
        if (!attempt_use(&a, (piece)p)) continue;
        clbn_buffer *argument = attempt_argument(&a, (piece)p), given = *argument;
        const char *name = attempt_name(&a, (piece)p);
        for (size_t off = 1; off < attempt_element_bytes(&a, (piece)p); off++) {
            argument->host = (char *)given.host + off;
            attempt_must_be_refused(&a, CLBN_ERROR_WRONG_MEMORY, name, "a misaligned pointer");
        }
        *argument = given;
        const size_t offsets[] = {SIZE_MAX, SIZE_MAX / attempt_element_bytes(&a, (piece)p),
                                  (UINTPTR_MAX - (uintptr_t)given.host) / attempt_element_bytes(&a, (piece)p)};
        for (int i = 0; i < 3; i++) {
            argument->offset = offsets[i];
            attempt_must_be_refused(&a, CLBN_ERROR_BUFFER_TOO_SMALL, name, "an offset past every address");
        }
        *argument = given;
    }
    attempt_free(&a);
}

START_TEST(a_host_pointer_that_is_misaligned_or_leaves_the_address_space_is_refused) {
    with_every_call(shift_each);
}
END_TEST

/* A cl_mem of just those bytes, with an argument's values where it has some. */
static cl_mem copy_of(const attempt *a, piece p, size_t bytes, cl_mem_flags flags) {
    cl_int code;
    cl_mem mem = clCreateBuffer(tested_context(), flags | CL_MEM_COPY_HOST_PTR, bytes, a->pieces[p].host, &code);
    ck_cl(code);
    return mem;
}

static void measure_each(plan_kind kind, operation op, int in_mem) {
    attempt a;
    if (!in_mem) return;
    attempt_make(&a, kind, op, in_mem);
    for (int p = 0; p < PIECES; p++) {
        const unsigned use = attempt_use(&a, (piece)p);
        if (!use) continue;
        clbn_buffer *argument = attempt_argument(&a, (piece)p), given = *argument;
        const char *name = attempt_name(&a, (piece)p);
        const size_t element = attempt_element_bytes(&a, (piece)p), bytes = attempt_elements(&a, (piece)p) * element;
        const size_t offsets[] = {1 << 20, SIZE_MAX, SIZE_MAX / element, 65};
        for (int i = 0; i < 4; i++) {
            argument->offset = offsets[i];
            attempt_must_be_refused(&a, CLBN_ERROR_BUFFER_TOO_SMALL, name, "an offset past the end");
        }
        if (bytes > 1) {
            cl_mem shorter = copy_of(&a, (piece)p, bytes - 1, CL_MEM_READ_WRITE);
            *argument = clbn_mem(shorter, 0);
            attempt_must_be_refused(&a, CLBN_ERROR_BUFFER_TOO_SMALL, name, "a buffer one byte short");
            clReleaseMemObject(shorter);
        }
        cl_mem forbidden = copy_of(&a, (piece)p, bytes, use & IS_OUT ? CL_MEM_READ_ONLY : CL_MEM_WRITE_ONLY);
        *argument = clbn_mem(forbidden, 0);
        attempt_must_be_refused(&a, CLBN_ERROR_WRONG_MEMORY, name, "a buffer that must not be used so");
        clReleaseMemObject(forbidden);
        *argument = given;
    }
    cl_mem exact[PIECES] = {NULL};
    for (int p = 0; p < PIECES; p++) {
        if (!attempt_use(&a, (piece)p)) continue;
        const size_t bytes = attempt_elements(&a, (piece)p) * attempt_element_bytes(&a, (piece)p);
        const unsigned way = attempt_use(&a, (piece)p) & (IS_IN | IS_OUT);
        exact[p] = copy_of(&a, (piece)p, bytes,
                           way == IS_IN    ? CL_MEM_READ_ONLY
                           : way == IS_OUT ? CL_MEM_WRITE_ONLY
                                           : CL_MEM_READ_WRITE);
        *attempt_argument(&a, (piece)p) = clbn_mem(exact[p], 0);
    }
    attempt_must_pass(&a, "with buffers of just the bytes and uses that it needs");
    for (int p = 0; p < PIECES; p++)
        if (exact[p]) clReleaseMemObject(exact[p]);
    attempt_free(&a);
}

START_TEST(a_buffer_of_the_exact_size_and_use_passes_and_a_smaller_one_is_refused) {
    with_every_call(measure_each);
}
END_TEST

/* --------------------------------------------------------------------------------------------------------------- overlap */

/* clbn.h: "In place". */
static int may_be_one(const attempt *a, piece p, piece q) {
    static const piece pairs[][2] = {{A_X, A_Y}, {A_RESIDUAL, A_Y}, {A_DY, A_DX}, {A_DY, A_DRESIDUAL}, {A_BIAS, A_FOLDED_BIAS}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if ((p == pairs[i][0] && q == pairs[i][1]) || (q == pairs[i][0] && p == pairs[i][1]))
            return attempt_element_bytes(a, p) == attempt_element_bytes(a, q);
    return 0;
}

/* q on p, from that byte of p on. */
static void lay_on(attempt *a, piece p, piece q, size_t byte) {
    const guarded *ground = &a->pieces[p];
    const clbn_buffer under = guarded_buffer(ground);
    clbn_buffer *over = attempt_argument(a, q);
    *over = a->queue ? clbn_mem(under.mem, byte / attempt_element_bytes(a, q)) : clbn_host((char *)under.host + byte);
}

static size_t bytes_of(const attempt *a, piece p) {
    return attempt_elements(a, p) * attempt_element_bytes(a, p);
}

static void lay_two(plan_kind kind, operation op, int in_mem, attempt *a, piece p, piece q) {
    const size_t step = attempt_element_bytes(a, q), last = bytes_of(a, p) - attempt_element_bytes(a, p);
    const clbn_buffer given = *attempt_argument(a, q);
    char what[100];
    snprintf(what, sizeof what, "%s from byte", attempt_name(a, q));
    const size_t at[] = {0, step, last / step * step};
    for (int i = 0; i < 3; i++) {
        if (at[i] + bytes_of(a, q) > bytes_of(a, p) + 64 * attempt_element_bytes(a, p)) continue; /* past its memory */
        if (at[i] >= bytes_of(a, p) || (i > 0 && at[i] == 0)) continue;
        lay_on(a, p, q, at[i]);
        if (at[i] == 0 && may_be_one(a, p, q)) {
            attempt in_place;
            attempt_make(&in_place, kind, op, in_mem);
            lay_on(&in_place, p, q, 0);
            attempt_must_pass(&in_place, "in place");
            attempt_free(&in_place);
        } else
            attempt_must_be_refused(a, CLBN_ERROR_OVERLAP, attempt_name(a, q), what);
    }
    *attempt_argument(a, q) = given;
}

static void lay_each_on_each(plan_kind kind, operation op, int in_mem) {
    attempt a;
    attempt_make(&a, kind, op, in_mem);
    for (int p = 0; p < PIECES; p++) {
        for (int q = 0; q < PIECES; q++) {
            const unsigned one = attempt_use(&a, (piece)p), other = attempt_use(&a, (piece)q);
            if (p == q || !one || !other || !((one | other) & IS_OUT)) continue;
            if (bytes_of(&a, (piece)q) <= bytes_of(&a, (piece)p)) lay_two(kind, op, in_mem, &a, (piece)p, (piece)q);
        }
    }
    attempt_free(&a);
}

START_TEST(no_two_arguments_overlap_where_one_is_written_but_in_place) {
    with_every_call(lay_each_on_each);
}
END_TEST

/* All arguments of a call one behind the other in one buffer, without a gap but what their alignment asks. */
static void pack(plan_kind kind, operation op, int in_mem) {
    attempt a;
    size_t at[PIECES] = {0}, bytes = 0;
    attempt_make(&a, kind, op, in_mem);
    for (int p = 0; p < PIECES; p++) {
        if (!attempt_use(&a, (piece)p)) continue;
        const size_t element = attempt_element_bytes(&a, (piece)p);
        at[p] = (bytes + element - 1) / element * element;
        bytes = at[p] + bytes_of(&a, (piece)p);
    }
    guarded one;
    guarded_make_of(&one, "one buffer for all", a.queue, CL_MEM_READ_WRITE, 8, (bytes + 7) / 8, 0, NULL);
    const clbn_buffer whole = guarded_buffer(&one);
    for (int p = 0; p < PIECES; p++) {
        if (!attempt_use(&a, (piece)p)) continue;
        clbn_buffer *argument = attempt_argument(&a, (piece)p);
        *argument = whole, argument->offset = at[p] / attempt_element_bytes(&a, (piece)p);
    }
    attempt_must_pass(&a, "in one buffer");
    guarded_read(&one, attempt_title(&a));
    guarded_free(&one);
    attempt_free(&a);
}

START_TEST(arguments_may_lie_side_by_side_in_one_buffer) {
    with_every_call(pack);
}
END_TEST

void add_call_refusals(TCase *tests) {
    tcase_add_unchecked_fixture(tests, NULL, attempt_free_plans);
    tcase_add_test(tests, an_argument_that_a_call_needs_is_missed_and_any_other_is_not);
    tcase_add_test(tests, what_is_no_buffer_is_refused);
    tcase_add_test(tests, a_host_pointer_that_is_misaligned_or_leaves_the_address_space_is_refused);
    tcase_add_test(tests, a_buffer_of_the_exact_size_and_use_passes_and_a_smaller_one_is_refused);
    tcase_add_test(tests, no_two_arguments_overlap_where_one_is_written_but_in_place);
    tcase_add_test(tests, arguments_may_lie_side_by_side_in_one_buffer);
}
