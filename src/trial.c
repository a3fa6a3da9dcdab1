/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of making a plan: a variant that has not yet run on its device, with the plan's kinds, is first tried on a small problem
 * whose answer the CPU path knows. Where a driver gets it wrong the next variant is taken. What a trial must meet is four times the
 * library's promise: it looks for compilers and devices that compute something else, the tests look for the rest.
 * It must not know what a variant is: the backend says which sizes show all of it, and remembers.
 */
#include "internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------------------- numbers */

/* Stores a value that the type holds exactly, and no subnormal one. */
static void put(clbn_dtype type, void *array, size_t at, double value) {
    const float narrow = (float)value;
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof bits);
    switch (type) {
    case CLBN_F32:
        ((float *)array)[at] = narrow;
        break;
    case CLBN_F64:
        ((double *)array)[at] = value;
        break;
    case CLBN_I8:
        ((int8_t *)array)[at] = (int8_t)value;
        break;
    case CLBN_BF16:
        ((uint16_t *)array)[at] = (uint16_t)(bits >> 16);
        break;
    default: /* float16: an exponent of 5 bits about 15, where float's are 8 about 127, and 10 bits of 23 */
        ((uint16_t *)array)[at] =
            (uint16_t)(bits >> 16 & 0x8000) | (uint16_t)(value == 0 ? 0 : (bits >> 13 & 0x3ffff) - (112u << 10));
    }
}

static double get(clbn_dtype type, const void *array, size_t at) {
    if (type == CLBN_F32) return (double)((const float *)array)[at];
    if (type == CLBN_F64) return ((const double *)array)[at];
    if (type == CLBN_I8) return ((const int8_t *)array)[at];
    const uint16_t half = ((const uint16_t *)array)[at];
    if (type == CLBN_BF16) {
        const uint32_t bits = (uint32_t)half << 16;
        float value;
        memcpy(&value, &bits, sizeof value);
        return (double)value;
    }
    const int exponent = half >> 10 & 31, fraction = half & 1023;
    const double size = exponent == 31 ? (fraction ? NAN : INFINITY)
                        : exponent     ? ldexp(1024 + fraction, exponent - 25)
                                       : ldexp(fraction, -24);
    return half >> 15 ? -size : size;
}

/* From a value of the type to the next, or a little more. */
static double ulp(clbn_dtype type, double value) {
    static const int bits[] = {[CLBN_F32] = 23, [CLBN_F16] = 10, [CLBN_BF16] = 7, [CLBN_F64] = 52};
    if (type == CLBN_I8) return 1;
    return fmax(ldexp(fabs(value), -bits[type]), type == CLBN_F16 ? 0x1p-24 : 0);
}

/* --------------------------------------------------------------------------------------------------------- the problem */

enum array {
    X,
    RESIDUAL,
    DY,
    GAMMA,
    BETA,
    MEAN_GIVEN,
    VAR_GIVEN,
    INPUTS,
    Y = INPUTS,
    Z, /* what inference makes of x */
    DX,
    DRESIDUAL,
    MEAN,
    MEAN_LO,
    VAR,
    INV_STD,
    RUNNING_MEAN,
    RUNNING_VAR,
    DGAMMA,
    DBETA,
    KEPT, /* the mask */
    ARRAYS
};

/* One of the two that solve it, on inputs that are the same. */
typedef struct solver {
    clbn_plan *plan;
    void *arrays[ARRAYS];
} solver;

typedef struct problem {
    clbn_config config;
    size_t dims[3], strides[3];
    size_t elements, spread; /* spread: array elements from one of a tensor's to the next */
    solver by_cpu, by_device;
} problem;

static clbn_dtype type_of(const problem *p, enum array array) {
    if (array == X || array == DX) return p->by_cpu.plan->x_type;
    const bool tensor = array == RESIDUAL || array == DY || array == Y || array == Z || array == DRESIDUAL;
    return tensor ? p->by_cpu.plan->y_type : p->by_cpu.plan->real_type;
}

