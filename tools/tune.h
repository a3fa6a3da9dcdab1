/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of clbn tune: candidates for a shape (tune.c), and how they are timed against each other (tune_race.c).
 */
#ifndef CLBN_TOOL_TUNE_H
#define CLBN_TOOL_TUNE_H

#include "bench.h"

enum { TUNE_MAX_OPS = 3, TUNE_MAX_CANDIDATES = 16 };

/* A variant that can, its plan, and its times by operation: a sample of each in every round that it was in. */
typedef struct candidate {
    const char *variant;
    clbn_plan *plan;
    int is_usual; /* what plans take untuned */
    int is_out;   /* too slow to be asked on */
    bench_series times[TUNE_MAX_OPS];
    size_t rounds;
    /* When the race is judged: */
    size_t faster;                /* in how many rounds than the usual one */
    double medians[TUNE_MAX_OPS]; /* seconds a call */
    double together;              /* their sum */
} candidate;

typedef struct race {
    bench_target *target; /* with the buffers of every op */
    bench_op ops[TUNE_MAX_OPS];
    unsigned op_count;
    candidate candidates[TUNE_MAX_CANDIDATES];
    unsigned count;
} race;

/* Time all in turn, round after round, for about so many seconds. One of them must be the usual one. */
int race_run(race *r, double seconds);
/* Judge what was timed, once: the one that is faster than the usual one beyond the noise, and slower in no operation, or NULL. */
const candidate *race_winner(race *r);

/* Keep the variant for plans of that config, or with NULL nothing more; what is for the error line. */
int tune_keep(session *s, const clbn_config *config, const char *variant, const char *what);

#endif
