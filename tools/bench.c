/* SPDX-License-Identifier: Apache-2.0
 *
 * clbn bench: a row for each operation and shape, with the time of a call and how near it comes to a plain copy.
 */
#include "bench.h"

#include <stdio.h>
#include <string.h>

#include "commands.h"

static const bench_shape default_shapes[] = {{4, {32, 64, 56, 56}}, {2, {65536, 256}}};
static const bench_op default_ops[] = {OP_TRAINING, OP_INFERENCE, OP_BACKWARD};
static const char *const op_names[] = {"training", "inference", "backward"};

/* What a row is about, as text. No field of the csv may hold a comma. */
typedef struct row_text {
    const char *op;
    shape_text shape;
    char axis[16];
    char device[280];
    char variant[64];
    char activation[64];
} row_text;

const char *bench_op_name(bench_op op) {
    return op_names[op];
}

static const char *dtype_name(clbn_dtype dtype) {
    static const char *const names[] = {[CLBN_F32] = "f32", [CLBN_F16] = "f16", [CLBN_BF16] = "bf16", [CLBN_F64] = "f64"};
    return names[dtype];
}

static void no_commas(char *text) {
    make_one_line(text);
    for (; *text; text++)
        if (*text == ',' || *text == '"') *text = ' ';
}

static row_text describe(const options *o, const session *s, bench_op op, const bench_shape *shape, const clbn_plan_info *plan) {
    row_text row = {.op = bench_op_name(op), .shape = array_shape(shape->rank, shape->dims)};
    if (o->axis == CLBN_AXIS_NONE)
        snprintf(row.axis, sizeof row.axis, "none");
    else
        snprintf(row.axis, sizeof row.axis, "%d", o->axis);
    snprintf(row.device, sizeof row.device, "%s %s", s->info.name, s->info.device);
    /* The plan names how a batch is reduced; inference reduces nothing. In the table a star tells that tune found it. */
    snprintf(row.variant, sizeof row.variant, "%s%s", op != OP_INFERENCE && plan->variant ? plan->variant : "-",
             plan->preferred && !o->csv ? "*" : "");
    snprintf(row.activation, sizeof row.activation, "%s", o->activation_text);
    no_commas(row.device);
    no_commas(row.variant);
    no_commas(row.activation);
    return row;
}

static void print_head(const options *o) {
    if (o->csv)
        printf("op,shape,axis,dtype,device,variant,median_ms,min_ms,min_bytes,gbps,copy_gbps,copy_ratio,samples,copy,activation,"
               "residual\n");
    else
        printf("%-9s  %-16s  %4s  %-5s  %-20s  %10s  %10s  %8s  %8s  %6s  %7s  %s\n", "op", "shape", "axis", "dtype", "variant",
               "median ms", "min ms", "GB/s", "copy", "ratio", "samples", "best copy");
}

/* The bytes that an operation cannot do without, in units of x: forward reads x and writes y, backward reads x and dy and
 * writes dx; a residual is read, and backward writes its gradient. */
static double least_tensors(const options *o, bench_op op) {
    return op == OP_BACKWARD ? (o->with_residual ? 5 : 3) : (o->with_residual ? 3 : 2);
}

static void print_row(const options *o, const row_text *row, const bench_result *result, const bench_target *target) {
    double bytes = least_tensors(o, target->op) * (double)target->bytes;
    double gbps = 1e-9 * bytes / result->median;
    double copy_gbps = 1e-9 * 2 * (double)target->bytes / result->copy_median;
    const char *dtype = dtype_name(target->dtype);
    if (o->csv)
        printf("%s,%s,%s,%s,%s,%s,%.6g,%.6g,%.0f,%.6g,%.6g,%.6g,%zu,%s,%s,%s\n", row->op, row->shape.text, row->axis, dtype,
               row->device, row->variant, 1e3 * result->median, 1e3 * result->minimum, bytes, gbps, copy_gbps, gbps / copy_gbps,
               result->samples, result->copy_name, row->activation, o->with_residual ? "yes" : "no");
    else
        printf("%-9s  %-16s  %4s  %-5s  %-20s  %10.4f  %10.4f  %8.2f  %8.2f  %6.3f  %7zu  %s\n", row->op, row->shape.text,
               row->axis, dtype, row->variant, 1e3 * result->median, 1e3 * result->minimum, gbps, copy_gbps, gbps / copy_gbps,
               result->samples, result->copy_name);
    fflush(stdout);
}

