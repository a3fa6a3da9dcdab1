/* SPDX-License-Identifier: Apache-2.0
 *
 * peers --seconds T --units FILE --out FOLDER COMMAND...: compare the contenders that the commands start. The first is the judge
 * of the others' outputs. FILE has a unit a line, "training 32 64 56 56" or "training 64 200". FOLDER gets samples.csv,
 * checks.csv and about.csv. Exit status 1 where outputs differ or a contender was lost on the way. scripts/peers calls it.
 */
#include "peers.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static FILE *create(const char *folder, const char *name, const char *head) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    if (file)
        fprintf(file, "%s\n", head);
    else
        perror(path);
    return file;
}

/* "training 32 64 56 56\n": the end goes, op and shape are told apart. */
static int parse(char *line, char *op, char *shape, size_t size) {
    int at = 0;
    line[strcspn(line, "\n")] = '\0';
    if (sscanf(line, "%15s %n", op, &at) != 1 || !line[at]) return -1;
    snprintf(shape, size, "%s", line + at);
    for (char *c = shape; *c; c++)
        if (*c == ' ') *c = 'x';
    return 0;
}

static int compare_all(comparison *c, FILE *units) {
    char line[256], op[16], shape[256];
    while (fgets(line, sizeof line, units))
        if (parse(line, op, shape, sizeof shape) == 0 && compare_unit(c, line, op, shape) != 0) return -1;
    return 0;
}

static int start_all(comparison *c, char **commands, int count, FILE *about) {
    for (int i = 0; i < count && c->process_count < PROCESSES_MAX; i++) {
        process *p = &c->processes[c->process_count];
        if (process_start(p, commands[i], c->shared) == 0) {
            c->process_count++;
            fprintf(about, "%s,%s\n", p->name, p->what);
        } else if (i == 0)
            return -1;
    }
    fflush(about);
    return 0;
}

int main(int argc, char **argv) {
    static comparison c = {.seconds = 2};
    const char *units = NULL, *folder = ".";
    int at = 1;
    for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2) {
        if (strcmp(argv[at], "--seconds") == 0) c.seconds = atof(argv[at + 1]);
        if (strcmp(argv[at], "--units") == 0) units = argv[at + 1];
        if (strcmp(argv[at], "--out") == 0) folder = argv[at + 1];
    }
    if (!units || at == argc) {
        fputs("usage: peers [--seconds T] --units FILE [--out FOLDER] COMMAND...\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    c.shared = process_shared_memory();
    FILE *list = fopen(units, "r"), *about = create(folder, "about.csv", "worker,what");
    c.samples = create(folder, "samples.csv", "shape,op,layout,worker,way,round,calls,ms");
    c.checks = create(folder, "checks.csv", "shape,op,layout,worker,way,differs");
    int done = c.shared >= 0 && list && about && c.samples && c.checks;
    if (done) done = start_all(&c, argv + at, argc - at, about) == 0 && compare_all(&c, list) == 0;
    for (unsigned i = 0; i < c.process_count; i++) {
        if (c.processes[i].lost) done = 0;
        process_end(&c.processes[i]);
    }
    FILE *files[] = {list, about, c.samples, c.checks};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (files[i] && fclose(files[i]) != 0) done = 0;
    return done && !c.disagreed ? 0 : 1;
}
