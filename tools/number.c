/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers from text: the syntax is checked by hand (strtod would take hexadecimal, blanks in front and words behind), the
 * value is left to strtof and strtod, which round rightly.
 */
#include "number.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <strings.h>

static const char *skip_digits(const char *text) {
    while (*text >= '0' && *text <= '9') text++;
    return text;
}

int number_looks_like_one(const char *text) {
    if (*text == '+' || *text == '-') text++;
    if (!strcasecmp(text, "nan") || !strcasecmp(text, "inf") || !strcasecmp(text, "infinity")) return 1;
    const char *end = skip_digits(text);
    size_t digits = (size_t)(end - text);
    if (*end == '.') {
        const char *fraction = end + 1;
        end = skip_digits(fraction);
        digits += (size_t)(end - fraction);
    }
    if (digits == 0) return 0;
    if (*end == 'e' || *end == 'E') {
        const char *exponent = end + 1;
        if (*exponent == '+' || *exponent == '-') exponent++;
        end = skip_digits(exponent);
        if (end == exponent) return 0;
    }
    return *end == '\0';
}

number_result number_to_float(const char *text, float *value) {
    if (!number_looks_like_one(text)) return NUMBER_NONE;
    errno = 0;
    *value = strtof(text, NULL);
    return errno == ERANGE && isinf(*value) ? NUMBER_RANGE : NUMBER_OK;
}

number_result number_to_double(const char *text, double *value) {
    if (!number_looks_like_one(text)) return NUMBER_NONE;
    errno = 0;
    *value = strtod(text, NULL);
    return errno == ERANGE && isinf(*value) ? NUMBER_RANGE : NUMBER_OK;
}

number_result number_scan_size(const char **text, size_t *value) {
    const char *end = skip_digits(*text);
    if (end == *text) return NUMBER_NONE;
    size_t sum = 0;
    for (const char *at = *text; at < end; at++) {
        size_t digit = (size_t)(*at - '0');
        if (sum > (SIZE_MAX - digit) / 10) return NUMBER_RANGE;
        sum = sum * 10 + digit;
    }
    *text = end;
    *value = sum;
    return NUMBER_OK;
}

number_result number_to_int(const char *text, int *value) {
    int negative = *text == '-';
    if (*text == '-' || *text == '+') text++;
    size_t size;
    number_result result = number_scan_size(&text, &size);
    if (result != NUMBER_OK) return result;
    if (*text) return NUMBER_NONE;
    if (size > INT_MAX) return NUMBER_RANGE;
    *value = negative ? -(int)size : (int)size;
    return NUMBER_OK;
}
