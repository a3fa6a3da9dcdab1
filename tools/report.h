/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tool says and how it ends: the one line of a failed call, notes, and the exit status behind each clbn_status.
 * Every function of the tool that can fail returns an exit status, 0 when all is well; who fails says why, once.
 */
#ifndef CLBN_TOOL_REPORT_H
#define CLBN_TOOL_REPORT_H

#include "clbn.h"

enum { EXIT_DONE = 0, EXIT_RUN = 1, EXIT_INPUT = 2 };

#define TRY(call)                                         \
    do {                                                  \
        int try_status_ = (call);                         \
        if (try_status_ != EXIT_DONE) return try_status_; \
    } while (0)

#if defined(__GNUC__)
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))
#else
#define PRINTF_LIKE(text, first)
#endif

/* Write "clbn: ..." as one line to standard error, whatever the text holds, and return the status: EXIT_INPUT where the
 * call or an input is wrong, EXIT_RUN for anything else. */
int fail_input(const char *format, ...) PRINTF_LIKE(1, 2);
int fail_run(const char *format, ...) PRINTF_LIKE(1, 2);

/* Control characters to blanks: a file name, a device's name or a build log then stays one line. */
void make_one_line(char *text);

/* One line to standard output. */
void note(const char *format, ...) PRINTF_LIKE(1, 2);

/* A file as the user named it: by an option ("--gamma") or as an argument of its own (option ""). */
typedef struct file_ref {
    const char *option;
    const char *path;
} file_ref;

/* printf("%s%s%s", REF(file)) gives "--gamma g.npy" or "x.npy". */
#define REF(file) (file).option, *(file).option ? " " : "", (file).path

/* What the library says, kept for the error line; notices go to standard output unless quiet is set. */
typedef struct library_log {
    int quiet;
    unsigned notices; /* so far */
    char sentence[1024];
    char wrong[1024]; /* the variants whose trials gave wrong results, each once */
    char cache_dir[1024];
} library_log;

/* The options that make the library speak to the log, and keep compiled kernels in the user's cache folder (XDG_CACHE_HOME, else
 * ~/.cache; not where CLBN_CACHE is "off"). */
clbn_device_options library_options(library_log *log);

/* The error line and the exit status of a failed library call; what names the file or option that it is about. */
int fail_library(const library_log *log, clbn_status status, const char *what);

#endif