/* Kinds are the plan's; numbers, which are arguments of kernels, are the problem's own. */
static void describe(problem *p, const clbn_plan *plan, const clbn_trial *trial, unsigned which) {
    memcpy(p->dims, trial->dims[which], sizeof p->dims);
    p->elements = p->dims[0] * p->dims[1] * p->dims[2];
    p->spread = trial->strided ? 2 : 1;
    p->strides[2] = p->spread;
    p->strides[1] = p->dims[2] * p->strides[2];
    p->strides[0] = p->dims[1] * p->strides[1];
    p->config = (clbn_config){.rank = 3,
                              .dims = p->dims,
                              .axis = 1,
                              .dtype = plan->x_type,
                              .y_dtype = plan->y_type,
                              .epsilon = 0x1p-10,
                              .epsilon_rule = CLBN_EPSILON_INSIDE,
                              .running_variance = CLBN_RUNNING_UNBIASED,
                              .variant = plan->info.variant,
                              .activation = plan->activation,
                              .slope = 0.25,
                              .low = -1,
                              .high = 1,
                              .custom = plan->activation == CLBN_CUSTOM ? &plan->custom : NULL,
                              .residual = plan->residual,
                              .mask = plan->mask};
    const size_t *s = trial->strided ? p->strides : NULL;
    p->config.strides = (clbn_strides){.x = s, .y = s, .residual = s, .dx = s, .dy = s, .dresidual = s};
}

/* Numbers that every type holds: multiples of 1/64 about an offset that is as far from 0 as the type can tell them from there, so
 * that a sum which loses its low part shows. */
static void fill(problem *p) {
    static const double offsets[] = {[CLBN_F32] = 4096, [CLBN_F16] = 8, [CLBN_BF16] = 2, [CLBN_F64] = 4096, [CLBN_I8] = 0};
    void **in = p->by_cpu.arrays;
    const bool integers = type_of(p, X) == CLBN_I8;
    const double offset = offsets[type_of(p, X)], step = type_of(p, Y) == CLBN_I8 ? 1 : 0x1p-4;
    uint32_t random = 1;
    for (size_t k = 0; k < p->elements; k++) {
        random = random * 1664525u + 1013904223u;
        const double any = (double)(random >> 24) - 128;
        put(type_of(p, X), in[X], k * p->spread, integers ? any : offset + any / 64);
        put(type_of(p, RESIDUAL), in[RESIDUAL], k * p->spread, ((double)(random >> 16 & 15) - 8) * step);
        put(type_of(p, DY), in[DY], k * p->spread, ((double)(random >> 12 & 31) - 16) * step);
    }
    for (size_t c = 0; c < p->dims[1]; c++) {
        const double odd = c % 2 ? -1 : 1;
        put(type_of(p, GAMMA), in[GAMMA], c, odd * (1 + (double)(c % 3) / 4));
        put(type_of(p, BETA), in[BETA], c, odd * (double)(c % 5) / 8);
        put(type_of(p, MEAN_GIVEN), in[MEAN_GIVEN], c, offset + 0.125);
        put(type_of(p, VAR_GIVEN), in[VAR_GIVEN], c, integers ? 1024 : 1.5);
    }
}

/* Where v is so near a kink that the two may stand on its two sides, dy is 0, and which side does not matter. */
static void avoid_kinks(problem *p) {
    void **a = p->by_cpu.arrays;
    const clbn_activation act = p->config.activation;
    if (act != CLBN_RELU && act != CLBN_LEAKY_RELU && act != CLBN_CLIP) return;
    for (size_t k = 0; k < p->elements; k++) {
        const size_t c = k / p->dims[2] % p->dims[1], at = k * p->spread;
        const double mean = get(type_of(p, MEAN), a[MEAN], c) + get(type_of(p, MEAN_LO), a[MEAN_LO], c);
        const double xhat = (get(type_of(p, X), a[X], at) - mean) * get(type_of(p, INV_STD), a[INV_STD], c);
        double v = get(type_of(p, GAMMA), a[GAMMA], c) * xhat + get(type_of(p, BETA), a[BETA], c);
        if (p->config.residual) v += get(type_of(p, RESIDUAL), a[RESIDUAL], at);
        const double from = act == CLBN_CLIP ? fmin(fabs(v - p->config.low), fabs(v - p->config.high)) : fabs(v);
        if (from < 1e-3) put(type_of(p, DY), a[DY], at, 0);
    }
}

/* ------------------------------------------------------------------------------------------------------------- solving */

static clbn_status forward(const problem *p, const solver *s) {
    void *const *a = s->arrays;
    clbn_forward_args args = {.x = clbn_host(a[X]),
                              .y = clbn_host(a[Z]),
                              .gamma = clbn_host(a[GAMMA]),
                              .beta = clbn_host(a[BETA]),
                              .running_mean = clbn_host(a[MEAN_GIVEN]),
                              .running_var = clbn_host(a[VAR_GIVEN])};
    if (p->config.residual) args.residual = clbn_host(a[RESIDUAL]);
    TRY(clbn_forward_inference(s->plan, NULL, &args, 0, NULL, NULL));
    if (type_of(p, X) == CLBN_I8 || type_of(p, Y) == CLBN_I8) return CLBN_SUCCESS;
    if (p->config.mask) args.mask = clbn_host(a[KEPT]);
    args.y = clbn_host(a[Y]);
    args.running_mean = clbn_host(a[RUNNING_MEAN]);
    args.running_var = clbn_host(a[RUNNING_VAR]);
    args.saved_mean = clbn_host(a[MEAN]);
    args.saved_mean_lo = clbn_host(a[MEAN_LO]);
    args.saved_var = clbn_host(a[VAR]);
    args.saved_inv_std = clbn_host(a[INV_STD]);
    args.update_weight = 0.5;
    return clbn_forward_training(s->plan, NULL, &args, 0, NULL, NULL);
}

