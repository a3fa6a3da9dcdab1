/* SPDX-License-Identifier: Apache-2.0
 *
 * Tensors that are slices of one buffer: side by side they interleave and pass, one element nearer they overlap and are refused. And
 * in place with strides: the same ones or none.
 */
#include "refusals.h"

#include <stdio.h>
#include <string.h>

/* Two halves of one dense tensor, cut along the dim `cut` of its storage. */
typedef struct halves {
    const char *name;
    unsigned rank;
    int axis;
    size_t dims[3], strides[3];
    size_t apart; /* from the first half to the second */
    size_t whole; /* elements of both */
} halves;

static const halves slices[] = {
    {"channels of NCHW", 3, 1, {3, 4, 5}, {2 * 4 * 5, 5, 1}, 4 * 5, 120},
    {"channels of NHWC", 3, 2, {3, 5, 4}, {5 * 8, 8, 1}, 4, 120},
    {"columns of rows that are channels", 2, 0, {4, 15}, {30, 1}, 15, 120},
    {"images of a tensor whose channels come first", 3, 1, {3, 4, 5}, {5, 2 * 3 * 5, 1}, 3 * 5, 120},
    {"columns of one long channel", 2, CLBN_AXIS_NONE, {12, 5}, {10, 1}, 5, 120},
    {"the even and the odd columns", 2, 1, {15, 4}, {8, 2}, 1, 120},
};
enum { SLICES_COUNT = sizeof slices / sizeof *slices, WHOLE = 120 };

typedef struct bench {
    clbn_plan *plan;
    cl_command_queue queue;
    guarded both, x, mean, var;
    float values[WHOLE];
} bench;

/* Does element k of the storage belong to a tensor that begins at from? */
static int belongs(const halves *h, size_t k, size_t from) {
    for (size_t i = 0; i < h->dims[0]; i++)
        for (size_t j = 0; j < h->dims[1]; j++)
            for (size_t n = 0; n < (h->rank == 3 ? h->dims[2] : 1); n++)
                if (k == from + i * h->strides[0] + j * h->strides[1] + n * h->strides[2]) return 1;
    return 0;
}

static void bench_make(bench *t, const halves *h, const clbn_strides *strides, int in_mem) {
    static const float ones[4] = {1, 1, 1, 1}, fours[4] = {4, 4, 4, 4};
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = h->rank, config.dims = h->dims, config.axis = h->axis, config.epsilon = 0, config.strides = *strides;
    memset(t, 0, sizeof *t);
    t->plan = plan_of(tested(), &config);
    t->queue = in_mem ? tested_queue() : NULL;
    for (size_t k = 0; k < WHOLE; k++) t->values[k] = (float)(k * 5 % 7);
    guarded_make(&t->both, "both halves", t->queue, CL_MEM_READ_WRITE, WHOLE, 0, t->values);
    guarded_make(&t->x, "x", t->queue, CL_MEM_READ_WRITE, WHOLE, 0, t->values);
    guarded_make(&t->mean, "running_mean", t->queue, CL_MEM_READ_WRITE, 4, 0, ones);
    guarded_make(&t->var, "running_var", t->queue, CL_MEM_READ_WRITE, 4, 0, fours);
}

static void bench_free(bench *t) {
    guarded_free(&t->both), guarded_free(&t->x), guarded_free(&t->mean), guarded_free(&t->var);
    clbn_plan_destroy(t->plan);
}

static clbn_buffer from_of(const guarded *g, size_t offset) {
    clbn_buffer buffer = guarded_buffer(g);
    buffer.offset += offset;
    return buffer;
}

