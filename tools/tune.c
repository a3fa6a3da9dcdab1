/* SPDX-License-Identifier: Apache-2.0
 *
 * clbn tune: for each shape the variants that can do it race, and what is faster than the usual choice is preferred from then on, here
 * and in every later process of the same cache folder. Until a race is over what was kept before stays.
 */
#include "tune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "progress.h"
#include "table.h"

static const bench_op default_ops[] = {OP_TRAINING, OP_BACKWARD, OP_INFERENCE};

/* What all shapes share. */
typedef struct tuning {
    const options *o;
    session session, bare;      /* on the same device; bare has no folder, and so tells what plans take untuned */
    bench_op ops[TUNE_MAX_OPS]; /* each once */
    unsigned op_count;
    unsigned kept, removed; /* shapes */
    table table;
} tuning;

static void choose_ops(tuning *t) {
    const bench_op *ops = t->o->op_count ? t->o->ops : default_ops;
    unsigned count = t->o->op_count ? t->o->op_count : sizeof default_ops / sizeof *default_ops, seen = 0;
    for (unsigned i = 0; i < count; i++) {
        if (!(seen & 1U << ops[i])) t->ops[t->op_count++] = ops[i];
        seen |= 1U << ops[i];
    }
}

/* ------------------------------------------------------------------------------------------------------------- a shape */

int tune_keep(session *s, const clbn_config *config, const char *variant, const char *what) {
    unsigned notices = s->log.notices;
    clbn_status status = clbn_device_prefer(s->device, config, variant);
    if (status != CLBN_SUCCESS) return fail_library(&s->log, status, what);
    if (s->log.notices == notices) return EXIT_DONE;
    return fail_run("%s: %s %s", what, variant ? "nothing can be kept in" : "what was kept cannot be removed from",
                    s->log.cache_dir);
}

static int ask(const session *s, const clbn_config *config, const char *what, clbn_plan_info *info) {
    clbn_plan *plan = NULL;
    clbn_status status = clbn_plan_create(s->device, config, &plan);
    if (status == CLBN_SUCCESS) status = clbn_plan_query(plan, info);
    clbn_plan_destroy(plan);
    return status == CLBN_SUCCESS ? EXIT_DONE : fail_library(&s->log, status, what);
}

/* The name of what plans take untuned, and whether there is a preference now. */
static int ask_usual(const tuning *t, const clbn_config *config, const char *what, const char **usual, int *had_one) {
    clbn_plan_info info = {0}, now = {0};
    TRY(ask(&t->bare, config, what, &info));
    TRY(ask(&t->session, config, what, &now));
    *had_one = now.preferred;
    for (size_t i = 0; (*usual = clbn_variant_name(i)) != NULL; i++)
        if (strcmp(*usual, info.variant) == 0) return EXIT_DONE;
    return fail_run("%s: the library names no variant %s", what, info.variant);
}

/* A plan for each variant; not for those that cannot, or are wrong here, or fail, the usual one aside. */
static int add_candidates(const tuning *t, race *r, const clbn_config *config, const char *usual) {
    const library_log *log = &t->session.log;
    clbn_config forced = *config;
    for (size_t i = 0; (forced.variant = clbn_variant_name(i)) != NULL && r->count < TUNE_MAX_CANDIDATES; i++) {
        candidate *c = &r->candidates[r->count];
        clbn_status status = clbn_plan_create(t->session.device, &forced, &c->plan);
        if (status != CLBN_SUCCESS && forced.variant == usual) return fail_library(log, status, r->target->what);
        if (status != CLBN_SUCCESS && status != CLBN_ERROR_UNSUPPORTED)
            note("note: %s does without %s: %s", r->target->what, forced.variant, log->sentence);
        if (status != CLBN_SUCCESS) continue;
        c->variant = forced.variant;
        c->is_usual = c->variant == usual;
        r->count++;
    }
    return EXIT_DONE;
}

static void race_close(race *r) {
    for (unsigned i = 0; i < r->count; i++) {
        for (unsigned op = 0; op < r->op_count; op++) free(r->candidates[i].times[op].times);
        clbn_plan_destroy(r->candidates[i].plan);
    }
    if (r->target->state) r->target->close(r->target);
}

static void print_head(tuning *t) {
    static const char *const alignments[] = {"llrrrl", "llrrrrl", "llrrrrrl"};
    table_begin(&t->table, alignments[t->op_count - 1]);
    table_cell(&t->table, "shape");
    table_cell(&t->table, "variant");
    for (unsigned op = 0; op < t->op_count; op++) table_cell(&t->table, "%s ms", bench_op_name(t->ops[op]));
    table_cell(&t->table, "rounds");
    table_cell(&t->table, "faster in");
    table_cell(&t->table, "choice");
}

