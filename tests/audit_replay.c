/* SPDX-License-Identifier: Apache-2.0
 *
 * Replays a launch's notes as warps: adjacent work-items in the order that GPUs number them, x first, pass a place in the kernel
 * together, and what they ask for there is one access. And as groups, whose warps take turns, with a small cache.
 */
#include "audit.h"

#include <stdlib.h>
#include <string.h>

/* CACHE: bytes of segments that a group finds again, a small share of what a compute unit has. Far more slots than those, and few to
 * look at, so that there is always one. */
enum { WIDEST = 64, CACHE = 16 << 10, SLOTS = 1 << 14, PROBES = 64 };

const char *const audit_kind_names[AUDIT_KINDS] = {"load of x", "load of y", "store of x", "store of y"};
const unsigned audit_warps[AUDIT_WARPS] = {32, WIDEST}, audit_segments[AUDIT_SEGMENTS] = {32, 64};

/* A note, unpacked. turn: which of the work-item's passes of the place it is; progress: of all of them, in 2^-16. */
typedef struct access {
    uint64_t address;
    unsigned bytes, lane, site, turn, progress;
} access;

static uint64_t address_of(const audit_note *n) {
    return n->address_and_site & 0xffffffffffffull;
}

static unsigned site_of(const audit_note *n) {
    return (unsigned)(n->address_and_site >> 48);
}

static unsigned item_of(const audit_note *n) {
    return (unsigned)n->rest;
}

/* The bits [from, from + count) of the rest. */
static unsigned field(const audit_note *n, unsigned from, unsigned count) {
    return (unsigned)(n->rest >> from) & ((1u << count) - 1);
}

static int by_place(const void *left, const void *right) {
    const access *a = left, *b = right;
    if (a->site != b->site) return a->site < b->site ? -1 : 1;
    if (a->turn != b->turn) return a->turn < b->turn ? -1 : 1;
    return a->address < b->address ? -1 : a->address > b->address;
}

/* Adds what the work-items [0, lanes) + a multiple of lanes ask for, in the order of their addresses. */
static void add_access(audit_bytes *sum, int warp, const access *first, size_t count, unsigned half) {
    const unsigned lanes = audit_warps[warp];
    uint64_t asked_to = 0, touched_to[AUDIT_SEGMENTS] = {0};
    for (size_t i = 0; i < count; i++) {
        const access *a = &first[i];
        const uint64_t end = a->address + a->bytes, from = a->address > asked_to ? a->address : asked_to;
        if (a->lane / lanes != half) continue;
        if (end <= from) continue;
        sum->asked[warp] += end - from;
        asked_to = end;
        for (int s = 0; s < AUDIT_SEGMENTS; s++) {
            const uint64_t bytes = audit_segments[s], begin = from / bytes * bytes, over = (end + bytes - 1) / bytes * bytes;
            const uint64_t begin_new = begin > touched_to[s] ? begin : touched_to[s];
            if (over <= begin_new) continue;
            sum->touched[warp][s] += over - begin_new;
            touched_to[s] = over;
        }
    }
}

static void replay_warp(audit_launch *launch, access *all, size_t count) {
    qsort(all, count, sizeof *all, by_place);
    for (size_t i = 0, next; i < count; i = next) {
        for (next = i; next < count && all[next].site == all[i].site && all[next].turn == all[i].turn;) next++;
        audit_bytes *sum = &launch->sites[all[i].site].bytes;
        for (int warp = 0; warp < AUDIT_WARPS; warp++) {
            for (unsigned half = 0; half < WIDEST / audit_warps[warp]; half++) add_access(sum, warp, all + i, next - i, half);
        }
    }
}

/* ------------------------------------------------------------------------------------------------------------ groups */

/* A segment that a group has touched: when it was fetched, counted in fetches, and which of its bytes were asked for since. */
typedef struct slot {
    uint64_t segment, bytes;
    uint32_t epoch, fetched_at;
} slot;

static struct {
    slot *slots;
    uint32_t epoch, fetches;
} caches[AUDIT_SEGMENTS];

static int is_there(int size, const slot *s) {
    const uint32_t since = caches[size].fetches - s->fetched_at;
    return s->epoch == caches[size].epoch && since < CACHE / audit_segments[size];
}

/* The slot that has the segment, or is free for it; NULL where there is none. */
static slot *slot_of(int size, uint64_t segment) {
    const uint64_t begin = segment * 0x9e3779b97f4a7c15ull >> 40;
    slot *free_one = NULL;
    for (uint64_t i = 0; i < PROBES; i++) {
        slot *s = &caches[size].slots[(begin + i) % SLOTS];
        const int there = is_there(size, s);
        if (there && s->segment == segment) return s;
        if (!there && free_one == NULL) free_one = s;
    }
    return free_one;
}

