/* SPDX-License-Identifier: Apache-2.0
 *
 * One call with guarded buffers: see scene.h.
 */
#include "scene.h"
#include "support.h"

#include <stdio.h>
#include <string.h>

/* A product of the field of four elements. */
static unsigned times(unsigned a, unsigned b) {
    static const unsigned table[4][4] = {{0, 0, 0, 0}, {0, 1, 2, 3}, {0, 2, 3, 1}, {0, 3, 1, 2}};
    return table[a][b];
}

/* The columns nth, rule + nth, rule + 2 nth, rule + 3 nth over that field, beside rule itself: an orthogonal array. */
way way_of(unsigned rule, unsigned nth) {
    static const way rules[RULES] = {
        {.epsilon = 1e-5, .update_weight = 0.1, .running_variance = CLBN_RUNNING_UNBIASED, .own_workspace = 1},
        {.epsilon = 1e-3, .update_weight = 0.25, .epsilon_rule = CLBN_EPSILON_OUTSIDE},
        {.epsilon = 0.1, .update_weight = 1, .own_workspace = 1},
        {.epsilon = 0, .update_weight = 0.01, .running_variance = CLBN_RUNNING_UNBIASED},
    };
    static const size_t offsets[] = {0, 1, 3, 127};
    way w = rules[rule];
    w.offset = offsets[nth];
    w.place = (place)(rule ^ nth);
    w.affine = (affine)(rule ^ times(2, nth));
    w.outputs = (outputs)(rule ^ times(3, nth));
    return w;
}

way plain_way(place where) {
    way w = way_of(0, 0);
    w.place = where;
    return w;
}

clbn_config config_of(const batch *b, const way *w, const char *variant) {
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = b->of->rank;
    config.dims = b->of->dims;
    config.axis = b->of->axis;
    config.epsilon = b->of->data == SMALL_SIGMA ? 0 : w->epsilon;
    config.epsilon_rule = w->epsilon_rule;
    config.running_variance = w->running_variance;
    config.variant = variant;
    return config;
}

static void title(scene *s, const char *note) {
    static const char *const verbs[] = {"training", "inference", "moments"};
    static const char *const places[] = {"cl_mem", "cl_mem in place", "host", "host in place"};
    static const char *const affines[] = {"gamma, beta", "no gamma, no beta", "gamma", "beta"};
    static const char *const asked[] = {"running, saved", "running", "saved", "no statistics"};
    const way *w = &s->way;
    snprintf(s->title, sizeof s->title, "%s (%zux%zux%zu, seed %llu) %s%s%s: %s, %s, %s, offset %zu, epsilon %g%s",
             s->b->of->name, s->b->shape.outer, s->b->shape.channels, s->b->shape.inner, s->b->seed, verbs[s->verb],
             *note ? " by " : "", note, places[w->place], affines[w->affine], asked[w->outputs], w->offset, w->epsilon,
             w->epsilon_rule ? " outside" : "");
}

/* The flags of a buffer that a call only reads, or only writes. */
static cl_mem_flags only(const way *w, cl_mem_flags flags) {
    return w->any_access ? CL_MEM_READ_WRITE : flags;
}

static void make_statistics(scene *s, cl_command_queue queue) {
    const batch *b = s->b;
    size_t n = b->shape.channels, at = s->way.offset;
    int running = s->verb == INFERENCE || (s->verb == TRAINING && s->way.outputs <= RUNNING_ONLY);
    int saved = s->verb == MOMENTS || s->way.outputs == RUNNING_AND_SAVED || s->way.outputs == SAVED_ONLY;
    cl_mem_flags flags = s->verb == INFERENCE ? only(&s->way, CL_MEM_READ_ONLY) : CL_MEM_READ_WRITE;
    cl_mem_flags written = only(&s->way, CL_MEM_WRITE_ONLY);
    if (running) guarded_make(&s->running_mean, "running_mean", queue, flags, n, at, b->running_mean);
    if (running) guarded_make(&s->running_var, "running_var", queue, flags, n, at, b->running_var);
    if (saved) guarded_make(&s->mean, "saved_mean", queue, written, n, at, NULL);
    if (saved) guarded_make(&s->mean_lo, "saved_mean_lo", queue, written, n, at, NULL);
    if (saved) guarded_make(&s->var, "saved_var", queue, written, n, at, NULL);
    if (saved && s->verb != MOMENTS) guarded_make(&s->inv_std, "saved_inv_std", queue, written, n, at, NULL);
}

static void make_arguments(scene *s) {
    s->args = (clbn_forward_args){
        .x = guarded_buffer(&s->x),
        .y = guarded_buffer(s->y.host ? &s->y : &s->x),
        .gamma = guarded_buffer(&s->gamma),
        .beta = guarded_buffer(&s->beta),
        .running_mean = guarded_buffer(&s->running_mean),
        .running_var = guarded_buffer(&s->running_var),
        .saved_mean = guarded_buffer(&s->mean),
        .saved_mean_lo = guarded_buffer(&s->mean_lo),
        .saved_var = guarded_buffer(&s->var),
        .saved_inv_std = guarded_buffer(&s->inv_std),
        .workspace = guarded_buffer(&s->workspace),
        .update_weight = s->way.update_weight,
    };
    s->args.workspace.offset *= sizeof(float);
    s->moments = (clbn_moments_args){
        .x = s->args.x,
        .mean = s->args.saved_mean,
        .mean_lo = s->args.saved_mean_lo,
        .var = s->args.saved_var,
        .workspace = s->args.workspace,
    };
}

