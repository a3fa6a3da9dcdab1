/* SPDX-License-Identifier: Apache-2.0
 *
 * The outputs of a command, from the check of their names to the commit.
 */
#include "results.h"

#include "files.h"

int results_open(const result *results, size_t count, output_set *set) {
    for (size_t i = 0; i < count; i++) TRY(output_add(set, results[i].file.option, results[i].file.path));
    return EXIT_DONE;
}

int results_check(const result *results, size_t count, const work *w) {
    for (size_t i = 0; i < count; i++) {
        if (!results[i].file.path) continue;
        if (results[i].form == RESULT_AS_X)
            TRY(file_check_shape(results[i].file, w->x.rank, w->x.dims, w->x.names != NULL));
        else
            TRY(file_check_shape(results[i].file, 1, &w->channels, 0));
    }
    return EXIT_DONE;
}

int results_write(const result *results, size_t count, const work *w, output_set *set) {
    for (size_t i = 0; i < count; i++) {
        array shown = *results[i].values;
        shown.names = results[i].form == RESULT_AS_X ? w->x.names : NULL;
        TRY(output_write(set, results[i].file.option, &shown));
    }
    return output_commit(set);
}
