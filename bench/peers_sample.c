/* SPDX-License-Identifier: Apache-2.0
 *
 * One unit: first every contender's output beside that of clbn's CPU path, then rounds in which each takes one sample, so that
 * the machine's drift hits all alike. A sample is some calls in one process, behind some that are not timed: they bring back
 * what the others pushed out of the caches, and wake the threads.
 */
#include "peers.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SAMPLE_SECONDS 0.5e-3
#define ROUNDS_MIN     7
#define ROUNDS_LEAST   3     /* where a round takes long */
#define LONG           20e-3 /* a call of which needs none before it */
/* Of several ways of one process with one layout the best counts: one that is slower than so many times the best is left
 * out, after the first round and after three. */
#define FIRST_FACTOR 10.0
#define TRIAL_FACTOR 1.3
/* Some peers sum a million values one behind the other in float, and are off by a thousandth; a wrong one is off by more. */
#define TOLERANCE 5e-3

typedef struct field {
    comparison *c;
    const char *op, *shape;
    way ways[WAYS_MAX];
    unsigned count;
} field;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void open_process(field *f, process *p, const char *unit) {
    char answer[2048];
    if (process_ask(p, answer, sizeof answer, "open %s", unit) != 0) return;
    char *rest = answer, *word = strtok_r(answer, " ", &rest);
    if (!word || strcmp(word, "ways") != 0) {
        fprintf(stderr, "peers: %s cannot do %s %s\n", p->name, f->op, f->shape);
        return;
    }
    for (unsigned index = 0; (word = strtok_r(NULL, " ", &rest)) && f->count < WAYS_MAX; index++) {
        way *w = &f->ways[f->count];
        *w = (way){.of = p, .index = index, .calls = 1};
        if (sscanf(word, "%15[^:]:%47s", w->layout, w->name) == 2) f->count++;
    }
}

static void check_way(field *f, way *w) {
    char answer[128];
    double differs = -1;
    int asked = process_ask(w->of, answer, sizeof answer, "compare %u", w->index);
    if (asked == 0) sscanf(answer, "differs %lf", &differs);
    fprintf(f->c->checks, "%s,%s,%s,%s,%s,%.3g\n", f->shape, f->op, w->layout, w->of->name, w->name, differs);
    if (differs >= 0 && differs <= TOLERANCE) return;
    fprintf(stderr, "peers: %s %s of %s %s: its output differs by %g (%s); left out\n", w->of->name, w->name, f->op, f->shape,
            differs, asked == 0 ? answer : "no answer");
    w->out = 1;
    f->c->disagreed = 1;
}

/* The first process's outputs are what the others are held against; what is blocked comes back in the first layout. */
static void check_outputs(field *f) {
    char answer[128];
    process *judge = &f->c->processes[0];
    for (unsigned i = 0; i < f->count; i++) {
        way *reference = &f->ways[i];
        if (reference->of != judge || strcmp(reference->layout, "copy") == 0) continue;
        if (process_ask(judge, answer, sizeof answer, "save %u", reference->index) != 0 || strcmp(answer, "saved") != 0) {
            fprintf(stderr, "peers: %s gives no output to compare with\n", judge->name);
            f->c->disagreed = 1;
            continue;
        }
        for (unsigned j = 0; j < f->count; j++) {
            way *w = &f->ways[j];
            int same = strcmp(w->layout, reference->layout) == 0 || (i == 0 && strcmp(w->layout, "blocked") == 0);
            if (same && w->of != judge) check_way(f, w);
        }
    }
}

static void keep(way *w, double time) {
    if (w->count == w->room) {
        size_t room = w->room ? 2 * w->room : 64;
        double *times = realloc(w->times, room * sizeof *times);
        if (!times) abort();
        w->times = times;
        w->room = room;
    }
    w->times[w->count++] = time;
}

/* One that was too short is taken again with more calls. */
static void sample(field *f, way *w, size_t round) {
    char answer[128];
    for (;;) {
        double time = 0, call = w->count ? w->times[w->count - 1] : 0;
        size_t warm = call > LONG ? 0 : 1 + w->calls / 4;
        if (process_ask(w->of, answer, sizeof answer, "run %u %zu %zu", w->index, warm, w->calls) != 0 ||
            sscanf(answer, "time %lf", &time) != 1) {
            w->out = 1;
            return;
        }
        if (time >= SAMPLE_SECONDS) {
            keep(w, time / (double)w->calls);
            fprintf(f->c->samples, "%s,%s,%s,%s,%s,%zu,%zu,%.6g\n", f->shape, f->op, w->layout, w->of->name, w->name, round,
                    w->calls, 1e3 * time / (double)w->calls);
            return;
        }
        double factor = 1.2 * SAMPLE_SECONDS / (time > 1e-9 ? time : 1e-9);
        w->calls = w->calls + 1 + (size_t)((double)w->calls * ((factor < 16 ? factor : 16) - 1));
    }
}

/* The best so far: what disturbs a sample makes it longer. */
static double best(const way *w) {
    double time = w->times[0];
    for (size_t i = 1; i < w->count; i++) time = w->times[i] < time ? w->times[i] : time;
    return time;
}

static void leave_out_slow_ways(field *f, double factor) {
    for (unsigned i = 0; i < f->count; i++)
        for (unsigned j = 0; j < f->count; j++) {
            way *a = &f->ways[i], *b = &f->ways[j];
            if (a->of == b->of && strcmp(a->layout, b->layout) == 0 && a->count && b->count && best(a) > factor * best(b))
                a->out = 1;
        }
}

static size_t take_rounds(field *f) {
    double begin = now();
    for (size_t round = 0;; round++) {
        double spent = now() - begin;
        if (round >= ROUNDS_MIN && spent >= f->c->seconds) return round;
        if (round >= ROUNDS_LEAST && spent >= 4 * f->c->seconds) return round;
        for (unsigned i = 0; i < f->count; i++)
            if (!f->ways[i].out) sample(f, &f->ways[i], round);
        if (round == 0) leave_out_slow_ways(f, FIRST_FACTOR);
        if (round + 1 == ROUNDS_LEAST) leave_out_slow_ways(f, TRIAL_FACTOR);
    }
}

int compare_unit(comparison *c, const char *unit, const char *op, const char *shape) {
    field f = {.c = c, .op = op, .shape = shape};
    char answer[128];
    double begin = now();
    for (unsigned i = 0; i < c->process_count; i++) open_process(&f, &c->processes[i], unit);
    check_outputs(&f);
    size_t rounds = take_rounds(&f);
    for (unsigned i = 0; i < c->process_count; i++) process_ask(&c->processes[i], answer, sizeof answer, "close");
    for (unsigned i = 0; i < f.count; i++) free(f.ways[i].times);
    fflush(c->samples);
    fflush(c->checks);
    fprintf(stderr, "%s %s: %zu rounds, %.1f s\n", op, shape, rounds, now() - begin);
    return c->processes[0].lost ? -1 : 0;
}
