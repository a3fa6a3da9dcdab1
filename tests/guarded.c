/* SPDX-License-Identifier: Apache-2.0
 *
 * Guarded buffers: see guarded.h.
 */
#include "guarded.h"
#include "support.h"

#include <stdlib.h>
#include <string.h>

enum { BAND = 64 };
static const uint32_t pattern = 0x7fc0beadu;

/* A host buffer has a band before its offset too; a cl_mem has none there, so that offset 0 is the start of the memory. */
static size_t lead(const guarded *g) {
    return (g->queue ? 0 : BAND) + g->offset;
}

static size_t whole(const guarded *g) {
    return lead(g) + g->count + BAND;
}

static int is_pattern(const float *value) {
    return memcmp(value, &pattern, sizeof pattern) == 0;
}

void guarded_make(guarded *g, const char *name, cl_command_queue queue, cl_mem_flags flags, size_t count, size_t offset,
                  const float *values) {
    memset(g, 0, sizeof *g);
    g->name = name, g->queue = queue, g->count = count, g->offset = offset;
    g->host = malloc(whole(g) * sizeof(float));
    ck_assert_ptr_nonnull(g->host);
    for (size_t i = 0; i < whole(g); i++) memcpy(g->host + i, &pattern, sizeof pattern);
    if (values) {
        g->given = malloc((count + 1) * sizeof(float));
        ck_assert_ptr_nonnull(g->given);
        memcpy(g->given, values, count * sizeof(float));
        memcpy(g->host + lead(g), values, count * sizeof(float));
    }
    if (queue) {
        cl_context context = NULL;
        cl_int code = clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof context, &context, NULL);
        ck_cl(code);
        g->mem = clCreateBuffer(context, flags | CL_MEM_COPY_HOST_PTR, whole(g) * sizeof(float), g->host, &code);
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
    clbn_buffer buffer = clbn_host(g->host + BAND);
    buffer.offset = g->offset;
    return buffer;
}

const float *guarded_read(guarded *g, const char *context) {
    if (g->mem) ck_cl(clEnqueueReadBuffer(g->queue, g->mem, CL_TRUE, 0, whole(g) * sizeof(float), g->host, 0, NULL, NULL));
    for (size_t i = 0; i < whole(g); i++)
        if ((i < lead(g) || i >= lead(g) + g->count) && !is_pattern(g->host + i))
            ck_abort_msg("%s: element %lld of %s, which holds %zu from offset %zu, was written", context,
                         (long long)i - (long long)lead(g), g->name, g->count, g->offset);
    return g->host + lead(g);
}

void guarded_must_be_unchanged(guarded *g, const char *context) {
    if (!g->host) return;
    const float *now = guarded_read(g, context);
    for (size_t i = 0; i < g->count; i++) {
        int same = g->given ? memcmp(now + i, g->given + i, sizeof(float)) == 0 : is_pattern(now + i);
        if (!same) ck_abort_msg("%s: element %zu of %s was changed to %g", context, i, g->name, (double)now[i]);
    }
}

size_t guarded_untouched(const float *values, size_t count) {
    size_t left = 0;
    for (size_t i = 0; i < count; i++) left += (size_t)is_pattern(values + i);
    return left;
}
