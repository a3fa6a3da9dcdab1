/* SPDX-License-Identifier: Apache-2.0
 *
 * clbn itself as a contender: worker_clbn DEVICE [f16], DEVICE as `clbn bench` takes it. What it times is what `clbn bench` times,
 * and the ways to copy come from there too.
 */
#include "worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAYOUTS 2

typedef struct clbn_state {
    session session;
    clbn_dtype dtype;
    struct {
        bench_target target;
        clbn_plan *plan;
    } of[LAYOUTS];
    unsigned layouts;
    struct {
        unsigned layout, way;
        char name[64];
    } ways[WORKER_MAX_WAYS];
} clbn_state;

static clbn_state state;

static void add_way(worker *w, unsigned layout, unsigned way, const char *kind, const char *name) {
    if (w->way_count == WORKER_MAX_WAYS) return;
    unsigned i = w->way_count++;
    state.ways[i].layout = layout;
    state.ways[i].way = way;
    snprintf(state.ways[i].name, sizeof state.ways[i].name, "%s:%s", kind, name);
    w->ways[i] = state.ways[i].name;
}

static int open_layout(worker *w, const unit *u, const char *layout) {
    unsigned i = state.layouts;
    bench_target *target = &state.of[i].target;
    int last = strcmp(layout, "nhwc") == 0;
    size_t nchw[] = {u->n, u->c, u->height, u->width}, nhwc[] = {u->n, u->height, u->width, u->c};
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = u->planes ? 4 : 2;
    config.dims = last ? nhwc : nchw;
    config.axis = last ? 3 : 1;
    config.dtype = state.dtype;
    clbn_status made = clbn_plan_create(state.session.device, &config, &state.of[i].plan);
    if (made != CLBN_SUCCESS) return fail_library(&state.session.log, made, layout);
    *target = (bench_target){.op = u->op,
                             .dtype = state.dtype,
                             .real = CLBN_F32,
                             .count = unit_count(u),
                             .channels = u->c,
                             .bytes = unit_count(u) * clbn_dtype_bytes(state.dtype),
                             .plan = state.of[i].plan,
                             .log = &state.session.log,
                             .what = layout};
    state.layouts++;
    TRY(state.session.info.kind == CLBN_DEVICE_CPU_PATH ? bench_open_cpu(target) : bench_open_opencl(target, &state.session));
    add_way(w, i, 0, layout, "op");
    return EXIT_DONE;
}

static int open_unit(worker *w, const unit *u) {
    TRY(open_layout(w, u, u->planes ? "nchw" : "nc"));
    if (u->planes) TRY(open_layout(w, u, "nhwc"));
    for (unsigned way = 1; way < state.of[0].target.ways; way++) add_way(w, 0, way, "copy", state.of[0].target.names[way]);
    return EXIT_DONE;
}

static int run_way(worker *w, unsigned way, size_t calls) {
    (void)w;
    bench_target *target = &state.of[state.ways[way].layout].target;
    return target->run(target, state.ways[way].way, calls);
}

static int read_way(worker *w, unsigned way, float *to) {
    (void)w;
    bench_target *target = &state.of[state.ways[way].layout].target;
    if (state.dtype == CLBN_F32) return target->read(target, bench_output(target), to);
    uint16_t *halves = malloc(target->bytes);
    int status = halves ? target->read(target, bench_output(target), halves) : fail_run("worker_clbn: no memory");
    for (size_t i = 0; status == EXIT_DONE && i < target->count; i++) to[i] = (float)half_to_double(halves[i]);
    free(halves);
    return status;
}

static void close_unit(worker *w) {
    (void)w;
    for (unsigned i = 0; i < LAYOUTS; i++) {
        if (state.of[i].target.state) state.of[i].target.close(&state.of[i].target);
        clbn_plan_destroy(state.of[i].plan);
        state.of[i].plan = NULL;
    }
    state.layouts = 0;
}

int main(int argc, char **argv) {
    worker w = {.open = open_unit, .run = run_way, .read = read_way, .close = close_unit};
    if (argc < 2 || argc > 3 || (argc == 3 && strcmp(argv[2], "f16") != 0)) return fail_input("worker_clbn DEVICE [f16]");
    state.dtype = argc == 3 ? CLBN_F16 : CLBN_F32;
    w.name = strcmp(argv[1], "cpu") == 0 ? "clbn-cpu" : "clbn-pocl";
    state.session.log.quiet = 1;
    TRY(session_open(&state.session, argv[1]));
    const clbn_device_info *info = &state.session.info;
    snprintf(w.what, sizeof w.what, "clbn %d.%d.%d on %s, %u %s%s", CLBN_VERSION_MAJOR, CLBN_VERSION_MINOR, CLBN_VERSION_PATCH,
             info->device, info->compute_units, info->kind == CLBN_DEVICE_CPU_PATH ? "threads" : "units, driver ",
             info->kind == CLBN_DEVICE_CPU_PATH ? "" : info->driver);
    make_one_line(w.what);
    int status = worker_serve(&w);
    close_unit(&w);
    session_close(&state.session);
    return status;
}
