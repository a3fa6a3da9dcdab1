/* SPDX-License-Identifier: Apache-2.0
 *
 * oneDNN 2 and 3 spell a few calls differently; here is what the worker needs of both, under one spelling.
 */
#ifndef CLBN_BENCH_ONEDNN_API_H
#define CLBN_BENCH_ONEDNN_API_H

#include <oneapi/dnnl/dnnl.h>

#if DNNL_VERSION_MAJOR < 3
typedef dnnl_memory_desc_t memory_format;
#define FORMAT(f) (&(f))

static inline dnnl_status_t format_create(memory_format *f, int rank, const dnnl_dims_t dims, dnnl_format_tag_t tag) {
    return dnnl_memory_desc_init_by_tag(f, rank, dims, dnnl_f32, tag);
}

static inline void format_destroy(memory_format *f) {
    (void)f;
}

static inline size_t format_bytes(const memory_format *f) {
    return dnnl_memory_desc_get_size(f);
}

static inline dnnl_status_t forward_create(dnnl_primitive_desc_t *made, dnnl_engine_t engine, dnnl_prop_kind_t kind,
                                           const memory_format *f, float epsilon, unsigned flags) {
    dnnl_batch_normalization_desc_t operation;
    dnnl_status_t status = dnnl_batch_normalization_forward_desc_init(&operation, kind, f, epsilon, flags);
    return status == dnnl_success ? dnnl_primitive_desc_create(made, &operation, NULL, engine, NULL) : status;
}

static inline dnnl_status_t backward_create(dnnl_primitive_desc_t *made, dnnl_engine_t engine, const memory_format *f,
                                            float epsilon, unsigned flags, const_dnnl_primitive_desc_t forward) {
    dnnl_batch_normalization_desc_t operation;
    dnnl_status_t status = dnnl_batch_normalization_backward_desc_init(&operation, dnnl_backward, f, f, epsilon, flags);
    return status == dnnl_success ? dnnl_primitive_desc_create(made, &operation, NULL, engine, forward) : status;
}
#else
typedef dnnl_memory_desc_t memory_format;
#define FORMAT(f) (f)

static inline dnnl_status_t format_create(memory_format *f, int rank, const dnnl_dims_t dims, dnnl_format_tag_t tag) {
    return dnnl_memory_desc_create_with_tag(f, rank, dims, dnnl_f32, tag);
}

static inline void format_destroy(memory_format *f) {
    if (*f) dnnl_memory_desc_destroy(*f);
    *f = NULL;
}

static inline size_t format_bytes(const memory_format *f) {
    return dnnl_memory_desc_get_size(*f);
}

static inline dnnl_status_t forward_create(dnnl_primitive_desc_t *made, dnnl_engine_t engine, dnnl_prop_kind_t kind,
                                           const memory_format *f, float epsilon, unsigned flags) {
    return dnnl_batch_normalization_forward_primitive_desc_create(made, engine, kind, *f, *f, epsilon, flags, NULL);
}

static inline dnnl_status_t backward_create(dnnl_primitive_desc_t *made, dnnl_engine_t engine, const memory_format *f,
                                            float epsilon, unsigned flags, const_dnnl_primitive_desc_t forward) {
    return dnnl_batch_normalization_backward_primitive_desc_create(made, engine, dnnl_backward, *f, *f, *f, epsilon, flags,
                                                                   forward, NULL);
}
#endif

#endif