static int run_target(const options *o, const session *s, bench_target *target, const bench_shape *shape) {
    bench_result result;
    clbn_plan_info plan;
    clbn_status status = clbn_plan_query(target->plan, &plan);
    if (status != CLBN_SUCCESS) return fail_library(&s->log, status, target->what);
    TRY(s->info.kind == CLBN_DEVICE_CPU_PATH ? bench_open_cpu(target) : bench_open_opencl(target, s));
    TRY(bench_sample(target, o->seconds, &result));
    row_text row = describe(o, s, target->op, shape, &plan);
    print_row(o, &row, &result, target);
    return EXIT_DONE;
}

bench_what bench_name(const bench_shape *shape) {
    bench_what what;
    snprintf(what.text, sizeof what.text, "--shape %s", array_shape(shape->rank, shape->dims).text);
    return what;
}

int bench_describe(const options *o, const bench_shape *shape, clbn_config *config, bench_target *target) {
    TRY(axis_channels(o, (file_ref){"", target->what}, shape->rank, shape->dims, &target->channels));
    array_count(shape->rank, shape->dims, ARRAY_F64, &target->count); /* the option's parser has seen that it fits */
    target->dtype = o->dtype;
    target->real = o->dtype == CLBN_F64 ? CLBN_F64 : CLBN_F32;
    target->residual = o->with_residual;
    target->bytes = target->count * clbn_dtype_bytes(o->dtype);
    *config = clbn_config_preset(o->preset);
    config->rank = shape->rank;
    config->dims = shape->dims;
    config->axis = o->axis;
    config->dtype = o->dtype;
    options_activation(o, config);
    config->residual = o->with_residual;
    return EXIT_DONE;
}

static int run_row(const options *o, const session *s, bench_op op, const bench_shape *shape) {
    bench_what what = bench_name(shape);
    bench_target target = {.op = op, .log = &s->log, .what = what.text};
    clbn_plan *plan = NULL;
    clbn_config config;
    TRY(bench_describe(o, shape, &config, &target));
    config.variant = o->variant;
    clbn_status made = clbn_plan_create(s->device, &config, &plan);
    if (made != CLBN_SUCCESS) return fail_library(&s->log, made, what.text);
    target.plan = plan;
    int status = run_target(o, s, &target, shape);
    if (target.state) target.close(&target);
    clbn_plan_destroy(plan);
    return status;
}

int bench_shapes(const options *o, const bench_shape **shapes, unsigned *count) {
    *shapes = o->shape_count ? o->shapes : default_shapes;
    *count = o->shape_count ? o->shape_count : sizeof default_shapes / sizeof *default_shapes;
    for (unsigned i = 0; i < *count; i++) {
        const bench_shape *shape = &(*shapes)[i];
        size_t channels;
        TRY(axis_channels(o, (file_ref){"", bench_name(shape).text}, shape->rank, shape->dims, &channels));
    }
    return EXIT_DONE;
}

static int run_rows(const options *o, const session *s, const bench_shape *shapes, unsigned shape_count) {
    const bench_op *ops = o->op_count ? o->ops : default_ops;
    unsigned op_count = o->op_count ? o->op_count : sizeof default_ops / sizeof *default_ops;
    if (!o->csv && (o->activation != CLBN_IDENTITY || o->with_residual))
        note("with the activation %s, %s residual", o->activation_text, o->with_residual ? "a" : "without a");
    if (!o->csv) note("device: %s, %s (%s)", s->info.name, s->info.device, kind_name(s->info.kind));
    print_head(o);
    for (unsigned i = 0; i < shape_count; i++)
        for (unsigned j = 0; j < op_count; j++) TRY(run_row(o, s, ops[j], &shapes[i]));
    return EXIT_DONE;
}

int run_bench(const options *o) {
    const bench_shape *shapes;
    unsigned shape_count;
    session s = {0};
    s.log.quiet = o->csv;
    TRY(bench_shapes(o, &shapes, &shape_count));
    int status = session_open(&s, o->device);
    if (status == EXIT_DONE && o->dtype == CLBN_F64) status = session_need_fp64(&s, o->device, "--dtype f64");
    if (status == EXIT_DONE) status = run_rows(o, &s, shapes, shape_count);
    session_close(&s);
    return status;
}
