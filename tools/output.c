/* SPDX-License-Identifier: Apache-2.0
 *
 * Temporaries, renames, and the clean-up that a signal needs.
 */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "progress.h"

/* ----------------------------------------------------------------------------------------------------------- signals */

/* What a signal has to unlink. A slot is set while signals are blocked, so that it names a file of ours or nothing. */
static const char *volatile doomed[OUTPUT_MAX];

static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT};
#define SIGNAL_COUNT (sizeof signals / sizeof *signals)

static void on_signal(int number) {
    for (unsigned i = 0; i < OUTPUT_MAX; i++)
        if (doomed[i]) unlink(doomed[i]);
    signal(number, SIG_DFL);
    raise(number);
}

static void watch_signals(void) {
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        struct sigaction old, ours;
        if (sigaction(signals[i], NULL, &old) != 0 || old.sa_handler != SIG_DFL) continue;
        memset(&ours, 0, sizeof ours);
        sigemptyset(&ours.sa_mask);
        ours.sa_handler = on_signal;
        sigaction(signals[i], &ours, NULL);
    }
}

static sigset_t block_signals(void) {
    sigset_t set, old;
    sigemptyset(&set);
    for (size_t i = 0; i < SIGNAL_COUNT; i++) sigaddset(&set, signals[i]);
    sigprocmask(SIG_BLOCK, &set, &old);
    return old;
}

static void restore_signals(sigset_t old) {
    sigprocmask(SIG_SETMASK, &old, NULL);
}

/* --------------------------------------------------------------------------------------------------------------- add */

/* The folder of a path, as a string of its own; NULL without memory. */
static char *folder_of(const char *path) {
    char *copy = strdup(path);
    char *folder = copy ? strdup(dirname(copy)) : NULL;
    free(copy);
    return folder;
}

static const char *base_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Two paths are one file if the last part is the same and the folders are one. */
static int same_file(const char *a, const char *b) {
    struct stat in_a, in_b;
    if (strcmp(base_of(a), base_of(b)) != 0) return 0;
    char *folder_a = folder_of(a);
    char *folder_b = folder_of(b);
    int same = folder_a && folder_b && stat(folder_a, &in_a) == 0 && stat(folder_b, &in_b) == 0 && in_a.st_dev == in_b.st_dev &&
               in_a.st_ino == in_b.st_ino;
    free(folder_a);
    free(folder_b);
    return same;
}

static int check_target(const output *item) {
    struct stat info;
    char *folder = folder_of(item->target);
    if (!folder) return fail_run("%s%s%s: no memory for its name", REF(item->file));
    int status = EXIT_DONE;
    if (stat(folder, &info) == 0 && !S_ISDIR(info.st_mode))
        status = fail_run("%s%s%s: cannot be written: %s is no folder", REF(item->file), folder);
    else if (access(folder, W_OK | X_OK) != 0)
        status = fail_run("%s%s%s: cannot be written: %s: %s", REF(item->file), folder, strerror(errno));
    else if (stat(item->target, &info) == 0 && !S_ISREG(info.st_mode))
        status = fail_run("%s%s%s: cannot be written: it is no regular file", REF(item->file));
    else if (access(item->target, F_OK) == 0 && access(item->target, W_OK) != 0)
        status = fail_run("%s%s%s: cannot be written: %s", REF(item->file), strerror(errno));
    free(folder);
    return status;
}

int output_add(output_set *set, const char *option, const char *path) {
    if (!path) return EXIT_DONE;
    output *item = &set->items[set->count];
    memset(item, 0, sizeof *item);
    item->file.option = option;
    item->file.path = path;
    TRY(file_check_ending(item->file));
    item->target = realpath(path, NULL);
    if (!item->target) item->target = strdup(path); /* it is not there yet */
    if (!item->target) return fail_run("%s%s%s: no memory for its name", REF(item->file));
    set->count++;
    TRY(check_target(item));
    for (unsigned i = 0; i + 1 < set->count; i++)
        if (same_file(set->items[i].target, item->target))
            return fail_input("%s%s%s: is the same file as %s%s%s, two outputs need two files", REF(item->file),
                              REF(set->items[i].file));
    return EXIT_DONE;
}

/* -------------------------------------------------------------------------------------------------------- write, commit */

