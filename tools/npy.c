/* SPDX-License-Identifier: Apache-2.0
 *
 * The reader and writer of .npy files. Each thing a header can get wrong has a sentence of its own.
 */
#include "npy.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "number.h"
#include "progress.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the tool reads and writes little-endian values as they lie in memory"
#endif

#define MAGIC            "\x93NUMPY"
#define MAGIC_BYTES      6
#define MAX_HEADER_BYTES 65536
#define CHUNK_BYTES      ((size_t)8 << 20)

/* ------------------------------------------------------------------------------------------------------------ header */

/* The text is a copy that ends with a zero byte, so that looking one byte ahead is always possible. */
typedef struct parser {
    const char *at;
    npy_reason *reason;
} parser;

enum { KEY_DESCR = 1, KEY_ORDER = 2, KEY_SHAPE = 4 };

PRINTF_LIKE(2, 3) static int refuse(parser *p, const char *format, ...) {
    va_list values;
    va_start(values, format);
    vsnprintf(p->reason->text, sizeof p->reason->text, format, values);
    va_end(values);
    return -1;
}

static void skip_blanks(parser *p) {
    while (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r') p->at++;
}

static int accept(parser *p, char c) {
    skip_blanks(p);
    if (*p->at != c) return 0;
    p->at++;
    return 1;
}

static int expect(parser *p, char c, const char *where) {
    return accept(p, c) ? 0 : refuse(p, "its header lacks '%c' %s", c, where);
}

static int parse_string(parser *p, char *text, size_t capacity, const char *what) {
    skip_blanks(p);
    char quote = *p->at;
    if (quote != '\'' && quote != '"') return refuse(p, "its header holds %s that is no plain string", what);
    const char *begin = ++p->at;
    while (*p->at && *p->at != quote && *p->at != '\\') p->at++;
    size_t length = (size_t)(p->at - begin);
    if (*p->at != quote || length >= capacity) return refuse(p, "its header holds %s that is no plain string", what);
    memcpy(text, begin, length);
    text[length] = '\0';
    p->at++;
    return 0;
}

static int parse_descr(parser *p, npy_header *header) {
    char name[24];
    if (parse_string(p, name, sizeof name, "a descr") != 0) return -1;
    for (int type = ARRAY_F16; type <= ARRAY_F64; type++) {
        if (strcmp(name, array_type_name((array_type)type)) != 0) continue;
        header->type = (array_type)type;
        return 0;
    }
    return refuse(p, "it holds values of type '%s', needs <f2, <f4 or <f8", name);
}

static int parse_order(parser *p) {
    skip_blanks(p);
    if (strncmp(p->at, "False", 5) == 0) {
        p->at += 5;
        return 0;
    }
    if (strncmp(p->at, "True", 4) == 0) return refuse(p, "its fortran_order is True, needs C order");
    return refuse(p, "its fortran_order is neither True nor False");
}

static int parse_shape(parser *p, npy_header *header) {
    if (expect(p, '(', "before the shape") != 0) return -1;
    int comma = 1; /* so far, every extent was followed by one */
    header->rank = 0;
    while (!accept(p, ')')) {
        size_t extent;
        if (!comma) return refuse(p, "its header lacks ',' or ')' in the shape");
        number_result result = number_scan_size(&p->at, &extent);
        if (result == NUMBER_RANGE) return refuse(p, "its shape holds a number that overflows");
        if (result != NUMBER_OK) return refuse(p, "its shape holds something that is no whole number from 0 on");
        if (header->rank == ARRAY_MAX_RANK) return refuse(p, "it has more than %d dimensions", ARRAY_MAX_RANK);
        header->dims[header->rank++] = extent;
        comma = accept(p, ',');
    }
    if (header->rank == 0) return refuse(p, "it has 0 dimensions (one number), needs 1 to %d", ARRAY_MAX_RANK);
    if (header->rank == 1 && !comma) return refuse(p, "its shape is a number in brackets, needs a tuple such as (3,)");
    return 0;
}

static int parse_entry(parser *p, npy_header *header, int *seen) {
    static const char *const names[] = {"descr", "fortran_order", "shape"};
    char name[24];
    if (parse_string(p, name, sizeof name, "a key") != 0) return -1;
    int key = 0;
    for (int i = 0; i < 3; i++)
        if (strcmp(name, names[i]) == 0) key = 1 << i;
    if (!key) return refuse(p, "its header holds the unknown key '%s'", name);
    if (*seen & key) return refuse(p, "its header holds the key '%s' twice", name);
    *seen |= key;
    if (expect(p, ':', "after a key") != 0) return -1;
    skip_blanks(p);
    switch (key) {
    case KEY_DESCR:
        return parse_descr(p, header);
    case KEY_ORDER:
        return parse_order(p);
    default:
        return parse_shape(p, header);
    }
}

static int parse_dict(parser *p, npy_header *header) {
    int seen = 0;
    int comma = 1;
    if (expect(p, '{', "at its begin") != 0) return -1;
    while (!accept(p, '}')) {
        if (!comma) return refuse(p, "its header lacks ',' or '}' after an entry");
        if (parse_entry(p, header, &seen) != 0) return -1;
        comma = accept(p, ',');
    }
    skip_blanks(p);
    if (!(seen & KEY_DESCR)) return refuse(p, "its header lacks the key 'descr'");
    if (!(seen & KEY_ORDER)) return refuse(p, "its header lacks the key 'fortran_order'");
    if (!(seen & KEY_SHAPE)) return refuse(p, "its header lacks the key 'shape'");
    return 0;
}

int npy_parse_header(const char *text, size_t length, npy_header *header, npy_reason *reason) {
    char *copy = malloc(length + 1);
    parser p = {copy, reason};
    memset(header, 0, sizeof *header);
    if (!copy) return refuse(&p, "no memory for its header");
    memcpy(copy, text, length);
    copy[length] = '\0';
    int result = parse_dict(&p, header);
    if (result == 0 && p.at != copy + length) result = refuse(&p, "its header goes on after the dict");
    size_t count;
    if (result == 0 && array_count(header->rank, header->dims, header->type, &count) != 0)
        result = refuse(&p, "the product of its dimensions %s overflows", array_shape(header->rank, header->dims).text);
    free(copy);
    return result;
}

/* -------------------------------------------------------------------------------------------------------------- file */

static int read_header(FILE *stream, file_ref file, size_t file_bytes, npy_header *header, size_t *data_bytes) {
    unsigned char start[12];
    if (file_bytes < 10 || fread(start, 1, 10, stream) != 10)
        return fail_input("%s%s%s: is no .npy file: it holds %zu bytes, its header alone needs more", REF(file), file_bytes);
    if (memcmp(start, MAGIC, MAGIC_BYTES) != 0) return fail_input("%s%s%s: is no .npy file by its first bytes", REF(file));
    if (start[6] < 1 || start[6] > 3 || start[7] != 0)
        return fail_input("%s%s%s: is of .npy format %d.%d, needs 1.0, 2.0 or 3.0", REF(file), start[6], start[7]);
    size_t prefix = start[6] == 1 ? 10 : 12;
    size_t length = (size_t)start[8] | (size_t)start[9] << 8;
    if (prefix == 12) {
        if (fread(start + 10, 1, 2, stream) != 2) return fail_input("%s%s%s: is cut short in its header", REF(file));
        length |= (size_t)start[10] << 16 | (size_t)start[11] << 24;
    }
    if (length > file_bytes - prefix)
        return fail_input("%s%s%s: is cut short: its header claims %zu bytes, the file has %zu left", REF(file), length,
                          file_bytes - prefix);
    if (length > MAX_HEADER_BYTES)
        return fail_input("%s%s%s: its header claims %zu bytes, more than %d", REF(file), length, MAX_HEADER_BYTES);
    char *text = malloc(length + 1);
    if (!text) return fail_run("%s%s%s: no memory for its header", REF(file));
    npy_reason reason;
    int status = EXIT_DONE;
    if (fread(text, 1, length, stream) != length)
        status = fail_input("%s%s%s: cannot be read to the end of its header", REF(file));
    else if (npy_parse_header(text, length, header, &reason) != 0)
        status = fail_input("%s%s%s: %s", REF(file), reason.text);
    free(text);
    *data_bytes = file_bytes - prefix - length;
    return status;
}

static int read_values(FILE *stream, file_ref file, array *a) {
    size_t bytes = a->count * array_type_bytes(a->type);
    progress_begin(file.path, bytes);
    for (size_t done = 0; done < bytes;) {
        size_t chunk = bytes - done < CHUNK_BYTES ? bytes - done : CHUNK_BYTES;
        if (fread((char *)a->data + done, 1, chunk, stream) != chunk)
            return fail_input("%s%s%s: cannot be read to its end", REF(file));
        done += chunk;
        progress_step(done);
    }
    progress_end();
    return EXIT_DONE;
}

int npy_read(FILE *stream, file_ref file, size_t file_bytes, array *a) {
    npy_header header;
    size_t count, data_bytes = 0;
    TRY(read_header(stream, file, file_bytes, &header, &data_bytes));
    array_count(header.rank, header.dims, header.type, &count); /* the header's parser has seen that it fits */
    size_t bytes = count * array_type_bytes(header.type);
    if (bytes != data_bytes)
        return fail_input("%s%s%s: %s: its header claims %s of %s, %zu bytes, the file holds %zu", REF(file),
                          data_bytes < bytes ? "is cut short" : "has bytes left over", array_shape(header.rank, header.dims).text,
                          array_type_name(header.type), bytes, data_bytes);
    TRY(array_make(a, file, header.type, header.rank, header.dims));
    return read_values(stream, file, a);
}

int npy_write(FILE *stream, const array *a) {
    char text[256 + ARRAY_MAX_RANK * 22];
    int used = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (", array_type_name(a->type));
    for (unsigned i = 0; i < a->rank; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "%s%zu", i ? ", " : "", a->dims[i]);
    used += snprintf(text + used, sizeof text - (size_t)used, "%s), }", a->rank == 1 ? "," : "");
    while ((10 + used + 1) % 64) text[used++] = ' '; /* the values start at a multiple of 64 bytes */
    text[used++] = '\n';
    unsigned char start[10] = MAGIC "\x01";
    start[8] = (unsigned char)(used & 255);
    start[9] = (unsigned char)(used >> 8);
    if (fwrite(start, 1, 10, stream) != 10 || fwrite(text, 1, (size_t)used, stream) != (size_t)used) return -1;
    size_t bytes = a->count * array_type_bytes(a->type);
    for (size_t done = 0; done < bytes;) {
        size_t chunk = bytes - done < CHUNK_BYTES ? bytes - done : CHUNK_BYTES;
        if (fwrite((const char *)a->data + done, 1, chunk, stream) != chunk) return -1;
        done += chunk;
        progress_step(done);
    }
    return 0;
}