void scene_make(scene *s, const batch *b, const way *w, verb v, cl_command_queue queue, const clbn_plan *plan, const char *note) {
    memset(s, 0, sizeof *s);
    s->b = b, s->way = *w, s->verb = v;
    title(s, note ? note : "");
    size_t n = b->shape.channels, at = w->offset;
    int in_place = v != MOMENTS && w->place % 2, on_host = w->place >= ON_HOST;
    cl_command_queue device_queue = queue;
    if (on_host) queue = NULL;
    guarded_make(&s->x, "x", queue, in_place ? CL_MEM_READ_WRITE : only(w, CL_MEM_READ_ONLY), b->count, at, b->x);
    if (v != MOMENTS && !in_place) guarded_make(&s->y, "y", queue, only(w, CL_MEM_WRITE_ONLY), b->count, at, NULL);
    if (v != MOMENTS && (w->affine == GAMMA_AND_BETA || w->affine == GAMMA_ONLY))
        guarded_make(&s->gamma, "gamma", queue, only(w, CL_MEM_READ_ONLY), n, at, b->gamma);
    if (v != MOMENTS && (w->affine == GAMMA_AND_BETA || w->affine == BETA_ONLY))
        guarded_make(&s->beta, "beta", queue, only(w, CL_MEM_READ_ONLY), n, at, b->beta);
    make_statistics(s, queue);
    clbn_plan_info info;
    ck_clbn(clbn_plan_query(plan, &info));
    if (info.workspace_bytes && device_queue && !w->own_workspace) /* a cl_mem whatever the other buffers are */
        guarded_make(&s->workspace, "workspace", device_queue, CL_MEM_READ_WRITE, (info.workspace_bytes + 3) / 4, at, NULL);
    make_arguments(s);
}

void scene_free(scene *s) {
    guarded *all[] = {&s->x,    &s->y,       &s->gamma, &s->beta,    &s->running_mean, &s->running_var,
                      &s->mean, &s->mean_lo, &s->var,   &s->inv_std, &s->workspace};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) guarded_free(all[i]);
}

clbn_status scene_call(scene *s, const clbn_plan *plan, cl_command_queue queue, cl_uint n_wait, const cl_event *wait_list,
                       cl_event *event) {
    if (s->verb == MOMENTS) return clbn_moments(plan, queue, &s->moments, n_wait, wait_list, event);
    if (s->verb == INFERENCE) return clbn_forward_inference(plan, queue, &s->args, n_wait, wait_list, event);
    return clbn_forward_training(plan, queue, &s->args, n_wait, wait_list, event);
}

static const float *read_back(scene *s, guarded *g) {
    return g->host ? guarded_read(g, s->title) : NULL;
}

result scene_read(scene *s) {
    result r = {
        .y = s->verb == MOMENTS ? NULL : read_back(s, s->y.host ? &s->y : &s->x),
        .mean = read_back(s, &s->mean),
        .mean_lo = read_back(s, &s->mean_lo),
        .var = read_back(s, &s->var),
        .inv_std = read_back(s, &s->inv_std),
    };
    if (s->workspace.host) guarded_read(&s->workspace, s->title);
    if (s->y.host || s->verb == MOMENTS) guarded_must_be_unchanged(&s->x, s->title);
    guarded_must_be_unchanged(&s->gamma, s->title);
    guarded_must_be_unchanged(&s->beta, s->title);
    if (s->verb == TRAINING) {
        r.running_mean = read_back(s, &s->running_mean);
        r.running_var = read_back(s, &s->running_var);
    } else {
        guarded_must_be_unchanged(&s->running_mean, s->title);
        guarded_must_be_unchanged(&s->running_var, s->title);
    }
    return r;
}

void scene_must_be_untouched(scene *s) {
    guarded *all[] = {&s->x,           &s->y,    &s->gamma,   &s->beta, &s->running_mean,
                      &s->running_var, &s->mean, &s->mean_lo, &s->var,  &s->inv_std};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) guarded_must_be_unchanged(all[i], s->title);
}

result scene_run(scene *s, const clbn_plan *plan, cl_command_queue queue) {
    clbn_status status = scene_call(s, plan, queue, 0, NULL, NULL);
    if (status != CLBN_SUCCESS) ck_abort_msg("%s gave %s, saying: %s", s->title, clbn_status_name(status), said());
    if (queue) ck_cl(clFinish(queue));
    return scene_read(s);
}

static void same_bits(const char *title, const char *what, const float *a, const float *b, size_t n) {
    ck_assert_msg((a == NULL) == (b == NULL), "%s: only one has %s", title, what);
    for (size_t i = 0; a && i < n; i++)
        if (memcmp(a + i, b + i, sizeof *a))
            ck_abort_msg("%s: element %zu of %s is %.9g, and %.9g the other time", title, i, what, (double)a[i], (double)b[i]);
}

void results_must_be_same_bits(const scene *s, const result *a, const result *b) {
    size_t n = s->b->shape.channels;
    same_bits(s->title, "y", a->y, b->y, s->b->count);
    same_bits(s->title, "mean", a->mean, b->mean, n);
    same_bits(s->title, "mean_lo", a->mean_lo, b->mean_lo, n);
    same_bits(s->title, "var", a->var, b->var, n);
    same_bits(s->title, "inv_std", a->inv_std, b->inv_std, n);
    same_bits(s->title, "running_mean", a->running_mean, b->running_mean, n);
    same_bits(s->title, "running_var", a->running_var, b->running_var, n);
}