/* A name beside the target that no other call picks. */
static char *beside(const char *target, const char *ending) {
    static unsigned number;
    size_t folder = (size_t)(base_of(target) - target);
    size_t room = folder + 64;
    char *path = malloc(room);
    if (!path) return NULL;
    memcpy(path, target, folder);
    snprintf(path + folder, room - folder, ".clbn-%ld-%u.%s", (long)getpid(), number++, ending);
    return path;
}

static int create(const char *path) {
    return open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
}

static FILE *open_temporary(output *item, unsigned slot) {
    struct stat old;
    watch_signals();
    sigset_t mask = block_signals();
    char *path = beside(item->target, "tmp");
    int descriptor = path ? create(path) : -1;
    for (int tries = 0; descriptor < 0 && errno == EEXIST && path && tries < 100; tries++) { /* what a killed call left */
        free(path);
        path = beside(item->target, "tmp");
        descriptor = path ? create(path) : -1;
    }
    if (descriptor >= 0) {
        item->temporary = path;
        doomed[slot] = path;
    }
    restore_signals(mask);
    if (descriptor < 0) {
        free(path);
        return NULL;
    }
    if (stat(item->target, &old) == 0) (void)!fchmod(descriptor, old.st_mode & 0777); /* a new file keeps the old one's mode */
    return fdopen(descriptor, "wb");
}

int output_write(output_set *set, const char *option, const array *a) {
    unsigned slot = 0;
    while (slot < set->count && strcmp(set->items[slot].file.option, option) != 0) slot++;
    if (slot == set->count) return EXIT_DONE;
    output *item = &set->items[slot];
    errno = 0;
    FILE *stream = open_temporary(item, slot);
    if (!stream) return fail_run("%s%s%s: cannot be written: %s", REF(item->file), strerror(errno));
    progress_begin(item->file.path, a->count * array_type_bytes(a->type));
    int failed = file_write(stream, item->file, a) != 0;
    failed |= fflush(stream) != 0;
    int reason = errno;
    failed |= fclose(stream) != 0;
    progress_end();
    if (failed) return fail_run("%s%s%s: cannot be written: %s", REF(item->file), strerror(reason ? reason : errno));
    return EXIT_DONE;
}

/* The old files get a second name each, from which they are put back; a file system without hard links does without. */
static void make_backups(output_set *set) {
    for (unsigned i = 0; i < set->count; i++) {
        output *item = &set->items[i];
        item->existed = access(item->target, F_OK) == 0;
        item->backup = beside(item->target, "old");
        if (item->backup && link(item->target, item->backup) != 0) {
            free(item->backup);
            item->backup = NULL;
        }
    }
}

static void put_back(output_set *set) {
    for (unsigned i = 0; i < set->count; i++) {
        output *item = &set->items[i];
        if (!item->renamed) continue;
        if (item->backup)
            (void)!rename(item->backup, item->target);
        else if (!item->existed)
            unlink(item->target);
    }
}

int output_commit(output_set *set) {
    int status = EXIT_DONE;
    sigset_t mask = block_signals();
    if (set->count > 1) make_backups(set); /* a single rename succeeds or leaves all as it was */
    for (unsigned i = 0; i < set->count && status == EXIT_DONE; i++) {
        output *item = &set->items[i];
        if (!item->temporary) continue;
        if (rename(item->temporary, item->target) != 0) {
            status = fail_run("%s%s%s: cannot be written: %s", REF(item->file), strerror(errno));
            break;
        }
        item->renamed = 1;
    }
    if (status != EXIT_DONE) put_back(set);
    for (unsigned i = 0; i < set->count; i++) {
        output *item = &set->items[i];
        if (item->backup) unlink(item->backup);
        if (!item->renamed) continue;
        doomed[i] = NULL;
        free(item->temporary);
        item->temporary = NULL;
    }
    restore_signals(mask);
    return status;
}

void output_close(output_set *set) {
    sigset_t mask = block_signals();
    for (unsigned i = 0; i < set->count; i++) {
        output *item = &set->items[i];
        if (item->temporary) unlink(item->temporary);
        doomed[i] = NULL;
        free(item->temporary);
        free(item->backup);
        free(item->target);
    }
    restore_signals(mask);
    memset(set, 0, sizeof *set);
}
