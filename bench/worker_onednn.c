/* SPDX-License-Identifier: Apache-2.0
 *
 * oneDNN as a contender: each unit in the caller's layout, and blocked by sixteen channels. A matrix is given to it as it is and
 * as one image of N rows in NHWC, which is the same memory. oneDNN keeps no running statistics: the worker moves them.
 */
#include "worker.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onednn_api.h"

#define EPSILON   1e-5F
#define WEIGHT    0.1F
#define ARGS_MAX  10
#define FORMS_MAX 3
#define TRY_DNN(call)                                                                   \
    do {                                                                                \
        dnnl_status_t made_ = (call);                                                   \
        if (made_ != dnnl_success) return fail_run("oneDNN: %s gave %d", #call, made_); \
    } while (0)

/* What the calls read and write; tensors first. */
enum { X, Y, DY, DX, TENSORS, GAMMA = TENSORS, BETA, MEAN, VARIANCE, DGAMMA, DBETA, RUNNING_MEAN, RUNNING_VAR, ARRAYS };

/* From bench_make, and so with clbn's values; the variance is found from the inverse deviation. */
static const int sources[ARRAYS] = {[X] = BENCH_X,
                                    [Y] = BENCH_Y,
                                    [DY] = BENCH_DY,
                                    [DX] = BENCH_DX,
                                    [GAMMA] = BENCH_GAMMA,
                                    [BETA] = BENCH_BETA,
                                    [MEAN] = BENCH_MEAN,
                                    [VARIANCE] = BENCH_INV_STD,
                                    [DGAMMA] = BENCH_DGAMMA,
                                    [DBETA] = BENCH_DBETA,
                                    [RUNNING_MEAN] = BENCH_RUNNING_MEAN,
                                    [RUNNING_VAR] = BENCH_RUNNING_VAR};

/* A unit in one memory format. */
typedef struct form {
    memory_format format, plain, per_channel; /* plain: what x is in, where the format is blocked */
    int blocked, has_format, has_plain, has_per_channel;
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t args[ARGS_MAX];
    int arg_count;
    void *own[TENSORS]; /* blocked tensors */
} form;

typedef struct onednn_state {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    unit unit;
    bench_target target;
    array arrays[ARRAYS];
    form forms[FORMS_MAX];
} onednn_state;

static onednn_state state;

static int make_arrays(const unit *u) {
    state.unit = *u;
    state.target = (bench_target){
        .op = u->op, .dtype = CLBN_F32, .real = CLBN_F32, .count = unit_count(u), .channels = u->c, .what = "oneDNN"};
    for (int i = 0; i < ARRAYS; i++) TRY(bench_make(&state.target, sources[i], &state.arrays[i]));
    float *variance = state.arrays[VARIANCE].data;
    for (size_t c = 0; variance && c < u->c; c++) variance[c] = 1 / (variance[c] * variance[c]) - EPSILON;
    return EXIT_DONE;
}

static int add_arg(form *f, int arg, const memory_format *format, void *data) {
    dnnl_exec_arg_t *to = &f->args[f->arg_count];
    TRY_DNN(dnnl_memory_create(&to->memory, FORMAT(*format), state.engine, data));
    to->arg = arg;
    f->arg_count++;
    return EXIT_DONE;
}

/* From one format into another, both with their memory. */
static int reorder(const memory_format *from, void *source, const memory_format *to, void *target) {
    dnnl_primitive_desc_t description;
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t args[2] = {{.arg = DNNL_ARG_FROM}, {.arg = DNNL_ARG_TO}};
    TRY_DNN(dnnl_reorder_primitive_desc_create(&description, FORMAT(*from), state.engine, FORMAT(*to), state.engine, NULL));
    TRY_DNN(dnnl_primitive_create(&primitive, description));
    TRY_DNN(dnnl_memory_create(&args[0].memory, FORMAT(*from), state.engine, source));
    TRY_DNN(dnnl_memory_create(&args[1].memory, FORMAT(*to), state.engine, target));
    TRY_DNN(dnnl_primitive_execute(primitive, state.stream, 2, args));
    TRY_DNN(dnnl_stream_wait(state.stream));
    dnnl_memory_destroy(args[0].memory);
    dnnl_memory_destroy(args[1].memory);
    dnnl_primitive_destroy(primitive);
    dnnl_primitive_desc_destroy(description);
    return EXIT_DONE;
}

static int add_tensor(form *f, int arg, int tensor) {
    void *data = state.arrays[tensor].data;
    if (f->blocked) {
        size_t bytes = (format_bytes(&f->format) + 63) / 64 * 64;
        f->own[tensor] = aligned_alloc(64, bytes);
        if (!f->own[tensor]) return fail_run("oneDNN: no memory");
        memset(f->own[tensor], 0, bytes);
        if (tensor == X || tensor == DY) TRY(reorder(&f->plain, data, &f->format, f->own[tensor]));
        data = f->own[tensor];
    }
    return add_arg(f, arg, &f->format, data);
}

static int add_per_channel(form *f, int arg, int one) {
    return add_arg(f, arg, &f->per_channel, state.arrays[one].data);
}

/* What the primitive is and what it reads and writes. In inference the statistics are the running ones. */
static int make_primitive(form *f) {
    bench_op op = state.unit.op;
    unsigned flags = dnnl_use_scale | dnnl_use_shift;
    dnnl_primitive_desc_t forward, backward = NULL;
    if (op == OP_INFERENCE) flags |= dnnl_use_global_stats;
    TRY_DNN(forward_create(&forward, state.engine, op == OP_INFERENCE ? dnnl_forward_inference : dnnl_forward_training,
                           &f->format, EPSILON, flags));
    if (op == OP_BACKWARD) TRY_DNN(backward_create(&backward, state.engine, &f->format, EPSILON, flags, forward));
    TRY_DNN(dnnl_primitive_create(&f->primitive, backward ? backward : forward));
    dnnl_primitive_desc_destroy(forward);
    if (backward) dnnl_primitive_desc_destroy(backward);
    TRY(add_tensor(f, DNNL_ARG_SRC, X));
    TRY(add_per_channel(f, DNNL_ARG_SCALE, GAMMA));
    TRY(add_per_channel(f, DNNL_ARG_MEAN, op == OP_INFERENCE ? RUNNING_MEAN : MEAN));
    TRY(add_per_channel(f, DNNL_ARG_VARIANCE, op == OP_INFERENCE ? RUNNING_VAR : VARIANCE));
    if (op != OP_BACKWARD || DNNL_VERSION_MAJOR < 3)
        TRY(add_per_channel(f, DNNL_ARG_SHIFT, BETA)); /* 2 asks for it in backward */
    if (op != OP_BACKWARD) return add_tensor(f, DNNL_ARG_DST, Y);
    TRY(add_tensor(f, DNNL_ARG_DIFF_DST, DY));
    TRY(add_tensor(f, DNNL_ARG_DIFF_SRC, DX));
    TRY(add_per_channel(f, DNNL_ARG_DIFF_SCALE, DGAMMA));
    return add_per_channel(f, DNNL_ARG_DIFF_SHIFT, DBETA);
}

/* tag: of the form; plain: of x, the same but where the form is blocked. */
static int open_form(worker *w, const char *way, int rank, dnnl_format_tag_t tag, dnnl_format_tag_t plain) {
    const unit *u = &state.unit;
    form *f = &state.forms[w->way_count];
    dnnl_dim_t n = (dnnl_dim_t)u->n, c = (dnnl_dim_t)u->c;
    dnnl_dims_t matrix = {n, c}, image = {1, c, n, 1}, planes = {n, c, (dnnl_dim_t)u->height, (dnnl_dim_t)u->width};
    dnnl_dims_t channels = {c};
    const dnnl_dim_t *dims = u->planes ? planes : rank == 2 ? matrix : image;
    f->blocked = tag != plain;
    TRY_DNN(format_create(&f->format, rank, dims, tag));
    f->has_format = 1;
    TRY_DNN(format_create(&f->plain, rank, dims, plain));
    f->has_plain = 1;
    TRY_DNN(format_create(&f->per_channel, 1, channels, dnnl_a));
    f->has_per_channel = 1;
    w->ways[w->way_count++] = way;
    return make_primitive(f);
}

static int open_unit(worker *w, const unit *u) {
    TRY(make_arrays(u));
    if (u->planes) {
        TRY(open_form(w, "nchw:nchw", 4, dnnl_nchw, dnnl_nchw));
        TRY(open_form(w, "nhwc:nhwc", 4, dnnl_nhwc, dnnl_nhwc));
        return open_form(w, "blocked:nChw16c", 4, dnnl_nChw16c, dnnl_nchw);
    }
    TRY(open_form(w, "nc:nc", 2, dnnl_nc, dnnl_nc));
    TRY(open_form(w, "nc:nhwc", 4, dnnl_nhwc, dnnl_nhwc));
    return open_form(w, "blocked:nChw16c", 4, dnnl_nChw16c, dnnl_nhwc);
}

/* As PyTorch's preset of clbn has it: the unbiased variance goes into the running one. */
static void move_running(void) {
    const unit *u = &state.unit;
    const float *mean = state.arrays[MEAN].data, *variance = state.arrays[VARIANCE].data;
    float *running_mean = state.arrays[RUNNING_MEAN].data, *running_var = state.arrays[RUNNING_VAR].data;
    float values = (float)(u->n * u->height * u->width), unbiased = values > 1 ? values / (values - 1) : 1;
    for (size_t c = 0; c < u->c; c++) {
        running_mean[c] += WEIGHT * (mean[c] - running_mean[c]);
        running_var[c] += WEIGHT * (variance[c] * unbiased - running_var[c]);
    }
}

static int run_way(worker *w, unsigned way, size_t calls) {
    (void)w;
    form *f = &state.forms[way];
    for (size_t i = 0; i < calls; i++) {
        TRY_DNN(dnnl_primitive_execute(f->primitive, state.stream, f->arg_count, f->args));
        TRY_DNN(dnnl_stream_wait(state.stream));
        if (state.unit.op == OP_TRAINING) move_running();
    }
    return EXIT_DONE;
}

static int read_way(worker *w, unsigned way, float *to) {
    form *f = &state.forms[way];
    int tensor = state.unit.op == OP_BACKWARD ? DX : Y;
    if (f->blocked) return reorder(&f->format, f->own[tensor], &f->plain, to);
    memcpy(to, state.arrays[tensor].data, w->count * sizeof *to);
    return EXIT_DONE;
}

static void close_unit(worker *w) {
    (void)w;
    for (form *f = state.forms; f < state.forms + FORMS_MAX; f++) {
        for (int i = 0; i < f->arg_count; i++) dnnl_memory_destroy(f->args[i].memory);
        if (f->primitive) dnnl_primitive_destroy(f->primitive);
        if (f->has_format) format_destroy(&f->format);
        if (f->has_plain) format_destroy(&f->plain);
        if (f->has_per_channel) format_destroy(&f->per_channel);
        for (int i = 0; i < TENSORS; i++) free(f->own[i]);
        memset(f, 0, sizeof *f);
    }
    for (int i = 0; i < ARRAYS; i++) array_free(&state.arrays[i]);
}

int main(void) {
    worker w = {.open = open_unit, .run = run_way, .read = read_way, .close = close_unit};
    char name[32];
    const dnnl_version_t *version = dnnl_version();
    snprintf(name, sizeof name, "onednn-%d.%d", version->major, version->minor);
    w.name = name;
    snprintf(w.what, sizeof w.what, "oneDNN %d.%d.%d", version->major, version->minor, version->patch);
    TRY_DNN(dnnl_engine_create(&state.engine, dnnl_cpu, 0));
    TRY_DNN(dnnl_stream_create(&state.stream, state.engine, dnnl_stream_default_flags));
    int status = worker_serve(&w);
    close_unit(&w);
    dnnl_stream_destroy(state.stream);
    dnnl_engine_destroy(state.engine);
    return status;
}
