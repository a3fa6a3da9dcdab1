/* SPDX-License-Identifier: Apache-2.0
 *
 * Guarded buffers: see guarded.h.
 */
#include "guarded.h"
#include "support.h"

#include <stdlib.h>
#include <string.h>

enum { BAND = 64 };
static const unsigned char pattern[4] = {0xfb, 0xff, 0xfd, 0x7f};

/* A host buffer has a band before its offset too; a cl_mem has none there, so that offset 0 is the start of the memory. */
static size_t lead(const guarded *g) {
    return (g->queue ? 0 : BAND) + g->offset;
}

static size_t whole(const guarded *g) {
    return lead(g) + g->count + BAND;
}

int guarded_is_pattern(const void *element, size_t bytes) {
    for (size_t k = 0; k < bytes; k++)
        if (((const unsigned char *)element)[k] != pattern[k % 4]) return 0;
    return 1;
}

void guarded_fill(void *elements, size_t bytes, size_t count) {
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < bytes; k++) ((unsigned char *)elements)[i * bytes + k] = pattern[k % 4];
}

void guarded_make(guarded *g, const char *name, cl_command_queue queue, cl_mem_flags flags, size_t count, size_t offset,
                  const float *values) {
    guarded_make_of(g, name, queue, flags, sizeof(float), count, offset, values);
}

void guarded_make_of(guarded *g, const char *name, cl_command_queue queue, cl_mem_flags flags, size_t bytes, size_t count,
                     size_t offset, const void *values) {
    memset(g, 0, sizeof *g);
    g->name = name, g->queue = queue, g->count = count, g->offset = offset, g->bytes = bytes;
    g->host = malloc(whole(g) * bytes);
    ck_assert_ptr_nonnull(g->host);
    guarded_fill(g->host, bytes, whole(g));
    if (values) {
        g->given = malloc((count + 1) * bytes);
        ck_assert_ptr_nonnull(g->given);
        memcpy(g->given, values, count * bytes);
        memcpy(g->host + lead(g) * bytes, values, count * bytes);
    }
    if (queue) {
        cl_context context = NULL;
        cl_int code = clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof context, &context, NULL);
        ck_cl(code);
        g->mem = clCreateBuffer(context, flags | CL_MEM_COPY_HOST_PTR, whole(g) * bytes, g->host, &code);
        ck_cl(code);
    }
}

void guarded_free(guarded *g) {
    if (g->mem) clReleaseMemObject(g->mem);
    free(g->host);
    free(g->given);
    memset(g, 0, sizeof *g);
}

clbn_buffer guarded_buffer(const guarded *g) {
    if (!g->host) return clbn_host(NULL);
    if (g->mem) return clbn_mem(g->mem, g->offset);
    clbn_buffer buffer = clbn_host(g->host + BAND * g->bytes);
    buffer.offset = g->offset;
    return buffer;
}

const void *guarded_read(guarded *g, const char *context) {
    if (g->mem) ck_cl(clEnqueueReadBuffer(g->queue, g->mem, CL_TRUE, 0, whole(g) * g->bytes, g->host, 0, NULL, NULL));
    for (size_t i = 0; i < whole(g); i++)
        if ((i < lead(g) || i >= lead(g) + g->count) && !guarded_is_pattern(g->host + i * g->bytes, g->bytes))
            ck_abort_msg("%s: element %lld of %s, which holds %zu from offset %zu, was written", context,
                         (long long)i - (long long)lead(g), g->name, g->count, g->offset);
    return g->host + lead(g) * g->bytes;
}

void guarded_must_be_unchanged(guarded *g, const char *context) {
    if (!g->host) return;
    const char *now = guarded_read(g, context), *given = g->given;
    for (size_t i = 0; i < g->count; i++) {
        const char *element = now + i * g->bytes;
        int same = given ? memcmp(element, given + i * g->bytes, g->bytes) == 0 : guarded_is_pattern(element, g->bytes);
        if (!same) ck_abort_msg("%s: element %zu of %s was changed", context, i, g->name);
    }
}
