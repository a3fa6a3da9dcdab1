/* SPDX-License-Identifier: Apache-2.0
 *
 * How bench takes its times. A sample is k calls and one wait, k so that it lasts 0.2 ms at least. The operation and the
 * ways to copy take turns, sample by sample: memory speed drifts, and both then see the same drift.
 */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "progress.h"

#define SAMPLE_SECONDS 0.2e-3
#define ROW_SECONDS    1.9
/* After so many rounds a way whose best is slower than this many times the best way's median is left out; after one round
 * all but the best way are, where there is no time for more. */
#define TRIAL_ROUNDS 3
#define TRIAL_FACTOR 1.3

typedef struct sampler {
    bench_target *target;
    bench_series ways[BENCH_MAX_WAYS];
    int out[BENCH_MAX_WAYS];
    double start, soft_end, hard_end;
} sampler;

static int keep(bench_series *s, double time) {
    if (s->count == s->room) {
        size_t room = s->room ? s->room * 2 : 256;
        double *times = realloc(s->times, room * sizeof *times);
        if (!times) return fail_run("bench: no memory for %zu samples", room);
        s->times = times;
        s->room = room;
    }
    s->times[s->count++] = time;
    return EXIT_DONE;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The order of samples means nothing afterwards, but that they stay. */
double bench_series_median(bench_series *s) {
    qsort(s->times, s->count, sizeof *s->times, compare);
    size_t half = s->count / 2;
    return s->count % 2 ? s->times[half] : (s->times[half - 1] + s->times[half]) / 2;
}

/* One sample; one that was too short is taken again with more calls. */
int bench_series_take(bench_series *s, bench_target *target, unsigned way) {
    if (s->calls == 0) s->calls = 1;
    for (;;) {
        double begin = now_seconds();
        TRY(target->run(target, way, s->calls));
        double time = now_seconds() - begin;
        if (time >= SAMPLE_SECONDS) return keep(s, time / (double)s->calls);
        double factor = 1.2 * SAMPLE_SECONDS / (time > 1e-9 ? time : 1e-9);
        s->calls = s->calls + 1 + (size_t)((double)s->calls * ((factor < 16 ? factor : 16) - 1));
    }
}

static void leave_out_slow_ways(sampler *m, double factor) {
    double best = 0;
    for (unsigned way = 1; way < m->target->ways; way++) {
        double time = bench_series_median(&m->ways[way]);
        if (best == 0 || time < best) best = time;
    }
    for (unsigned way = 1; way < m->target->ways; way++) m->out[way] = m->ways[way].times[0] > factor * best;
}

/* Whether sampling may stop here, in the middle of a round: time is up, and there is a sample of each kind. */
static int out_of_time(const sampler *m) {
    return now_seconds() >= m->hard_end && m->ways[0].count > 0 && m->ways[1].count > 0;
}

static int sample_all(sampler *m, double seconds) {
    for (size_t round = 0; !out_of_time(m); round++) {
        if (m->ways[0].count >= BENCH_SAMPLES_MIN && now_seconds() >= m->soft_end) break;
        for (unsigned way = 0; way < m->target->ways && !out_of_time(m); way++)
            if (!m->out[way]) TRY(bench_series_take(&m->ways[way], m->target, way));
        double now = now_seconds();
        if (now >= m->hard_end) continue;
        if (round == 0 && m->start + BENCH_SAMPLES_MIN * (now - m->start) > m->hard_end) leave_out_slow_ways(m, 1);
        if (round + 1 == TRIAL_ROUNDS) leave_out_slow_ways(m, TRIAL_FACTOR);
        progress_step((size_t)(1000 * (now - m->start) / seconds));
    }
    return EXIT_DONE;
}

static void conclude(sampler *m, bench_result *result) {
    memset(result, 0, sizeof *result);
    result->median = bench_series_median(&m->ways[0]);
    result->minimum = m->ways[0].times[0];
    result->samples = m->ways[0].count;
    for (unsigned way = 1; way < m->target->ways; way++) {
        if (m->ways[way].count == 0 || m->out[way]) continue;
        double time = bench_series_median(&m->ways[way]);
        if (result->copy_name && time >= result->copy_median) continue;
        result->copy_median = time;
        result->copy_name = m->target->names[way];
    }
}

int bench_sample(bench_target *target, double seconds, bench_result *result) {
    sampler m = {.target = target};
    int status = EXIT_DONE;
    progress_begin("bench", 1000);
    for (unsigned way = 0; way < target->ways && status == EXIT_DONE; way++) status = target->run(target, way, 1);
    /* What comes first (a driver compiles at the first launch) belongs to setting up. */
    m.start = now_seconds();
    m.soft_end = m.start + seconds;
    m.hard_end = m.start + (seconds > ROW_SECONDS ? seconds : ROW_SECONDS);
    if (status == EXIT_DONE) status = sample_all(&m, seconds);
    progress_end();
    if (status == EXIT_DONE) conclude(&m, result);
    for (unsigned way = 0; way < target->ways; way++) free(m.ways[way].times);
    return status;
}