static clbn_status backward(const problem *p, const solver *s) {
    void *const *a = s->arrays;
    if (type_of(p, X) == CLBN_I8 || type_of(p, Y) == CLBN_I8) return CLBN_SUCCESS;
    clbn_backward_args args = {.dy = clbn_host(a[DY]),
                               .x = clbn_host(a[X]),
                               .dx = clbn_host(a[DX]),
                               .dgamma = clbn_host(a[DGAMMA]),
                               .dbeta = clbn_host(a[DBETA]),
                               .gamma = clbn_host(a[GAMMA]),
                               .beta = clbn_host(a[BETA]),
                               .saved_mean = clbn_host(a[MEAN]),
                               .saved_mean_lo = clbn_host(a[MEAN_LO]),
                               .saved_var = clbn_host(a[VAR]),
                               .saved_inv_std = clbn_host(a[INV_STD])};
    if (p->config.mask) args.mask = clbn_host(a[KEPT]);
    if (p->config.residual) {
        args.dresidual = clbn_host(a[DRESIDUAL]);
        args.residual = clbn_host(a[RESIDUAL]);
    }
    return clbn_backward_training(s->plan, NULL, &args, 0, NULL, NULL);
}

/* Is every element of the array what the CPU path says? scale: what counts beside the value itself, in sizes. */
static bool is_close(const problem *p, enum array array, size_t count, size_t spread, double scale) {
    const clbn_dtype type = type_of(p, array);
    const double accuracy = p->by_cpu.plan->real_type == CLBN_F64 ? 4e-13 : 4e-6;
    for (size_t k = 0; k < count; k++) {
        const double want = get(type, p->by_cpu.arrays[array], k * spread),
                     got = get(type, p->by_device.arrays[array], k * spread);
        double off = got - want;
        if (array == MEAN)
            off += get(type, p->by_device.arrays[MEAN_LO], k) - get(type, p->by_cpu.arrays[MEAN_LO], k); /* the pair */
        const double size = array == MEAN ? scale : scale + fabs(want);
        if (!(fabs(off) <= accuracy * size + (array == MEAN ? 0 : ulp(type, want)))) return false;
    }
    return true;
}

/* The caller's own activation may be steep or not smooth: behind it nothing is promised, and the statistics are judged alone. */
static bool is_right(const problem *p) {
    const size_t all = p->elements, channels = p->dims[1], far = p->spread;
    const bool behind = p->config.activation != CLBN_CUSTOM;
    const double values = (double)(all / channels);
    if (behind && !is_close(p, Z, all, far, 8)) return false;
    return is_close(p, MEAN, channels, 1, 2) && is_close(p, VAR, channels, 1, 0) && is_close(p, INV_STD, channels, 1, 0) &&
           is_close(p, RUNNING_MEAN, channels, 1, 0) && is_close(p, RUNNING_VAR, channels, 1, 0) &&
           (!behind || (is_close(p, Y, all, far, 8) && is_close(p, DX, all, far, 8) && is_close(p, DRESIDUAL, all, far, 8) &&
                        is_close(p, DGAMMA, channels, 1, values) && is_close(p, DBETA, channels, 1, values)));
}

/* ------------------------------------------------------------------------------------------------------------ a trial */

/* Inputs are made once, and are by_cpu's; each solver has its outputs. */
static clbn_status allocate(problem *p, const clbn_device *device) {
    for (int array = 0; array < ARRAYS; array++) {
        const bool tensor = array <= DY || (array >= Y && array <= DRESIDUAL);
        size_t bytes = (tensor ? p->elements * p->spread : p->dims[1]) * sizeof(double);
        if (array == KEPT) bytes = clbn_max(p->by_cpu.plan->mask_bytes, p->by_device.plan->mask_bytes) + 1;
        p->by_cpu.arrays[array] = calloc(1, bytes);
        p->by_device.arrays[array] = array < INPUTS ? p->by_cpu.arrays[array] : calloc(1, bytes);
        CHECK(p->by_cpu.arrays[array] && p->by_device.arrays[array], device, CLBN_ERROR_OUT_OF_HOST_MEMORY,
              "no host memory for a plan's trial");
    }
    return CLBN_SUCCESS;
}

