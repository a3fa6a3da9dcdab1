/* SPDX-License-Identifier: Apache-2.0
 *
 * Statuses in words, and the one way a message leaves the library.
 */
#include "internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT(x)                           #x
#define VERSION_TEXT(major, minor, patch) TEXT(major) "." TEXT(minor) "." TEXT(patch)

const char *clbn_version(void) {
    return VERSION_TEXT(CLBN_VERSION_MAJOR, CLBN_VERSION_MINOR, CLBN_VERSION_PATCH);
}

const char *clbn_status_name(clbn_status status) {
    switch ((int)status) {
#define NAME(name, value, sentence) \
    case value:                     \
        return #name;
        CLBN_STATUS_MAP(NAME)
#undef NAME
    }
    return "unknown status";
}

const char *clbn_status_string(clbn_status status) {
    switch ((int)status) {
#define SENTENCE(name, value, sentence) \
    case value:                         \
        return sentence;
        CLBN_STATUS_MAP(SENTENCE)
#undef SENTENCE
    }
    return "unknown status";
}

clbn_status clbn_tell(const clbn_device *device, clbn_status status, cl_int native, const char *format, ...) {
    if (device == NULL || device->message == NULL) return status;
    char line[1024], *text = line, *whole = NULL;
    va_list list, again;
    va_start(list, format);
    va_copy(again, list);
    int length = vsnprintf(line, sizeof line, format, list);
    if (length >= (int)sizeof line && (whole = malloc((size_t)length + 1)) != NULL) { /* a build log */
        vsnprintf(whole, (size_t)length + 1, format, again);
        text = whole;
    }
    va_end(again);
    va_end(list);
    device->message(device->user_data, status, native, text);
    free(whole);
    return status;
}

static void as_notice(void *user_data, clbn_status status, cl_int native, const char *sentence) {
    (void)status;
    clbn_tell(user_data, CLBN_SUCCESS, native, "%s", sentence);
}

clbn_device *clbn_device_hush(clbn_device *device, clbn_device *hushed) {
    *hushed = (clbn_device){.backend = device->backend,
                            .message = as_notice,
                            .user_data = device,
                            .info = device->info,
                            .skip_trials = device->skip_trials,
                            .cache_dir = device->cache_dir,
                            .state = device->state};
    return hushed;
}
