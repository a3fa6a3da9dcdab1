/* SPDX-License-Identifier: Apache-2.0
 *
 * The access audit: which elements each work-item of a launch loads and stores, recorded while PoCL, dressed up as a GPU, runs the
 * library's own kernels (audit_record.c), and replayed as warps (audit_replay.c).
 */
#ifndef CLBN_TESTS_AUDIT_H
#define CLBN_TESTS_AUDIT_H

#include <stddef.h>
#include <stdint.h>

/* Kinds of access, as audit.cl numbers them. X and Y are the kernels' two storage types: x and dx, y and dy. */
enum { AUDIT_LOAD_X, AUDIT_LOAD_Y, AUDIT_STORE_X, AUDIT_STORE_Y, AUDIT_KINDS };
extern const char *const audit_kind_names[AUDIT_KINDS];

/* Work-items of a warp by bytes of a segment. */
enum { AUDIT_WARPS = 2, AUDIT_SEGMENTS = 2, AUDIT_SITES = 256 };
extern const unsigned audit_warps[AUDIT_WARPS], audit_segments[AUDIT_SEGMENTS];

/* A note as audit.cl writes it. */
typedef struct audit_note {
    uint64_t address_and_site, rest;
} audit_note;

/* Bytes over all warp-wide accesses: asked for (each byte once an access), and in the segments that these touch. Then the same of a
 * work-group with a small cache: fetched counts a segment each time it is not there, needed each byte once a fetch. */
typedef struct audit_bytes {
    uint64_t asked[AUDIT_WARPS], touched[AUDIT_WARPS][AUDIT_SEGMENTS];
    uint64_t needed[AUDIT_SEGMENTS], fetched[AUDIT_SEGMENTS];
} audit_bytes;

/* One place in the kernels that loads or stores. */
typedef struct audit_site {
    int kind;
    const char *file;
    unsigned line;
    audit_bytes bytes;
} audit_site;

/* A launch's accesses, by place. */
typedef struct audit_launch {
    char kernel[32];
    size_t groups[2], local[2], stride; /* every stride-th group took notes */
    uint64_t lowest[AUDIT_KINDS];       /* address */
    audit_site sites[AUDIT_SITES];
} audit_launch;

/* Puts notes together by warp, place and turn (a work-item's first pass of a place goes with the others' first, and so on), and fills
 * launch->lowest and the bytes of its sites. file_name: of the file of that number. Returns 0 without memory. */
int audit_replay(audit_launch *launch, const audit_note *notes, size_t count, const char *(*file_name)(unsigned number));

/* Of so many groups, in rows of row, every how manyth takes notes: some 48 of them, at every place in a row. */
size_t audit_stride(size_t row, size_t groups);
/* Devices opened from here on have so many compute units. */
void audit_dress(unsigned compute_units);
/* Forgets the launches so far; those since then, in order. The test fails where notes were lost. */
void audit_forget(void);
size_t audit_launches(const audit_launch **launches);

#endif
