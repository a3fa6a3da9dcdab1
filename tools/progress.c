/* SPDX-License-Identifier: Apache-2.0
 *
 * The progress bar: shown once the work has taken 0.3 s, redrawn at most ten times a second, wiped at the end.
 */
#include "progress.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BAR_WIDTH 40

static struct {
    const char *label; /* NULL: no bar */
    size_t total;
    double next; /* when to draw again */
    int columns; /* what has been drawn, to be wiped */
} bar;

double now_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void progress_begin(const char *label, size_t total) {
    progress_end();
    if (total == 0 || !isatty(STDERR_FILENO)) return;
    bar.label = label;
    bar.total = total;
    bar.next = now_seconds() + 0.3;
}

void progress_step(size_t done) {
    if (!bar.label) return;
    double now = now_seconds();
    if (now < bar.next) return;
    bar.next = now + 0.1;
    double part = done < bar.total ? (double)done / (double)bar.total : 1;
    char cells[BAR_WIDTH + 1];
    memset(cells, ' ', BAR_WIDTH);
    memset(cells, '#', (size_t)(part * BAR_WIDTH));
    cells[BAR_WIDTH] = '\0';
    int columns = fprintf(stderr, "\r%.24s [%s] %3d%%", bar.label, cells, (int)(part * 100)) - 1;
    if (columns > bar.columns) bar.columns = columns;
    fflush(stderr);
}

void progress_end(void) {
    if (bar.columns > 0) {
        fprintf(stderr, "\r%*s\r", bar.columns, "");
        fflush(stderr);
    }
    memset(&bar, 0, sizeof bar);
}
