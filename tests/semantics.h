/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of the semantics suite, and what they share.
 */
#ifndef CLBN_TESTS_SEMANTICS_H
#define CLBN_TESTS_SEMANTICS_H

#include "support.h"
#include "verdict.h"

void add_edges(TCase *tests);       /* semantics_edges.c */
void add_activations(TCase *tests); /* semantics_activations.c */
void add_kinks(TCase *tests);       /* semantics_kinks.c */
void add_gradients(TCase *tests);   /* semantics_gradients.c */
void add_integers(TCase *tests);    /* semantics_integers.c */
void add_least(TCase *tests);       /* semantics_least.c */
void add_parts(TCase *tests);       /* semantics_parts.c */
void add_running(TCase *tests);     /* semantics_running.c */
void add_folding(TCase *tests);     /* semantics_folding.c */

#endif