/* y = (x - 1) / 2, or dx = dy / 2. */
static clbn_status call(bench *t, int backward, size_t in, size_t out) {
    const clbn_buffer mean = guarded_buffer(&t->mean), var = guarded_buffer(&t->var);
    said_clear();
    if (!backward) {
        const clbn_forward_args args = {
            .x = from_of(&t->both, in), .y = from_of(&t->both, out), .running_mean = mean, .running_var = var};
        return clbn_forward_inference(t->plan, t->queue, &args, 0, NULL, NULL);
    }
    const clbn_backward_args args = {.dy = from_of(&t->both, in),
                                     .dx = from_of(&t->both, out),
                                     .x = from_of(&t->x, 0),
                                     .running_mean = mean,
                                     .running_var = var};
    return clbn_backward_inference(t->plan, t->queue, &args, 0, NULL, NULL);
}

static void must_have_halved(bench *t, const halves *h, int backward, size_t in, size_t out) {
    if (t->queue) ck_cl(clFinish(t->queue));
    const float *now = guarded_read(&t->both, h->name);
    for (size_t k = 0; k < WHOLE; k++) {
        const float was = t->values[belongs(h, k, out) ? k + in - out : k];
        const float want = !belongs(h, k, out) ? was : backward ? was / 2 : (was - 1) / 2;
        ck_assert_msg(now[k] == want, "%s: element %zu is %g instead of %g", h->name, k, (double)now[k], (double)want);
    }
}

static void try_slices(const halves *h, int in_mem) {
    const clbn_strides all = {h->strides, h->strides, h->strides, h->strides, h->strides, h->strides};
    for (int backward = 0; backward < 2; backward++) {
        for (int swapped = 0; swapped < 2; swapped++) {
            const size_t in = swapped ? h->apart : 0, out = swapped ? 0 : h->apart;
            bench t;
            bench_make(&t, h, &all, in_mem);
            ck_assert_uint_eq(h->whole, WHOLE);
            if (h->apart > 1) { /* one nearer: they share places, or the period is left */
                must_refuse(call(&t, backward, in - (swapped != 0), out - (swapped == 0)), CLBN_ERROR_OVERLAP,
                            backward ? "dx" : "y", h->name);
                guarded_must_be_unchanged(&t.both, h->name);
            }
            const clbn_status status = call(&t, backward, in, out);
            ck_assert_msg(status == CLBN_SUCCESS, "%s: refused, saying: %s", h->name, said());
            must_have_halved(&t, h, backward, in, out);
            bench_free(&t);
        }
    }
}

/* ------------------------------------------------------------------------------------------------------ any slices at all */

static uint64_t state;

static size_t draw(size_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(state >> 33) % below;
}

enum { ROOM = 4096 };

/* Which bytes of the room elements from byte at on take. */
static void mark(const size_t *dims, const size_t *strides, size_t bytes, size_t at, unsigned char bit, unsigned char *taken) {
    for (size_t i = 0; i < dims[0]; i++)
        for (size_t j = 0; j < dims[1]; j++)
            for (size_t k = 0; k < dims[2]; k++)
                for (size_t byte = 0; byte < bytes; byte++)
                    taken[at + (i * strides[0] + j * strides[1] + k * strides[2]) * bytes + byte] |= bit;
}

/* Rows of rows in some order, with gaps. */
static void draw_strides(const size_t *dims, size_t *strides) {
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    const int *order = orders[draw(3) ? 0 : draw(6)];
    size_t span = 1;
    for (int k = 3; k-- > 0;) {
        strides[order[k]] = draw(3) ? span + draw(4) : 2 * span;
        span += (dims[order[k]] - 1) * strides[order[k]];
    }
}