static int fetch(audit_bytes *sum, int size, const access *a) {
    const uint64_t bytes = audit_segments[size];
    for (uint64_t from = a->address, end = a->address + a->bytes; from < end;) {
        const uint64_t segment = from / bytes, to = end < (segment + 1) * bytes ? end : (segment + 1) * bytes;
        const uint64_t ones = (to - from == 64 ? ~0ull : (1ull << (to - from)) - 1) << from % bytes;
        slot *s = slot_of(size, segment);
        if (s == NULL) return 0;
        if (!is_there(size, s)) {
            sum->fetched[size] += bytes;
            *s = (slot){segment, 0, caches[size].epoch, ++caches[size].fetches};
        }
        sum->needed[size] += (uint64_t)__builtin_popcountll(ones & ~s->bytes);
        s->bytes |= ones;
        from = to;
    }
    return 1;
}

/* Places of one loop keep pace with one another, however often each is passed; loops behind one another mix. */
static int by_progress(const void *left, const void *right) {
    const access *a = left, *b = right;
    if (a->progress != b->progress) return a->progress < b->progress ? -1 : 1;
    return by_place(left, right);
}

static int replay_group(audit_launch *launch, access *all, size_t count) {
    int good = 1;
    qsort(all, count, sizeof *all, by_progress);
    for (int size = 0; size < AUDIT_SEGMENTS; size++) {
        if (caches[size].slots == NULL) caches[size].slots = calloc(SLOTS, sizeof *caches[size].slots);
        good = good && caches[size].slots != NULL;
        caches[size].epoch++;
        caches[size].fetches = 0;
        for (size_t i = 0; i < count && good; i++) good = fetch(&launch->sites[all[i].site].bytes, size, &all[i]);
    }
    return good;
}

/* ------------------------------------------------------------------------------------------------------------- notes */

/* A widest warp's number and a work-item's place in it. */
static size_t warp_of(const audit_launch *launch, const audit_note *n, unsigned *lane) {
    const size_t group_items = launch->local[0] * launch->local[1], warps = (group_items + WIDEST - 1) / WIDEST;
    const size_t in_group = item_of(n) % group_items;
    *lane = (unsigned)(in_group % WIDEST);
    return item_of(n) / group_items / launch->stride * warps + in_group / WIDEST;
}

static int note_place(audit_launch *launch, const audit_note *n, const char *(*file_name)(unsigned number)) {
    if (site_of(n) >= AUDIT_SITES) return 0;
    audit_site *site = &launch->sites[site_of(n)];
    const unsigned kind = field(n, 32, 4);
    site->kind = (int)kind;
    if (site->file == NULL) site->file = file_name(field(n, 44, 4));
    site->line = field(n, 48, 16);
    if (launch->lowest[kind] == 0 || address_of(n) < launch->lowest[kind]) launch->lowest[kind] = address_of(n);
    return 1;
}

int audit_replay(audit_launch *launch, const audit_note *notes, size_t count, const char *(*file_name)(unsigned number)) {
    const size_t group_items = launch->local[0] * launch->local[1], groups = launch->groups[0] * launch->groups[1];
    const size_t of_group = (group_items + WIDEST - 1) / WIDEST, warps = (groups / launch->stride + 1) * of_group;
    size_t *begin = calloc(warps + 2, sizeof *begin);
    access *sorted = malloc((count + 1) * sizeof *sorted);
    static unsigned turns[WIDEST][AUDIT_SITES];
    unsigned lane;
    int good = begin != NULL && sorted != NULL;
    for (size_t i = 0; i < count && good; i++) {
        begin[warp_of(launch, &notes[i], &lane) + 2]++;
        good = note_place(launch, &notes[i], file_name);
    }
    for (size_t w = 2; w < warps + 2 && good; w++) begin[w] += begin[w - 1];
    for (size_t i = 0; i < count && good; i++) {
        const size_t warp = warp_of(launch, &notes[i], &lane);
        sorted[begin[warp + 1]++] = (access){address_of(&notes[i]), field(&notes[i], 36, 8), lane, site_of(&notes[i]), 0, 0};
    }
    for (size_t w = 0; w < warps && good; w++) {
        memset(turns, 0, sizeof turns);
        for (size_t i = begin[w]; i < begin[w + 1]; i++) sorted[i].turn = turns[sorted[i].lane][sorted[i].site]++;
        for (size_t i = begin[w]; i < begin[w + 1]; i++) {
            access *a = &sorted[i];
            a->progress = (unsigned)(((uint64_t)a->turn << 16) / turns[a->lane][a->site]);
        }
        replay_warp(launch, sorted + begin[w], begin[w + 1] - begin[w]);
    }
    for (size_t w = 0; w < warps && good; w += of_group) {
        good = replay_group(launch, sorted + begin[w], begin[w + of_group] - begin[w]);
    }
    free(begin);
    free(sorted);
    return good;
}
