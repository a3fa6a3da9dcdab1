/* SPDX-License-Identifier: Apache-2.0
 *
 * Which sets of optional arguments there are: see present.h.
 */
#include "present.h"

#include <check.h>

enum { MOST_SETS = 2400 };

static present_set sets[2][MOST_SETS];
static size_t set_counts[2];

/* Every subset of the possible outputs that has the least of them, the fullest first; none at all is for training alone, which may be
 * asked for nothing. */
static void add_outputs(int residual, present_set set, unsigned possible, unsigned least) {
    for (unsigned outputs = possible;; outputs = (outputs - 1) & possible) {
        set.outputs = outputs;
        if ((outputs & least) == least && (outputs || set.call == TRAINS)) {
            if (set_counts[residual] == MOST_SETS) ck_abort_msg("the sets are too many");
            sets[residual][set_counts[residual]++] = set;
        }
        if (outputs == 0) return;
    }
}

static void add_sets(int residual, present_call call, unsigned possible, unsigned least, unsigned savings, unsigned accumulates) {
    const unsigned affines = call == TAKES_MOMENTS ? 1 : AFFINES;
    for (unsigned affine = 0; affine < affines; affine++)
        for (unsigned saved = 0; saved < savings; saved++)
            for (unsigned accumulate = 0; accumulate < accumulates; accumulate++)
                add_outputs(residual, (present_set){call, 0, affine, saved, accumulate}, possible, least);
}

size_t present_count(int residual) {
    const unsigned saved = 1u << GIVES_MEAN | 1u << GIVES_MEAN_LO | 1u << GIVES_VAR | 1u << GIVES_INV_STD;
    const unsigned running = 1u << GIVES_RUNNING_MEAN | 1u << GIVES_RUNNING_VAR, y = 1u << GIVES_Y;
    const unsigned gradients = 1u << GIVES_DX | 1u << GIVES_DGAMMA | 1u << GIVES_DBETA | (residual ? 1u << GIVES_DRESIDUAL : 0);
    if (set_counts[residual] == 0) {
        add_sets(residual, TRAINS, y | saved | running, 0, 1, 1);
        add_sets(residual, INFERS, y | saved, y, 1, 1);
        add_sets(residual, TAKES_MOMENTS, saved & ~(1u << GIVES_INV_STD), 0, 1, 1);
        add_sets(residual, GOES_BACK, gradients, 0, SAVINGS, 2);
        add_sets(residual, GOES_BACK_FROZEN, gradients, 0, 1, 2);
    }
    return set_counts[residual];
}

present_set present_of(int residual, size_t nth) {
    ck_assert_uint_lt(nth, present_count(residual));
    return sets[residual][nth];
}
