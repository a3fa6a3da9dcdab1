/* SPDX-License-Identifier: Apache-2.0
 *
 * What clbn verify found: a row for each quantity of each operation, type and variant; as a table, as JSON.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "progress.h"
#include "stored.h"
#include "table.h"
#include "verify.h"

const char *verify_type_name(clbn_dtype type) {
    return stored_name(type);
}

int verify_no_memory(verify *v) {
    (void)v;
    return fail_run("verify: no memory");
}

/* ------------------------------------------------------------------------------------------------------------------- gathering */

/* "y of forward training, float32, group-split-planes, outliers, 5x3x211" */
static void write_title(const verify *v, const char *what, char *text, size_t size) {
    const lot *l = v->lot;
    const definition_shape s = l->b.shape;
    snprintf(text, size, "%s of %s, %s, %s, %s, %s, %zux%zux%zu", what, v->operation, stored_name(l->type), v->variant,
             data_name(l->of.data), data_gradients_name(l->gradients), s.outer, s.channels, s.inner);
}

int verify_failed(verify *v, clbn_status status) {
    char title[300];
    write_title(v, "a call", title, sizeof title);
    return fail_library(&v->session.log, status, title);
}

void verify_begin(verify *v, const char *operation) {
    v->operation = operation;
    v->last = NULL;
    v->calls++;
}

static int is_row(const verify *v, const verify_row *r, const char *what) {
    return r->what == what && r->type == v->lot->type && !strcmp(r->operation, v->operation) && !strcmp(r->variant, v->variant);
}

static verify_row *row_of(verify *v, const char *what) {
    if (v->last && is_row(v, v->last, what)) return v->last;
    for (size_t i = 0; i < v->row_count; i++)
        if (is_row(v, &v->rows[i], what)) return v->last = &v->rows[i];
    if (v->row_count == v->row_room) {
        const size_t room = v->row_room ? 2 * v->row_room : 256;
        verify_row *rows = realloc(v->rows, room * sizeof *rows);
        if (!rows) {
            v->no_memory = 1;
            return NULL;
        }
        v->rows = rows, v->row_room = room;
    }
    verify_row *row = &v->rows[v->row_count++];
    *row = (verify_row){.operation = v->operation, .what = what, .type = v->lot->type, .worst = -1};
    snprintf(row->variant, sizeof row->variant, "%s", v->variant);
    return v->last = row;
}

static void tell_first_miss(verify *v, const finding *f) {
    char title[300];
    write_title(v, f->what, title, sizeof title);
    if (!isfinite(f->exact))
        snprintf(v->first_miss, sizeof v->first_miss, "%s: %.9Lg, and must not be finite", title, f->got);
    else
        snprintf(v->first_miss, sizeof v->first_miss, "%s: %.9Lg instead of %.9Lg, an error of %.3Lg where %.3Lg is allowed",
                 title, f->got, f->exact, f->error, f->bound);
}

static void hear(void *by, const finding *f) {
    verify *v = by;
    verify_row *row = row_of(v, f->what);
    if (!row) return;
    row->checks++, v->checks++;
    if (f->miss) {
        if (!v->misses) tell_first_miss(v, f);
        row->misses++, v->misses++;
    }
    if ((double)f->ratio > row->stored) row->stored = (double)f->ratio;
    if ((double)f->before <= row->worst) return;
    row->worst = (double)f->before;
    row->data = v->lot->of.data, row->gradients = v->lot->gradients, row->shape = v->lot->b.shape;
}

hearing verify_hearing(verify *v) {
    return (hearing){hear, v};
}

/* ---------------------------------------------------------------------------------------------------------------------- as text */

