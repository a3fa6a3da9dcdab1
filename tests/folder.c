/* SPDX-License-Identifier: Apache-2.0
 *
 * A folder for a device's cache_dir, and what can happen to a file there.
 */
#define _POSIX_C_SOURCE 200809L
#include "folder.h"

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char folder[PATH_MAX - 300], path[PATH_MAX];

void folder_make(void) {
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/clbn-cache-XXXXXX", base ? base : "/tmp");
    ck_assert_msg(mkdtemp(folder) != NULL, "no folder %s", folder);
}

unsigned files(void) {
    unsigned count = 0;
    DIR *open = opendir(folder);
    for (struct dirent *entry; open && (entry = readdir(open));) {
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        count++;
    }
    if (open) closedir(open);
    return count;
}

void folder_remove(void) {
    while (files() != 0 && remove(path) == 0) continue;
    rmdir(folder);
}

char *content(size_t *bytes) {
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    fseek(file, 0, SEEK_END);
    *bytes = (size_t)ftell(file);
    rewind(file);
    char *text = malloc(*bytes);
    ck_assert_uint_eq(fread(text, 1, *bytes, file), *bytes);
    fclose(file);
    return text;
}

void write_content(const char *text, size_t bytes) {
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(text, 1, bytes, file), bytes);
    fclose(file);
}

void damage(int which, char *text, size_t bytes) {
    char name[PATH_MAX];
    snprintf(name, sizeof name, "%s", path);
    if (which < 8) { /* cut */
        const size_t kept[] = {0, 1, 15, 16, 48, 200, bytes / 2, bytes - 1};
        write_content(text, kept[which]);
    } else if (which == 8) { /* longer */
        text = realloc(text, bytes + 1);
        text[bytes] = 0;
        write_content(text, bytes + 1);
    } else if (which < 40) { /* one bit: in each word of the head, in the key, in the binary */
        const size_t at = which < 20 ? (size_t)(which - 9) * 5 : 56 + (bytes - 57) / 20 * (size_t)(which - 20);
        text[at] = (char)(text[at] ^ 1 << which % 8);
        write_content(text, bytes);
    } else if (which == 40) { /* others may write */
        ck_assert_int_eq(chmod(name, 0622), 0);
    } else if (which == 41) { /* a link to a good file */
        strcat(path, ".moved");
        ck_assert_int_eq(rename(name, path), 0);
        ck_assert_int_eq(symlink(path, name), 0);
    } else if (which == DAMAGE_FOLDER) {
        ck_assert_int_eq(remove(name), 0);
        ck_assert_int_eq(mkdir(name, 0700), 0);
    } else { /* a pipe, which would never end */
        ck_assert_int_eq(remove(name), 0);
        ck_assert_int_eq(mkfifo(name, 0600), 0);
    }
    free(text);
}