START_TEST(slices_pass_if_and_only_if_they_share_no_byte) {
    static _Alignas(8) unsigned char room[ROOM * 3];
    static const clbn_dtype types[] = {CLBN_F32, CLBN_F16, CLBN_BF16, CLBN_F64};
    static double statistics[2][4] = {{0, 0, 0, 0}, {1, 1, 1, 1}};
    size_t passed = 0, refused = 0, cautious = 0;
    if (!tested_is_cpu_path()) return; /* the door is the same one */
    for (state = 1; passed + refused + cautious < 20000;) {
        const unsigned long long seed = state;
        const size_t dims[3] = {1 + draw(4), 1 + draw(4), 1 + draw(4)};
        size_t x[3], y[3];
        unsigned char taken[ROOM * 3] = {0};
        clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
        config.rank = 3, config.dims = dims, config.dtype = types[draw(4)], config.strides.x = x, config.strides.y = y;
        config.y_dtype = draw(4) ? config.dtype : types[draw(4)];
        draw_strides(dims, x), memcpy(y, x, sizeof y);
        if (draw(4) == 0) draw_strides(dims, y);
        const size_t x_bytes = clbn_dtype_bytes(config.dtype),
                     y_bytes = clbn_dtype_bytes(config.y_dtype == CLBN_AS_X ? config.dtype : config.y_dtype);
        const size_t at_x = 1024, at_y = (1024 - 256 + draw(draw(2) ? 512 : 300)) / y_bytes * y_bytes;
        const int alike = x_bytes == y_bytes && !memcmp(x, y, sizeof x);
        mark(dims, x, x_bytes, at_x, 1, taken), mark(dims, y, y_bytes, at_y, 2, taken);
        int shared = 0;
        for (size_t k = 0; k < sizeof taken; k++) shared |= taken[k] == 3;
        if (at_x == at_y && x_bytes == y_bytes) continue; /* in place */
        clbn_plan *plan = plan_of(tested(), &config);
        said_clear();
        const clbn_forward_args args = {.x = clbn_host(room + at_x),
                                        .y = clbn_host(room + at_y),
                                        .running_mean = clbn_host(statistics[0]),
                                        .running_var = clbn_host(statistics[1])};
        const clbn_status status = clbn_forward_inference(plan, NULL, &args, 0, NULL, NULL);
        clbn_plan_destroy(plan);
        ck_assert_msg(status == CLBN_SUCCESS || status == CLBN_ERROR_OVERLAP, "seed %llu: %s", seed, said());
        ck_assert_msg(!shared || status != CLBN_SUCCESS, "seed %llu: bytes are shared, and it passed", seed);
        ck_assert_msg(shared || !alike || status == CLBN_SUCCESS, "seed %llu: no byte is shared, and: %s", seed, said());
        status == CLBN_SUCCESS ? passed++ : shared ? refused++ : cautious++;
    }
    printf("slices: %zu passed, %zu refused, %zu of unlike strides refused without need\n", passed, refused, cautious);
    ck_assert_uint_gt(passed, 2000);
    ck_assert_uint_gt(refused, 2000);
}
END_TEST

START_TEST(slices_of_one_tensor_interleave_and_pass) {
    for (int k = 0; k < SLICES_COUNT; k++) {
        try_slices(&slices[k], 0);
        if (!tested_is_cpu_path()) try_slices(&slices[k], 1);
    }
}
END_TEST

/* The same bytes by other strides are no "in place". */
static void try_strides(int in_mem, int same) {
    static const size_t planes[] = {20, 5, 1}, pixels[] = {20, 1, 4};
    static const halves dense = {"another order of one batch", 3, 1, {6, 4, 5}, {20, 5, 1}, 0, WHOLE};
    const clbn_strides mixed = {.x = planes, .y = same ? planes : pixels, .dx = planes, .dy = same ? planes : pixels};
    for (int backward = 0; backward < 2; backward++) {
        bench t;
        bench_make(&t, &dense, &mixed, in_mem);
        if (same) {
            ck_clbn(call(&t, backward, 0, 0));
            must_have_halved(&t, &dense, backward, 0, 0);
        } else {
            must_refuse(call(&t, backward, 0, 0), CLBN_ERROR_OVERLAP, backward ? "dx" : "y", dense.name);
            guarded_must_be_unchanged(&t.both, dense.name);
        }
        bench_free(&t);
    }
}

START_TEST(in_place_needs_the_same_strides) {
    for (int same = 0; same < 2; same++) {
        try_strides(0, same);
        if (!tested_is_cpu_path()) try_strides(1, same);
    }
}
END_TEST

