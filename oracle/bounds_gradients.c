/* SPDX-License-Identifier: Apache-2.0
 *
 * The bounds of activations and gradients: bounds_gradients.h derives them.
 */
#include "bounds_gradients.h"

#include <math.h>

/* What the mean that is used may be off; of a device only what the promise does not cover. */
static long double mean_error(const bounds_step *s) {
    const long double size = fabsl(s->of.mean);
    const int cpu = bounds_is_cpu_path(s->who);
    if (s->population || s->of.var == 0) return 0;
    long double error = cpu ? bounds_batch_mean(s->who, &s->of) + s->of_mean : 0;
    if (s->no_lo) return error + bounds_real(s->who) * size;
    if (cpu && s->as_saved) error += (bounds_is_f64(s->who) ? 0x1p-106L : 0x1p-48L) * size;
    return error;
}

/* What inv_std may be off, relative, beyond the promise. */
static long double inv_std_error(const bounds_step *s) {
    if (!bounds_is_cpu_path(s->who)) return 0;
    const long double of_parts = s->of.var > 0 ? s->of_mean / sqrtl(s->of.var) + s->of_var / s->of.var / 2 : 0;
    return of_parts + (s->as_saved ? (s->outside ? 1.5L : 1) * bounds_real(s->who) : 0);
}

long double bounds_v(const bounds_step *s, long double gamma_xhat, long double residual) {
    const long double terms = fabsl(gamma_xhat) + fabsl(s->of.beta) + fabsl(residual);
    const long double least = bounds_is_cpu_path(s->who) ? 0 : fmaxl(1, s->population ? 0 : bounds_spread(&s->of));
    const long double size = fmaxl(terms, least);
    if (!isfinite(terms)) return 0;
    return bounds_accuracy(s->who) * size + inv_std_error(s) * fabsl(gamma_xhat) +
           fabsl(s->of.gamma) * s->of.inv_std * mean_error(s);
}

long double bounds_activated(const bounds_step *s, long double v, long double of_v) {
    const long double y = definition_activate(&s->act, v), rounding = bounds_accuracy(s->who) * fabsl(y);
    switch (s->act.kind) {
    case DEFINITION_LEAKY:
        return fmaxl(1, fabsl((long double)s->act.slope)) * of_v;
    case DEFINITION_SILU:
        return 1.1L * of_v + rounding + (s->who == BOUNDS_OF_DEVICE ? 3e-37L : 0);
    case DEFINITION_SQUARE:
        return 2 * (fabsl(v) + of_v) * of_v + rounding;
    default:
        return of_v;
    }
}

/* The jump of act' where its kink lies within of_v of v. */
static long double jump(const definition_activation *act, long double v, long double of_v) {
    switch (act->kind) {
    case DEFINITION_RELU:
        return fabsl(v) <= of_v ? 1 : 0;
    case DEFINITION_LEAKY:
        return fabsl(v) <= of_v ? fabsl(1 - (long double)act->slope) : 0;
    case DEFINITION_CLIP:
        return fabsl(v - act->low) <= of_v || fabsl(v - act->high) <= of_v ? 1 : 0;
    default:
        return 0;
    }
}

long double bounds_g(const bounds_step *s, long double v, long double of_v, long double dy) {
    const long double size = fabsl(dy), A = bounds_accuracy(s->who);
    switch (s->act.kind) {
    case DEFINITION_SILU:
        return size * (of_v / 2 + A * (1 + fabsl(v)));
    case DEFINITION_SQUARE:
        return size * (2 * of_v + 2 * A * fabsl(v));
    case DEFINITION_LEAKY:
        return size * (jump(&s->act, v, of_v) + (v <= 0 ? A * fabsl((long double)s->act.slope) : 0));
    default:
        return size * jump(&s->act, v, of_v);
    }
}

long double bounds_size(const bounds_step *s, long double dy, long double g) {
    if (bounds_is_cpu_path(s->who) || s->act.kind == DEFINITION_SQUARE) return fabsl(g);
    const long double steepest = s->act.kind == DEFINITION_SILU    ? 1.1L
                                 : s->act.kind == DEFINITION_LEAKY ? fabsl(s->act.slope)
                                                                   : 1;
    return fabsl(dy) * (steepest > 1 ? steepest : 1);
}

void bounds_sums_add(bounds_sums *sums, long double g, long double size, long double of_g, long double about_mean) {
    sums->g += size;
    sums->of_g += of_g;
    sums->gx += size * fabsl(about_mean);
    sums->of_gx += of_g * fabsl(about_mean);
    sums->exact_g += g;
    sums->exact_gx += g * about_mean;
}

long double bounds_dbeta(const bounds_step *s, const bounds_sums *sums) {
    return sums->of_g + bounds_accuracy(s->who) * sums->g;
}

/* Of sum g (x - mean). */
static long double gx_error(const bounds_step *s, const bounds_sums *sums) {
    return sums->of_gx + bounds_accuracy(s->who) * sums->gx + mean_error(s) * (sums->g + sums->of_g);
}

static long double dgamma_error(const bounds_step *s, const bounds_sums *sums, long double of_moved_mean) {
    return s->of.inv_std * (gx_error(s, sums) + of_moved_mean + inv_std_error(s) * fabsl(sums->exact_gx));
}

long double bounds_dgamma(const bounds_step *s, const bounds_sums *sums) {
    const int promised = !bounds_is_cpu_path(s->who) && !s->population;
    return dgamma_error(s, sums, promised ? bounds_accuracy(s->who) * sqrtl(s->of.var) * fabsl(sums->exact_g) : 0);
}

long double bounds_dgamma_of_rows(const bounds_step *s, const bounds_sums *sums) {
    const long double moved = bounds_is_cpu_path(s->who) ? 0 : bounds_batch_mean(s->who, &s->of);
    return dgamma_error(s, sums, moved * (sums->g + sums->of_g));
}

long double bounds_dx(const bounds_step *s, const bounds_sums *sums, long double size, long double of_g, long double about_mean) {
    const long double A = bounds_accuracy(s->who), u = inv_std_error(s), r = s->of.inv_std, n = (long double)s->of.values;
    const long double scale = fabsl(s->of.gamma) * r;
    if (s->population) return scale * (of_g + (A + u) * size);
    const long double sigma = sqrtl(s->of.var), K = !s->outside ? r * r : sigma == 0 ? 0 : r / sigma;
    const long double of_mean_g = bounds_dbeta(s, sums) / n, back = fabsl(about_mean) * K / n;
    return scale * (of_g + (A + u) * size + of_mean_g + u * sums->g / n + back * (gx_error(s, sums) + 3 * u * sums->gx) +
                    mean_error(s) * K * (sums->gx + sums->of_gx) / n);
}

long double bounds_accumulated(bounds_of who, long double old, long double added, long double of_added) {
    const long double each = bounds_is_cpu_path(who) ? bounds_accuracy(who) : bounds_real(who);
    return of_added + each * (fabsl(old) + fabsl(added) + of_added);
}
