/* SPDX-License-Identifier: Apache-2.0
 *
 * The worker's half of the talk with the driver: lines in, lines out, times, and the comparison of outputs.
 */
#include "worker.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "progress.h"

#define SHARED 3 /* the descriptor that the driver leaves open */

size_t unit_count(const unit *u) {
    return u->n * u->c * u->height * u->width;
}

static int parse_unit(const char *line, unit *u) {
    static const char *const ops[] = {[OP_TRAINING] = "training", [OP_INFERENCE] = "inference", [OP_BACKWARD] = "backward"};
    char op[16];
    *u = (unit){.height = 1, .width = 1};
    int fields = sscanf(line, "%15s %zu %zu %zu %zu", op, &u->n, &u->c, &u->height, &u->width);
    u->planes = fields == 5;
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (fields >= 3 && fields != 4 && strcmp(op, ops[i]) == 0) {
            u->op = (bench_op)i;
            return unit_count(u) > 0;
        }
    return 0;
}

static void answer_open(worker *w, const char *line) {
    unit u;
    if (!parse_unit(line, &u)) {
        puts("no such unit");
        return;
    }
    w->count = unit_count(&u);
    w->way_count = 0;
    if (w->open(w, &u) != EXIT_DONE) {
        w->close(w);
        w->way_count = 0;
        puts("no way to do it");
        return;
    }
    fputs("ways", stdout);
    for (unsigned i = 0; i < w->way_count; i++) printf(" %s", w->ways[i]);
    puts("");
}

static void answer_run(worker *w, unsigned way, size_t warm, size_t calls) {
    int status = warm ? w->run(w, way, warm) : EXIT_DONE;
    double begin = now_seconds();
    if (status == EXIT_DONE) status = w->run(w, way, calls);
    double time = now_seconds() - begin;
    if (status == EXIT_DONE)
        printf("time %.9f\n", time);
    else
        puts("no such call");
}

static double difference(const float *a, const float *b, size_t count) {
    double most = 0;
    for (size_t i = 0; i < count; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        if (!(d <= most)) most = d; /* a NaN stays */
    }
    return most;
}

static void answer_output(worker *w, unsigned way, int save) {
    size_t bytes = w->count * sizeof(float);
    float *own = save ? NULL : malloc(bytes);
    float *shared = MAP_FAILED;
    if ((save || own) && (!save || ftruncate(SHARED, (off_t)bytes) == 0))
        shared = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, SHARED, 0);
    if (shared == MAP_FAILED || w->run(w, way, 1) != EXIT_DONE || w->read(w, way, save ? shared : own) != EXIT_DONE)
        puts("no output");
    else if (save)
        puts("saved");
    else
        printf("differs %.3g\n", difference(own, shared, w->count));
    if (shared != MAP_FAILED) munmap(shared, bytes);
    free(own);
}

int worker_serve(worker *w) {
    char line[256], word[16];
    unsigned way = 0;
    size_t warm = 0, calls = 0;
    printf("hello %s %s\n", w->name, w->what);
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        int fields = sscanf(line, "%15s %u %zu %zu", word, &way, &warm, &calls);
        int of_way = fields >= 2 && way < w->way_count;
        if (fields >= 1 && strcmp(word, "open") == 0)
            answer_open(w, line + 4);
        else if (fields == 4 && of_way && strcmp(word, "run") == 0)
            answer_run(w, way, warm, calls);
        else if (fields >= 2 && of_way && (strcmp(word, "save") == 0 || strcmp(word, "compare") == 0))
            answer_output(w, way, *word == 's');
        else if (fields >= 1 && strcmp(word, "close") == 0) {
            w->close(w);
            w->way_count = 0;
            puts("closed");
        } else
            puts("no such request");
        fflush(stdout);
    }
    return EXIT_DONE;
}