/* Regions of one parent are told apart by where they lie in it, whatever objects they come by. */
START_TEST(slices_of_sub_buffers_overlap_as_their_parent_does) {
    enum { PAGE = 4096, FLOATS = PAGE / 4 };
    if (tested_is_cpu_path()) return;
    attempt a;
    attempt_make(&a, PLAIN, BACKWARD, 1);
    cl_int code;
    cl_mem parent = clCreateBuffer(tested_context(), CL_MEM_READ_WRITE, 4 * PAGE, NULL, &code);
    ck_cl(code);
    const float zero = 0;
    ck_cl(clEnqueueFillBuffer(tested_queue(), parent, &zero, sizeof zero, 0, 4 * PAGE, 0, NULL, NULL));
    const cl_buffer_region second = {PAGE, PAGE}, both = {0, 2 * PAGE};
    cl_mem one = clCreateSubBuffer(parent, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &second, &code);
    ck_cl(code);
    cl_mem two = clCreateSubBuffer(parent, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &both, &code);
    ck_cl(code);
    a.backward.dx = clbn_mem(one, 0), a.backward.dgamma = clbn_mem(two, FLOATS + 209);
    attempt_must_be_refused(&a, CLBN_ERROR_OVERLAP, "dgamma", "another way to the same memory");
    a.backward.dgamma = clbn_mem(parent, FLOATS + 209);
    attempt_must_be_refused(&a, CLBN_ERROR_OVERLAP, "dgamma", "the parent's way to the same memory");
    a.backward.dgamma = clbn_mem(two, FLOATS + 210), a.backward.dbeta = clbn_mem(parent, FLOATS - CHANNELS);
    a.backward.dy = clbn_mem(parent, 2 * FLOATS);
    attempt_must_pass(&a, "side by side in one parent");
    a.backward.dy = clbn_mem(two, FLOATS); /* dx is at the first of the second page, too */
    attempt_must_pass(&a, "in place by two objects");
    clReleaseMemObject(one), clReleaseMemObject(two), clReleaseMemObject(parent);
    attempt_free(&a);
}
END_TEST

/* Of float64 a real has 8 bytes, and so the offset of a workspace. */
START_TEST(a_workspace_begins_at_a_whole_real) {
    for (int k = PLAIN; !tested_is_cpu_path() && k <= DOUBLES; k += DOUBLES - PLAIN) {
        if (!call_exists((plan_kind)k, FORWARD)) continue;
        attempt a;
        clbn_plan_info info;
        attempt_make(&a, (plan_kind)k, FORWARD, 1);
        ck_clbn(clbn_plan_query(a.plan, &info));
        cl_int code;
        cl_mem space = clCreateBuffer(tested_context(), CL_MEM_READ_WRITE, info.workspace_bytes + 8, NULL, &code);
        ck_cl(code);
        for (size_t offset = 1; offset < (k == DOUBLES ? 8 : 4); offset++) {
            a.forward.workspace = clbn_mem(space, offset);
            attempt_must_be_refused(&a, CLBN_ERROR_INVALID_ARGUMENT, "workspace", "a crooked offset");
        }
        a.forward.workspace = clbn_mem(space, 16);
        attempt_must_be_refused(&a, CLBN_ERROR_BUFFER_TOO_SMALL, "workspace", "the short end");
        a.forward.workspace = clbn_mem(space, 8);
        attempt_must_pass(&a, "a workspace that just fits");
        clReleaseMemObject(space);
        attempt_free(&a);
    }
}
END_TEST

void add_place_refusals(TCase *tests) {
    tcase_add_unchecked_fixture(tests, NULL, attempt_free_plans);
    tcase_add_test(tests, slices_of_one_tensor_interleave_and_pass);
    tcase_add_test(tests, slices_pass_if_and_only_if_they_share_no_byte);
    tcase_add_test(tests, in_place_needs_the_same_strides);
    tcase_add_test(tests, slices_of_sub_buffers_overlap_as_their_parent_does);
    tcase_add_test(tests, a_workspace_begins_at_a_whole_real);
}
