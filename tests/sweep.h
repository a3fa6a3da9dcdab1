/* SPDX-License-Identifier: Apache-2.0
 *
 * One case in all its ways: small ones in every rule and way, larger ones in fewer.
 */
#ifndef CLBN_TESTS_SWEEP_H
#define CLBN_TESTS_SWEEP_H

#include "judge.h"

typedef struct sweep {
    clbn_device *device;   /* what is judged */
    clbn_device *cpu;      /* the CPU path that judges it; NULL: the definition does */
    const char *note;      /* into the messages */
    const char **variants; /* names; a NULL among them lets the plan choose */
    size_t variant_count;
    size_t *ran; /* counts the plans made, by variant; NULL where nobody asks */
} sweep;

/* Judges cases[index], if it is within test_element_limit(). A variant that does not fit the case is passed by. */
void sweep_case(const sweep *s, size_t index);

#endif
