/* SPDX-License-Identifier: Apache-2.0
 *
 * clbn verify: every operation on this machine's device, of every type, by every variant, on the data that the promise names, against
 * the definition within its bounds.
 */
#include "verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "progress.h"
#include "stored.h"

/* Shapes that together take every variant: planes, columns, short planes, few values; then larger ones. */
typedef enum verify_size { SMALL_SHAPE, MORE_SMALL, MEDIUM_SHAPE, MORE_MEDIUM, LARGE_SHAPE } verify_size;
typedef struct verify_shape {
    size_t outer, channels, inner;
    verify_size size;
} verify_shape;

static const verify_shape shapes[] = {
    {6, 3, 111, SMALL_SHAPE},   {231, 5, 1, SMALL_SHAPE},  {39, 4, 6, MORE_SMALL},       {3, 2, 1, MORE_SMALL},
    {5, 3, 4999, MEDIUM_SHAPE}, {64, 50, 1, MEDIUM_SHAPE}, {4999, 5, 1, MEDIUM_SHAPE},   {32, 10, 49, MORE_MEDIUM},
    {1, 3, 4099, MORE_MEDIUM},  {511, 55, 1, MORE_MEDIUM}, {1, 1, 3225601, LARGE_SHAPE}, {1048577, 2, 1, LARGE_SHAPE},
};
/* A simulator takes a millisecond for each element, and of these only so many. */
enum { SHAPES = sizeof shapes / sizeof *shapes, SECONDS = 40, OF_SIMULATORS = 1000 };

static const clbn_dtype types[] = {CLBN_F32, CLBN_F16, CLBN_BF16, CLBN_F64};

/* The plans of one type and shape, by variant. */
typedef struct plans {
    size_t count;
    const char *names[VERIFY_MAX_VARIANTS];
    clbn_plan *whole[VERIFY_MAX_VARIANTS], *even[VERIFY_MAX_VARIANTS], *rest[VERIFY_MAX_VARIANTS];
} plans;

static void close_plans(plans *p) {
    for (size_t k = 0; k < p->count; k++) {
        clbn_plan_destroy(p->whole[k]);
        clbn_plan_destroy(p->even[k]);
        clbn_plan_destroy(p->rest[k]);
    }
    memset(p, 0, sizeof *p);
}

/* NULL where a forced variant does not fit. */
static int make_plan(verify *v, const clbn_config *config, const char *what, clbn_plan **plan) {
    const clbn_status status = clbn_plan_create(v->session.device, config, plan);
    if (status == CLBN_SUCCESS || (status == CLBN_ERROR_UNSUPPORTED && config->variant)) return EXIT_DONE;
    return fail_library(&v->session.log, status, what);
}

/* Whatever the time, a first batch is verified to its end. Asked for before each plan and each variant's calls, as a driver may compile
 * for those. */
static int is_over(const verify *v, const verify_scope *scope) {
    return scope->ran > 0 && v->seconds > 0 && now_seconds() - v->began > v->seconds;
}

/* The plan of a variant for a lot, and for shares of it; variant NULL is the plan's own choice. */
static int open_plan(verify *v, plans *p, const lot *l, const char *variant) {
    char what[100];
    size_t dims[3];
    clbn_plan_info info;
    clbn_plan *plan = NULL;
    clbn_config config = lot_config(l);
    config.variant = variant;
    snprintf(what, sizeof what, "a plan of %s by %s", stored_name(l->type), variant ? variant : "its own choice");
    TRY(make_plan(v, &config, what, &plan));
    for (unsigned i = 0; variant && clbn_variant_name(i); i++)
        if (!strcmp(variant, clbn_variant_name(i))) *(plan ? &v->possible : &v->refused) |= 1u << i;
    if (!plan) return EXIT_DONE;
    const size_t k = p->count++;
    p->whole[k] = plan;
    const clbn_status status = clbn_plan_query(plan, &info);
    if (status != CLBN_SUCCESS) return fail_library(&v->session.log, status, what);
    p->names[k] = info.variant ? info.variant : "cpu path";
    if (l->fused || l->b.shape.outer < VERIFY_SHARES) return EXIT_DONE;
    config = lot_share_config(l, dims, share_rows(l, 0));
    config.variant = variant;
    TRY(make_plan(v, &config, what, &p->even[k]));
    config = lot_share_config(l, dims, share_rows(l, VERIFY_SHARES - 1));
    config.variant = variant;
    return make_plan(v, &config, what, &p->rest[k]);
}

static int open_plans(verify *v, plans *p, const lot *l, int all, const verify_scope *scope) {
    memset(p, 0, sizeof *p);
    if (!all || v->session.info.kind == CLBN_DEVICE_CPU_PATH) return open_plan(v, p, l, NULL);
    for (size_t k = 0; k < VERIFY_MAX_VARIANTS && clbn_variant_name(k) && !is_over(v, scope); k++)
        TRY(open_plan(v, p, l, clbn_variant_name(k)));
    return EXIT_DONE;
}

/* ------------------------------------------------------------------------------------------------------------------ the work */

