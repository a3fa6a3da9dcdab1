/* SPDX-License-Identifier: Apache-2.0
 *
 * The storage types: what a stored element is worth, and what is stored of a value. Written from IEEE 754 and
 * the definition of bfloat16, by arithmetic on powers of two; it must not know the library's own conversions.
 * A double holds a value of any of the types.
 */
#ifndef CLBN_ORACLE_STORED_H
#define CLBN_ORACLE_STORED_H

#include "clbn.h"

size_t stored_bytes(clbn_dtype type);
const char *stored_name(clbn_dtype type);

/* The nearest value of the type, to even where two are; infinite past its largest. */
double stored_round(clbn_dtype type, long double value);
/* Half the distance from |value| to the type's next value. */
long double stored_half_ulp(clbn_dtype type, long double value);

double stored_get(clbn_dtype type, const void *at);
void stored_put(clbn_dtype type, void *at, long double value);

#endif
