/* SPDX-License-Identifier: Apache-2.0
 *
 * How tune compares. In a round every candidate gives a sample of each operation, on the same buffers, one behind the other, so that all
 * see the same drift; the next round goes the other way about. What wins must be faster in most rounds, which noise seldom is, and by
 * enough to matter, all operations together; and slower in none.
 */
#include "progress.h"
#include "tune.h"

/* Left out: who in its best round is so many times slower than the best, after one round and after three. */
#define FIRST_FACTOR 8
#define TRIAL_ROUNDS 3
#define TRIAL_FACTOR 1.5
/* Of the usual one's time, in all and in each operation, where noise is let pass; and of all rounds. */
#define WINNERS_TIME   0.97
#define WINNERS_WORST  1.05
#define WINNERS_ROUNDS 0.75

/* All operations, in one round. */
static double time_of(const race *r, const candidate *c, size_t round) {
    double sum = 0;
    for (unsigned op = 0; op < r->op_count; op++) sum += c->times[op].times[round];
    return sum;
}

static double best_of(const race *r, const candidate *c) {
    double best = time_of(r, c, 0);
    for (size_t round = 1; round < c->rounds; round++) best = time_of(r, c, round) < best ? time_of(r, c, round) : best;
    return best;
}

static void leave_out_slow(race *r, double factor) {
    double best = best_of(r, &r->candidates[0]);
    for (unsigned i = 1; i < r->count; i++)
        if (best_of(r, &r->candidates[i]) < best) best = best_of(r, &r->candidates[i]);
    for (unsigned i = 0; i < r->count; i++) {
        candidate *c = &r->candidates[i];
        c->is_out = c->is_out || (!c->is_usual && best_of(r, c) > factor * best);
    }
}

static void enter(race *r, const candidate *c, unsigned op) {
    r->target->plan = c->plan;
    r->target->op = r->ops[op];
}

/* What comes first (a driver compiles at the first launch) belongs to no round. */
static int warm_up(race *r) {
    for (unsigned i = 0; i < r->count; i++) {
        for (unsigned op = 0; op < r->op_count; op++) {
            enter(r, &r->candidates[i], op);
            TRY(r->target->run(r->target, 0, 1));
            progress_step(0);
        }
    }
    return EXIT_DONE;
}

static int run_round(race *r, size_t round) {
    for (unsigned i = 0; i < r->count; i++) {
        candidate *c = &r->candidates[round % 2 ? r->count - 1 - i : i];
        for (unsigned op = 0; op < r->op_count && !c->is_out; op++) {
            enter(r, c, op);
            TRY(bench_series_take(&c->times[op], r->target, 0));
        }
        c->rounds += !c->is_out;
    }
    if (round == 0) leave_out_slow(r, FIRST_FACTOR);
    if (round + 1 == TRIAL_ROUNDS) leave_out_slow(r, TRIAL_FACTOR);
    return EXIT_DONE;
}

static const candidate *usual_of(const race *r) {
    for (const candidate *c = r->candidates; c != r->candidates + r->count; c++)
        if (c->is_usual) return c;
    return NULL;
}

/* The usual one is in every round. Medians come last: they sort. */
static void conclude(race *r) {
    const candidate *usual = usual_of(r);
    for (unsigned i = 0; i < r->count; i++) {
        candidate *c = &r->candidates[i];
        for (size_t round = 0; round < c->rounds; round++) c->faster += time_of(r, c, round) < time_of(r, usual, round);
    }
    for (unsigned i = 0; i < r->count; i++) {
        candidate *c = &r->candidates[i];
        for (unsigned op = 0; op < r->op_count; op++) c->together += c->medians[op] = bench_series_median(&c->times[op]);
    }
}

int race_run(race *r, double seconds) {
    if (!usual_of(r)) return fail_run("%s: the untuned variant is none of those that can", r->target->what);
    int status = warm_up(r);
    double start = now_seconds();
    for (size_t round = 0; status == EXIT_DONE; round++) {
        double spent = now_seconds() - start;
        if (round >= BENCH_SAMPLES_MIN && spent >= seconds) break;
        progress_step((size_t)(1000 * spent / seconds));
        status = run_round(r, round);
    }
    return status;
}

static int is_slower_in_one(const race *r, const candidate *c, const candidate *usual) {
    unsigned op = 0;
    while (op < r->op_count && c->medians[op] <= WINNERS_WORST * usual->medians[op]) op++;
    return op < r->op_count;
}

const candidate *race_winner(race *r) {
    const candidate *usual = usual_of(r), *best = usual;
    conclude(r);
    for (const candidate *c = r->candidates; c != r->candidates + r->count; c++)
        if (!c->is_out && c->together < best->together && !is_slower_in_one(r, c, usual)) best = c;
    if (best == usual || best->together > WINNERS_TIME * usual->together) return NULL;
    return (double)best->faster >= WINNERS_ROUNDS * (double)best->rounds ? best : NULL;
}