/* What goes over one set of plans: a shape in a type, plain or fused. */
typedef struct task {
    const verify_shape *shape;
    clbn_dtype type;
    int fused, all_variants;
    int thorough;
    data_kind kind; /* the only one, where it is thorough */
} task;

static data_case case_of(const task *t, data_kind data) {
    data_case c = {"verify", 3, {t->shape->outer, t->shape->channels, t->shape->inner}, 1, data};
    return c;
}

/* Does the task take this data, with these gradients? Small shapes meet all of both where it is thorough; else gradients take turns. */
static int takes(const task *t, data_kind data, data_gradients gradients) {
    if (t->thorough && data != t->kind) return 0;
    if (t->shape->size == LARGE_SHAPE)
        return (data == OUTLIERS || data == (t->shape->inner > 1 ? MEAN_1E6 : ALTERNATING)) &&
               gradients == (data == ALTERNATING ? DY_OUTLIER : DY_FAR);
    if (t->thorough && t->shape->size <= MORE_SMALL) return 1;
    return (unsigned)gradients == ((unsigned)data + (t->shape->inner > 1)) % DY_KINDS;
}

static size_t lots_of(const task *t) {
    size_t count = 0;
    for (int data = 0; data_name((data_kind)data); data++)
        for (int g = 0; g < DY_KINDS; g++) count += (size_t)takes(t, (data_kind)data, (data_gradients)g);
    return count;
}

/* What time cuts short counts for nothing in scope; its numbers were judged all the same. */
static int run_lot(verify *v, const task *t, const plans *p, data_kind data, data_gradients gradients, verify_scope *scope) {
    const data_case c = case_of(t, data);
    int cut = is_over(v, scope);
    lot l;
    int status = lot_make(v, &l, &c, t->type, gradients, t->fused);
    v->lot = &l;
    l.brief = t->shape->size == LARGE_SHAPE;
    for (int population = 0; population < (l.brief ? 1 : 2) && status == EXIT_DONE; population++) {
        status = lot_answer(v, &l, population);
        for (size_t k = 0; k < p->count && status == EXIT_DONE && !cut; k++) {
            cut = is_over(v, scope);
            if (cut) continue;
            v->variant = p->names[k];
            status = verify_calls(v, &l, p->whole[k]);
            if (status == EXIT_DONE && !population && !l.brief && p->even[k] && p->rest[k])
                status = verify_parts(v, &l, p->even[k], p->rest[k]);
        }
    }
    if (status == EXIT_DONE && v->no_memory) status = verify_no_memory(v);
    v->lot = NULL;
    lot_free(&l);
    if (status != EXIT_DONE || cut) return status;
    scope->ran++, scope->ran_of[t->type]++;
    scope->shapes |= 1u << (t->shape - shapes);
    progress_step(scope->ran);
    return EXIT_DONE;
}

/* Epsilon is the plan's, and SMALL_SIGMA has its own: it takes plans apart. */
static int run_half(verify *v, const task *t, int small_sigma, verify_scope *scope) {
    plans p = {0};
    int status = EXIT_DONE;
    for (int data = 0; data_name((data_kind)data) && status == EXIT_DONE; data++)
        for (int g = 0; g < DY_KINDS && status == EXIT_DONE; g++) {
            if (!takes(t, (data_kind)data, (data_gradients)g) || (data == SMALL_SIGMA) != small_sigma || is_over(v, scope))
                continue;
            if (!p.count) {
                const data_case c = case_of(t, (data_kind)data);
                lot l;
                status = lot_make(v, &l, &c, t->type, DY_NORMAL, t->fused);
                if (status == EXIT_DONE) status = open_plans(v, &p, &l, t->all_variants, scope);
                lot_free(&l);
            }
            if (status == EXIT_DONE) status = run_lot(v, t, &p, (data_kind)data, (data_gradients)g, scope);
        }
    close_plans(&p);
    return status;
}

static int run_task(verify *v, const task *t, verify_scope *scope) {
    TRY(run_half(v, t, 0, scope));
    return run_half(v, t, 1, scope);
}

typedef int task_call(verify *v, const task *t, verify_scope *scope);

/* Can the device do it, and in reasonable time? Data of several megabytes comes in float32 alone. */
static int is_for(const verify *v, const task *t) {
    const size_t elements = t->shape->outer * t->shape->channels * t->shape->inner;
    if (v->session.info.kind == CLBN_DEVICE_SIMULATOR && elements > OF_SIMULATORS) return 0;
    return t->type == CLBN_F32 || (t->shape->size < LARGE_SHAPE && (t->type != CLBN_F64 || v->session.info.has_fp64));
}

/* One of the passes of a quick run over shapes and types. */
typedef struct pass {
    verify_size size;
    int fused, all_variants;
} pass;

/* In their order: what shows most in least time is first, as time may end it. */
static const pass passes[] = {
    {SMALL_SHAPE, 0, 0}, {SMALL_SHAPE, 1, 0}, {SMALL_SHAPE, 0, 1}, {MORE_SMALL, 0, 1}, {MEDIUM_SHAPE, 0, 0}};

