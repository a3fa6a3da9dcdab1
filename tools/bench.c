/* SPDX-License-Identifier: Apache-2.0
 *
 * clbn bench: a row for each operation and shape, with the time of a call and how near it comes to a plain copy.
 */
#include "bench.h"

#include <stdio.h>
#include <string.h>

#include "commands.h"

static const bench_shape default_shapes[] = {{4, {32, 64, 56, 56}}, {2, {65536, 256}}};
static const forward_mode default_ops[] = {MODE_TRAINING, MODE_INFERENCE};

/* What a row is about, as text. No field of the csv may hold a comma. */
typedef struct row_text {
    const char *op;
    shape_text shape;
    char axis[16];
    char device[280];
    char variant[64];
} row_text;

static void no_commas(char *text) {
    make_one_line(text);
    for (; *text; text++)
        if (*text == ',' || *text == '"') *text = ' ';
}

static row_text describe(const options *o, const session *s, forward_mode op, const bench_shape *shape,
                         const clbn_plan_info *plan) {
    row_text row = {.op = op == MODE_TRAINING ? "training" : "inference", .shape = array_shape(shape->rank, shape->dims)};
    if (o->axis == CLBN_AXIS_NONE)
        snprintf(row.axis, sizeof row.axis, "none");
    else
        snprintf(row.axis, sizeof row.axis, "%d", o->axis);
    snprintf(row.device, sizeof row.device, "%s %s", s->info.name, s->info.device);
    /* The plan names how training runs; inference has one way. */
    snprintf(row.variant, sizeof row.variant, "%s", op == MODE_TRAINING && plan->variant ? plan->variant : "-");
    no_commas(row.device);
    no_commas(row.variant);
    return row;
}

static void print_head(const options *o) {
    if (o->csv)
        printf("op,shape,axis,dtype,device,variant,median_ms,min_ms,min_bytes,gbps,copy_gbps,copy_ratio,samples,copy\n");
    else
        printf("%-9s  %-16s  %4s  %-5s  %-20s  %10s  %10s  %8s  %8s  %6s  %7s  %s\n", "op", "shape", "axis", "dtype", "variant",
               "median ms", "min ms", "GB/s", "copy", "ratio", "samples", "best copy");
}

static void print_row(const options *o, const row_text *row, const bench_result *result, size_t count) {
    double bytes = 2.0 * (double)count * sizeof(float);
    double gbps = 1e-9 * bytes / result->median;
    double copy_gbps = 1e-9 * bytes / result->copy_median;
    if (o->csv)
        printf("%s,%s,%s,f32,%s,%s,%.6g,%.6g,%.0f,%.6g,%.6g,%.6g,%zu,%s\n", row->op, row->shape.text, row->axis, row->device,
               row->variant, 1e3 * result->median, 1e3 * result->minimum, bytes, gbps, copy_gbps, gbps / copy_gbps,
               result->samples, result->copy_name);
    else
        printf("%-9s  %-16s  %4s  %-5s  %-20s  %10.4f  %10.4f  %8.2f  %8.2f  %6.3f  %7zu  %s\n", row->op, row->shape.text,
               row->axis, "f32", row->variant, 1e3 * result->median, 1e3 * result->minimum, gbps, copy_gbps, gbps / copy_gbps,
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
    print_row(o, &row, &result, target->count);
    return EXIT_DONE;
}

static int run_row(const options *o, const session *s, forward_mode op, const bench_shape *shape) {
    char what[64 + sizeof(shape_text)];
    bench_target target = {.op = op, .log = &s->log, .what = what};
    clbn_plan *plan = NULL;
    clbn_config config = clbn_config_preset(o->preset);
    snprintf(what, sizeof what, "--shape %s", array_shape(shape->rank, shape->dims).text);
    TRY(axis_channels(o, (file_ref){"", what}, shape->rank, shape->dims, &target.channels));
    array_count(shape->rank, shape->dims, ARRAY_F32, &target.count); /* the option's parser has seen that it fits */
    config.rank = shape->rank;
    config.dims = shape->dims;
    config.axis = o->axis;
    clbn_status made = clbn_plan_create(s->device, &config, &plan);
    if (made != CLBN_SUCCESS) return fail_library(&s->log, made, what);
    target.plan = plan;
    int status = run_target(o, s, &target, shape);
    if (target.state) target.close(&target);
    clbn_plan_destroy(plan);
    return status;
}

/* Every shape is checked before the first row is measured. */
static int check_shapes(const options *o, const bench_shape *shapes, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        size_t channels;
        char what[64 + sizeof(shape_text)];
        snprintf(what, sizeof what, "--shape %s", array_shape(shapes[i].rank, shapes[i].dims).text);
        TRY(axis_channels(o, (file_ref){"", what}, shapes[i].rank, shapes[i].dims, &channels));
    }
    return EXIT_DONE;
}

static int run_rows(const options *o, const session *s, const bench_shape *shapes, unsigned shape_count) {
    const forward_mode *ops = o->op_count ? o->ops : default_ops;
    unsigned op_count = o->op_count ? o->op_count : sizeof default_ops / sizeof *default_ops;
    if (!o->csv) note("device: %s, %s (%s)", s->info.name, s->info.device, kind_name(s->info.kind));
    print_head(o);
    for (unsigned i = 0; i < shape_count; i++)
        for (unsigned j = 0; j < op_count; j++) TRY(run_row(o, s, ops[j], &shapes[i]));
    return EXIT_DONE;
}

int run_bench(const options *o) {
    const bench_shape *shapes = o->shape_count ? o->shapes : default_shapes;
    unsigned shape_count = o->shape_count ? o->shape_count : sizeof default_shapes / sizeof *default_shapes;
    session s = {0};
    s.log.quiet = o->csv;
    TRY(check_shapes(o, shapes, shape_count));
    int status = session_open(&s, o->device);
    if (status == EXIT_DONE) status = run_rows(o, &s, shapes, shape_count);
    session_close(&s);
    return status;
}