/* The worst of all variants, one row for each operation, type and quantity. */
void verify_print_table(const verify *v, const verify_scope *scope) {
    static const char *const heads[] = {"operation", "type", "quantity", "worst", "of", "on", "checks", "misses"};
    table t;
    table_begin(&t, "lllrllrr");
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) table_cell(&t, "%s", heads[i]);
    for (size_t i = 0; i < v->row_count; i++) {
        const verify_row *first = &v->rows[i], *worst = first;
        size_t checks = 0, misses = 0, seen = 0;
        for (size_t k = 0; k < v->row_count; k++) {
            const verify_row *r = &v->rows[k];
            if (r->type != first->type || strcmp(r->operation, first->operation) || strcmp(r->what, first->what)) continue;
            if (k < i) seen = 1;
            checks += r->checks, misses += r->misses;
            if (r->worst > worst->worst) worst = r;
        }
        if (seen) continue;
        table_cell(&t, "%s", first->operation);
        table_cell(&t, "%s", stored_name(first->type));
        table_cell(&t, "%s", first->what);
        table_cell(&t, "%.3f", floor(worst->worst * 1000) / 1000); /* cut: what is below 1 must not look like it */
        table_cell(&t, "%s", worst->variant);
        table_cell(&t, "%s, %zux%zux%zu", data_name(worst->data), worst->shape.outer, worst->shape.channels, worst->shape.inner);
        table_cell(&t, "%zu", checks);
        table_cell(&t, "%zu", misses);
    }
    table_end(&t, 0);
    note("worst: error over bound, without the last rounding of a 16-bit result; 1 and below is kept");
    for (int k = 0; k < 4; k++)
        if (scope->ran_of[k] < scope->planned_of[k])
            note("left out for time: %zu of %zu batches in %s", scope->planned_of[k] - scope->ran_of[k], scope->planned_of[k],
                 stored_name((clbn_dtype)k));
    if (*scope->impossible) note("not possible here: %s", scope->impossible);
    if (*v->session.log.wrong) note("wrong here: %s", v->session.log.wrong);
    note("%zu batches, %zu calls, %zu numbers compared in %.1f s; %zu outside their bounds", scope->ran, v->calls, v->checks,
         now_seconds() - v->began, v->misses);
}

/* ------------------------------------------------------------------------------------------------------------------------ JSON */

static void print_string(const char *name, const char *text, const char *behind) {
    printf("\"%s\": \"", name);
    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < 0x20)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    printf("\"%s", behind);
}

/* JSON has no infinity. */
static void print_ratio(const char *name, double ratio) {
    if (isfinite(ratio))
        printf("\"%s\": %.10g, ", name, ratio < 0 ? 0 : ratio);
    else
        printf("\"%s\": 1e308, ", name);
}

static void print_row(const verify_row *r, int last) {
    printf("    {");
    print_string("operation", r->operation, ", ");
    print_string("type", stored_name(r->type), ", ");
    print_string("variant", r->variant, ", ");
    print_string("quantity", r->what, ", ");
    print_ratio("worst", r->worst);
    print_ratio("worst_stored", r->stored);
    print_string("data", data_name(r->data), ", ");
    print_string("gradients", data_gradients_name(r->gradients), ", ");
    printf("\"shape\": [%zu, %zu, %zu], \"checks\": %zu, \"misses\": %zu}%s\n", r->shape.outer, r->shape.channels, r->shape.inner,
           r->checks, r->misses, last ? "" : ",");
}

static int bits_of(unsigned set) {
    int count = 0;
    for (; set; set &= set - 1) count++;
    return count;
}

void verify_print_json(const verify *v, const verify_scope *scope, int thorough) {
    const clbn_device_info *info = &v->session.info;
    printf("{\n  ");
    print_string("library", clbn_version(), ",\n  ");
    print_string("device", info->device, ",\n  ");
    print_string("name", info->name, ",\n  ");
    print_string("kind", kind_name(info->kind), ",\n  ");
    print_string("platform", info->platform, ",\n  ");
    print_string("version", info->version, ",\n  ");
    print_string("driver", info->driver, ",\n  ");
    printf("\"flushes_denormals\": %s,\n  \"thorough\": %s,\n  \"rows\": [\n", v->flushes ? "true" : "false",
           thorough ? "true" : "false");
    for (size_t i = 0; i < v->row_count; i++) print_row(&v->rows[i], i + 1 == v->row_count);
    printf("  ],\n  \"summary\": {\"batches\": %zu, \"batches_planned\": %zu, \"shapes\": %d, \"shapes_planned\": %d, ",
           scope->ran, scope->planned, bits_of(scope->shapes), bits_of(scope->shapes_planned));
    printf("\"calls\": %zu, \"checks\": %zu, \"misses\": %zu, ", v->calls, v->checks, v->misses);
    print_string("impossible", scope->impossible, ", ");
    print_string("wrong", v->session.log.wrong, ", ");
    print_string("first_miss", v->first_miss, ", ");
    printf("\"seconds\": %.1f}\n}\n", now_seconds() - v->began);
}
