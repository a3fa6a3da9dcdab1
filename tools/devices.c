/* SPDX-License-Identifier: Apache-2.0
 *
 * clbn devices: what the library can run on here, and what it would choose.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "table.h"
#include "work.h"

static void print_devices(const clbn_device_info *infos, size_t count, const char *chosen) {
    static const char *const heads[] = {"", "name", "kind", "device", "platform", "version", "units", "memory", "fp64", "usable"};
    table t;
    table_begin(&t, "llllllrrll");
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) table_cell(&t, "%s", heads[i]);
    for (size_t i = 0; i < count; i++) {
        const clbn_device_info *info = &infos[i];
        table_cell(&t, "%s", strcmp(info->name, chosen) == 0 ? "*" : "");
        table_cell(&t, "%s", info->name);
        table_cell(&t, "%s", kind_name(info->kind));
        table_cell(&t, "%s", info->device);
        table_cell(&t, "%s", info->platform);
        table_cell(&t, "%s", info->version);
        table_cell(&t, "%u", info->compute_units);
        table_cell(&t, "%.1f GiB", (double)info->memory_bytes / (1024.0 * 1024 * 1024));
        table_cell(&t, "%s", info->has_fp64 ? "yes" : "no");
        table_cell(&t, "%s%s%s", info->usable ? "yes" : "no", info->why[0] ? ": " : "", info->why);
    }
    table_end(&t, 0);
}

static int list(library_log *log, clbn_device_info **infos, size_t *count) {
    clbn_device_options callbacks = library_options(log);
    clbn_status status = clbn_device_list(&callbacks, NULL, 0, count);
    if (status != CLBN_SUCCESS) return fail_library(log, status, "devices");
    *infos = calloc(*count ? *count : 1, sizeof **infos);
    if (!*infos) return fail_run("devices: no memory for %zu of them", *count);
    size_t capacity = *count;
    status = clbn_device_list(&callbacks, *infos, capacity, count);
    if (*count > capacity) *count = capacity; /* one was plugged in meanwhile */
    return status == CLBN_SUCCESS ? EXIT_DONE : fail_library(log, status, "devices");
}

int run_devices(const options *o) {
    (void)o;
    library_log log = {.quiet = 1}; /* opening auto gives the same notices, and why it passes a device by */
    session automatic = {0};
    clbn_device_info *infos = NULL;
    size_t count = 0;
    int status = list(&log, &infos, &count);
    if (status == EXIT_DONE) status = session_open(&automatic, "auto");
    if (status == EXIT_DONE) {
        print_devices(infos, count, automatic.info.name);
        note("* auto chooses %s: %s", automatic.info.name, automatic.info.device);
    }
    session_close(&automatic);
    free(infos);
    return status;
}