static int each_quick(verify *v, const pass *p, verify_scope *scope, task_call *call) {
    for (size_t k = 0; k < sizeof types / sizeof *types; k++)
        for (size_t s = 0; s < SHAPES; s++) {
            const task t = {.shape = &shapes[s], .type = types[k], .fused = p->fused, .all_variants = p->all_variants};
            const int is_left_out = p->size == MEDIUM_SHAPE && types[k] != CLBN_F32;
            if (shapes[s].size == p->size && !is_left_out && is_for(v, &t)) TRY(call(v, &t, scope));
        }
    return EXIT_DONE;
}

/* A round of a thorough run: all shapes in all types, the small ones fused too. Each kind of data has its round, so that whenever time
 * ends the run it has seen some of all. */
static int each_of_round(verify *v, data_kind kind, verify_scope *scope, task_call *call) {
    for (size_t s = 0; s < SHAPES; s++)
        for (size_t k = 0; k < sizeof types / sizeof *types; k++)
            for (int fused = 0; fused <= (shapes[s].size <= MORE_SMALL); fused++) {
                const task t = {&shapes[s], types[k], fused, 1, 1, kind};
                if (is_for(v, &t)) TRY(call(v, &t, scope));
            }
    return EXIT_DONE;
}

/* Calls each with every task; who counts looks at scope alone. */
static int each_task(verify *v, int thorough, verify_scope *scope, task_call *call) {
    const int one = v->session.info.kind == CLBN_DEVICE_CPU_PATH; /* no variants to force */
    for (int kind = 0; thorough && data_name((data_kind)kind); kind++) TRY(each_of_round(v, (data_kind)kind, scope, call));
    for (size_t i = 0; !thorough && i < sizeof passes / sizeof *passes; i++)
        if (!one || i != 2) TRY(each_quick(v, &passes[i], scope, call));
    return EXIT_DONE;
}

static int count_task(verify *v, const task *t, verify_scope *scope) {
    (void)v;
    scope->planned += lots_of(t), scope->planned_of[t->type] += lots_of(t);
    if (lots_of(t)) scope->shapes_planned |= 1u << (t->shape - shapes);
    return EXIT_DONE;
}

/* What fitted no shape, and not what time did not come to. */
static void tell_impossible(const verify *v, verify_scope *scope) {
    size_t used = 0;
    const size_t room = sizeof scope->impossible;
    if (!v->session.info.has_fp64) used += (size_t)snprintf(scope->impossible, room, "float64");
    if (v->session.info.kind == CLBN_DEVICE_CPU_PATH || scope->ran < scope->planned)
        return; /* time may have left out what fits */
    for (size_t k = 0; clbn_variant_name(k) && used < room; k++) {
        if (v->refused & ~v->possible & 1u << k && strstr(v->session.log.wrong, clbn_variant_name(k)) == NULL)
            used += (size_t)snprintf(scope->impossible + used, room - used, "%s%s", used ? ", " : "", clbn_variant_name(k));
    }
}

int verify_run(verify *v, int thorough, verify_scope *scope) {
    each_task(v, thorough, scope, count_task);
    progress_begin("verify", scope->planned);
    const int status = each_task(v, thorough, scope, run_task);
    progress_end();
    tell_impossible(v, scope);
    return status;
}

/* --------------------------------------------------------------------------------------------------------------- the command */

/* Small floats as 0: then data of sigma 1e-18 would have a variance of 0. */
static int flushes_denormals(const session *s) {
    cl_device_id id = NULL;
    cl_device_fp_config config = CL_FP_DENORM;
    if (clbn_device_get_cl(s->device, NULL, &id, NULL) != CLBN_SUCCESS) return 0;
    clGetDeviceInfo(id, CL_DEVICE_SINGLE_FP_CONFIG, sizeof config, &config, NULL);
    return !(config & CL_FP_DENORM);
}

int run_verify(const options *o) {
    verify v = {.began = now_seconds(), .seconds = o->seconds > 0 ? o->seconds : o->thorough ? 0 : SECONDS};
    verify_scope scope = {0};
    v.session.log.quiet = o->json;
    int status = session_open(&v.session, o->device);
    if (status == EXIT_DONE) {
        v.flushes = flushes_denormals(&v.session);
        if (!o->json) note("device: %s, %s (%s)", v.session.info.name, v.session.info.device, kind_name(v.session.info.kind));
        status = verify_run(&v, o->thorough, &scope);
    }
    if (status == EXIT_DONE && o->json) verify_print_json(&v, &scope, o->thorough);
    if (status == EXIT_DONE && !o->json) verify_print_table(&v, &scope);
    if (status == EXIT_DONE && v.misses) {
        fflush(stdout);
        status = fail_run("verify: %s (%zu of %zu numbers are outside their bounds)", v.first_miss, v.misses, v.checks);
    } else if (status == EXIT_DONE && *v.session.log.wrong) {
        fflush(stdout);
        status = fail_run("verify: wrong results in the trial of %s", v.session.log.wrong);
    } else if (status == EXIT_DONE && v.checks == 0) {
        fflush(stdout);
        status = fail_run("verify: nothing could be compared");
    }
    free(v.rows);
    session_close(&v.session);
    return status;
}