static void print_race(tuning *t, const race *r, const bench_shape *shape, const candidate *winner) {
    for (const candidate *c = r->candidates; c != r->candidates + r->count; c++) {
        const int is_kept = winner ? c == winner : c->is_usual;
        table_cell(&t->table, "%s", array_shape(shape->rank, shape->dims).text);
        table_cell(&t->table, "%s", c->variant);
        for (unsigned op = 0; op < r->op_count; op++) table_cell(&t->table, "%.4f", 1e3 * c->medians[op]);
        table_cell(&t->table, "%zu", c->rounds);
        if (c->is_usual)
            table_cell(&t->table, "%s", "");
        else
            table_cell(&t->table, "%zu", c->faster);
        table_cell(&t->table, "%s%s%s", c->is_usual ? "untuned" : "", c->is_usual && is_kept ? ", " : "",
                   is_kept     ? "kept"
                   : c->is_out ? "left out"
                               : "");
    }
}

static int run_race(tuning *t, race *r, const clbn_config *config, const bench_shape *shape) {
    const char *usual = NULL, *what = r->target->what;
    int had_one = 0;
    TRY(ask_usual(t, config, what, &usual, &had_one));
    TRY(add_candidates(t, r, config, usual));
    TRY(bench_open_calls(r->target, &t->session));
    TRY(race_run(r, t->o->seconds));
    const candidate *winner = race_winner(r);
    print_race(t, r, shape, winner);
    TRY(tune_keep(&t->session, config, winner ? winner->variant : NULL, what));
    t->kept += winner != NULL;
    t->removed += winner == NULL && had_one;
    return EXIT_DONE;
}

static int tune_shape(tuning *t, const bench_shape *shape) {
    bench_what what = bench_name(shape);
    bench_target target = {.op = t->ops[0], .log = &t->session.log, .what = what.text};
    race r = {.target = &target, .op_count = t->op_count};
    clbn_config config;
    memcpy(r.ops, t->ops, sizeof r.ops);
    for (unsigned op = 0; op < t->op_count; op++) target.also |= 1U << t->ops[op];
    TRY(bench_describe(t->o, shape, &config, &target));
    progress_begin(what.text + strlen("--"), 1000);
    int status = run_race(t, &r, &config, shape);
    progress_end();
    race_close(&r);
    return status;
}

/* ------------------------------------------------------------------------------------------------------------- the command */

static int tune_shapes(tuning *t, const bench_shape *shapes, unsigned count) {
    const clbn_device_info *info = &t->session.info;
    int status = EXIT_DONE;
    if (t->o->activation != CLBN_IDENTITY || t->o->with_residual)
        note("with the activation %s, %s residual", t->o->activation_text, t->o->with_residual ? "a" : "without a");
    note("device: %s, %s (%s)", info->name, info->device, kind_name(info->kind));
    choose_ops(t);
    print_head(t);
    for (unsigned i = 0; i < count && status == EXIT_DONE; i++) status = tune_shape(t, &shapes[i]);
    table_end(&t->table, 0);
    if (t->kept) note("kept in %s", t->session.log.cache_dir);
    if (t->kept || status != EXIT_DONE) return status;
    if (t->removed)
        note("the untuned choice stands again: what was kept is gone from %s", t->session.log.cache_dir);
    else
        note("nothing changed: the untuned choice stands");
    return status;
}

int run_tune(const options *o) {
    const char *device = strcmp(o->device, "auto") == 0 ? "opencl" : o->device;
    const bench_shape *shapes;
    unsigned count;
    tuning t = {.o = o};
    if (strcmp(device, "cpu") == 0) return fail_input("--device cpu: the CPU path has no variants to tune");
    TRY(bench_shapes(o, &shapes, &count));
    if (!library_options(&t.session.log).cache_dir)
        return fail_run("nothing can be kept: CLBN_CACHE is off, or neither XDG_CACHE_HOME nor HOME names a folder");
    int status = session_open(&t.session, device);
    t.bare.log.quiet = 1; /* it would say the same again */
    if (status == EXIT_DONE) status = session_open_bare(&t.bare, t.session.info.name);
    if (status == EXIT_DONE && o->dtype == CLBN_F64) status = session_need_fp64(&t.session, device, "--dtype f64");
    if (status == EXIT_DONE) status = tune_shapes(&t, shapes, count);
    session_close(&t.bare);
    session_close(&t.session);
    return status;
}