static void release(problem *p) {
    for (int array = 0; array < ARRAYS; array++) {
        if (array >= INPUTS) free(p->by_device.arrays[array]);
        free(p->by_cpu.arrays[array]);
    }
    clbn_plan_destroy(p->by_device.plan);
    clbn_plan_destroy(p->by_cpu.plan);
}

/* A plan of the CPU path has no variants, and does without the expressions of an activation that it does not judge. */
static clbn_status make_plans(problem *p, clbn_device *device, clbn_device *cpu) {
    TRY(clbn_plan_make(device, &p->config, true, &p->by_device.plan));
    clbn_config config = p->config;
    config.variant = NULL;
    if (config.activation == CLBN_CUSTOM) config.activation = CLBN_IDENTITY;
    return clbn_plan_make(cpu, &config, true, &p->by_cpu.plan);
}

static clbn_status solve(problem *p) {
    fill(p);
    TRY(forward(p, &p->by_cpu));
    avoid_kinks(p);
    TRY(backward(p, &p->by_cpu));
    TRY(forward(p, &p->by_device));
    return backward(p, &p->by_device);
}

/* While a variant is tried what stops it is a notice: the next one may do. */
static void as_notice(void *user_data, clbn_status status, cl_int native, const char *sentence) {
    const clbn_device *device = user_data;
    (void)status;
    clbn_tell(device, CLBN_SUCCESS, native, "a trial: %s", sentence);
}

/* One problem. Fails where there was no host memory for it, which says nothing of the variant. */
static clbn_status try_problem(const clbn_plan *plan, const clbn_trial *trial, unsigned which, bool *right) {
    const clbn_device *device = plan->device;
    clbn_device quiet = {.backend = device->backend, .message = as_notice, .user_data = plan->device, .info = device->info};
    clbn_device cpu = {.message = as_notice, .user_data = plan->device};
    problem p = {.elements = 0};
    quiet.state = device->state;
    atomic_init(&quiet.references, 1); /* this function's: plans come and go */
    atomic_init(&cpu.references, 1);
    TRY(clbn_cpu_device_open(&cpu, false));
    describe(&p, plan, trial, which);
    clbn_status status = make_plans(&p, &quiet, &cpu);
    if (status == CLBN_SUCCESS) status = allocate(&p, &quiet);
    if (status == CLBN_SUCCESS) status = solve(&p);
    *right = status == CLBN_SUCCESS && is_right(&p);
    release(&p);
    cpu.backend->device_close(&cpu);
    CHECK(status != CLBN_ERROR_OUT_OF_HOST_MEMORY, device, status, "no host memory to try variant %s", plan->info.variant);
    return CLBN_SUCCESS;
}

/* Is the plan's variant right on its device? Tried once a device, variant and kinds. */
static clbn_status prove(const clbn_plan *plan, bool *right) {
    const clbn_backend *backend = plan->device->backend;
    clbn_trial trial;
    *right = true;
    if (backend->trial == NULL || plan->device->skip_trials || plan->shape.elements == 0) return CLBN_SUCCESS;
    backend->trial(plan, &trial);
    if (trial.verdict == CLBN_UNTRIED) {
        for (unsigned k = 0; k < trial.problems && *right; k++) TRY(try_problem(plan, &trial, k, right));
        trial.verdict = *right ? CLBN_RIGHT : CLBN_WRONG;
        backend->remember(plan, trial.verdict);
    }
    *right = trial.verdict == CLBN_RIGHT;
    return CLBN_SUCCESS;
}

clbn_status clbn_plan_create(clbn_device *device, const clbn_config *config, clbn_plan **plan) {
    for (;;) {
        bool right = false;
        TRY(clbn_plan_make(device, config, false, plan));
        const clbn_status status = prove(*plan, &right);
        if (right && status == CLBN_SUCCESS) return CLBN_SUCCESS;
        const char *variant = (*plan)->info.variant; /* a constant of the backend's */
        clbn_plan_destroy(*plan);
        *plan = NULL;
        TRY(status);
        CHECK(config->variant == NULL, device, CLBN_ERROR_UNSUPPORTED,
              "variant %s gives wrong results on %s; its driver is %s, a known problem showed it", variant, device->info.device,
              device->info.driver);
        clbn_tell(device, CLBN_SUCCESS, 0, "variant %s gives wrong results on %s: passed by", variant, device->info.device);
    }
}
