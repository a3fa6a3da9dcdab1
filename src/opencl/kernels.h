/* SPDX-License-Identifier: Apache-2.0
 *
 * The kernel sources, embedded as bytes in the order in which they are compiled; the last entry's name is NULL.
 */
#ifndef CLBN_KERNELS_H
#define CLBN_KERNELS_H

#include <stddef.h>

typedef struct clbn_kernel_source {
    const char *name, *text;
    size_t bytes;
} clbn_kernel_source;

extern const clbn_kernel_source clbn_kernel_sources[];

#endif
