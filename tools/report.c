/* SPDX-License-Identifier: Apache-2.0
 *
 * The tool's voice.
 */
#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "progress.h"

void make_one_line(char *text) {
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f) *text = ' ';
}

static void say(FILE *stream, const char *prefix, const char *format, va_list values, const char *suffix) {
    char text[2048];
    vsnprintf(text, sizeof text, format, values);
    make_one_line(text);
    fprintf(stream, "%s%s%s\n", prefix, text, suffix);
    fflush(stream);
}

int fail_input(const char *format, ...) {
    va_list values;
    va_start(values, format);
    progress_end();
    say(stderr, "clbn: ", format, values, "");
    va_end(values);
    return EXIT_INPUT;
}

int fail_run(const char *format, ...) {
    va_list values;
    va_start(values, format);
    progress_end();
    say(stderr, "clbn: ", format, values, "");
    va_end(values);
    return EXIT_RUN;
}

void note(const char *format, ...) {
    va_list values;
    va_start(values, format);
    say(stdout, "", format, values, "");
    va_end(values);
}

/* "variant NAME gives wrong results on DEVICE...": plans pass it by, or are refused where it was asked for. */
static void keep_wrong(library_log *log, const char *sentence) {
    char name[64];
    if (strstr(sentence, " gives wrong results on ") == NULL || sscanf(sentence, "variant %63s", name) != 1) return;
    const size_t used = strlen(log->wrong);
    if (strstr(log->wrong, name) == NULL) snprintf(log->wrong + used, sizeof log->wrong - used, "%s%s", used ? ", " : "", name);
}

static void hear(void *user_data, clbn_status status, cl_int native, const char *sentence) {
    library_log *log = user_data;
    (void)native; /* the sentence names it */
    log->notices += status == CLBN_SUCCESS;
    keep_wrong(log, sentence);
    if (status != CLBN_SUCCESS)
        snprintf(log->sentence, sizeof log->sentence, "%s", sentence);
    else if (!log->quiet)
        note("note: %s", sentence);
}

clbn_device_options library_options(library_log *log) {
    clbn_device_options options = {.message = hear, .user_data = log};
    const char *asked = getenv("CLBN_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int length = -1;
    if (asked && strcmp(asked, "off") == 0) return options;
    if (xdg && xdg[0] == '/') {
        length = snprintf(log->cache_dir, sizeof log->cache_dir, "%s/clbn", xdg);
    } else if (home && home[0] == '/') {
        length = snprintf(log->cache_dir, sizeof log->cache_dir, "%s/.cache/clbn", home);
    }
    if (length > 0 && (size_t)length < sizeof log->cache_dir) options.cache_dir = log->cache_dir;
    return options;
}

/* The tool checks what the user gives before the library sees it; what the library still refuses of the user's input
 * is one of these. The rest is the machine's fault, or ours. */
static int exit_status(clbn_status status) {
    switch (status) {
    case CLBN_SUCCESS:
        return EXIT_DONE;
    case CLBN_ERROR_INVALID_ARGUMENT:
    case CLBN_ERROR_INVALID_DIMS:
    case CLBN_ERROR_INVALID_VALUE:
    case CLBN_ERROR_INVALID_DEVICE:
        return EXIT_INPUT;
    default:
        return EXIT_RUN;
    }
}

int fail_library(const library_log *log, clbn_status status, const char *what) {
    const char *sentence = log->sentence[0] ? log->sentence : clbn_status_string(status);
    return exit_status(status) == EXIT_INPUT ? fail_input("%s: %s", what, sentence) : fail_run("%s: %s", what, sentence);
}
