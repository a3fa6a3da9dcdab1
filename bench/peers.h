/* SPDX-License-Identifier: Apache-2.0
 *
 * The driver of the comparison: processes that hold the contenders (worker.h tells what is said to them), and the rounds in
 * which these take turns. It knows of a contender its name, its layouts and its times.
 */
#ifndef CLBN_BENCH_PEERS_H
#define CLBN_BENCH_PEERS_H

#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#define PROCESSES_MAX 8
#define WAYS_MAX      64

/* Only the process that is asked runs; the others are stopped, so that no idle thread of theirs takes a core. */
typedef struct process {
    const char *command;
    char name[32], what[600]; /* of the contender, as it says itself */
    pid_t pid;
    int to, from;
    int lost; /* it ended, or gave no answer in time */
} process;

/* The memory that outputs are compared in; each process has it as descriptor 3. -1 after an error. */
int process_shared_memory(void);
int process_start(process *p, const char *command, int shared);
void process_end(process *p);
/* Say a line and get the answer's, without its end. 0; else the process is lost and standard error knows why. */
int process_ask(process *p, char *answer, size_t size, const char *format, ...) __attribute__((format(printf, 4, 5)));

typedef struct way {
    process *of;
    unsigned index; /* in its process */
    char layout[16], name[48];
    size_t calls; /* of a sample */
    double *times;
    size_t count, room;
    int out; /* left out from now on */
} way;

typedef struct comparison {
    process processes[PROCESSES_MAX];
    unsigned process_count;
    double seconds; /* for a unit */
    int shared;
    int disagreed; /* some output differed */
    FILE *samples, *checks;
} comparison;

/* One unit, "training 32 64 56 56" (shape "32x64x56x56"), by all who can: outputs compared, then rounds. */
int compare_unit(comparison *c, const char *unit, const char *op, const char *shape);

#endif
