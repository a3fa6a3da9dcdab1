/* SPDX-License-Identifier: Apache-2.0
 *
 * A folder for a device's cache_dir, and what can happen to a file there (folder.c).
 */
#ifndef CLBN_TESTS_FOLDER_H
#define CLBN_TESTS_FOLDER_H

#include <limits.h>
#include <stddef.h>

/* One at a time. path is what files() found last. */
extern char folder[PATH_MAX - 300], path[PATH_MAX];

void folder_make(void);
void folder_remove(void);
/* The name of the one file there, in path; how many there are. */
unsigned files(void);
/* The file of that path; content is to be freed. */
char *content(size_t *bytes);
void write_content(const char *text, size_t bytes);

/* Damage number which of a good file, whose content is text, which is freed; what is there then must not be used. */
enum { DAMAGES = 44, DAMAGE_FOLDER = 42 };
void damage(int which, char *text, size_t bytes);

#endif
