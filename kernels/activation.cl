/* SPDX-License-Identifier: Apache-2.0
 *
 * Activations and their gradients, for one real or a vector of them (T). At a kink the derivative is that of the lower side;
 * NaN passes; where the derivative is 0 the gradient is 0, whatever comes in. low and high are a clip's, low a leaky relu's
 * slope.
 * From here on no product and sum become one: forward and backward must see the same v, to the bit.
 */
#pragma OPENCL FP_CONTRACT OFF

#define ACTIVATION NUMBER_OF(ACT)
#define HAS_KINK   (ACTIVATION == NUMBER_relu || ACTIVATION == NUMBER_leaky_relu || ACTIVATION == NUMBER_clip)
/* Must backward compute v again? */
#define RECOMPUTES (ACTIVATION != NUMBER_identity && !MASK)

/* The side of a kink on which the derivative is not 1, and what a gradient becomes there. */
#if ACTIVATION == NUMBER_clip
#define IS_DEAD(T, v, low, high)    (((v) <= (T)(low)) | ((v) > (T)(high)))
#define DEADENED(T, dy, low)        ((T)0)
#define DEAD_VALUE(T, v, low, high) ((v) <= (T)(low) ? (T)(low) : (T)(high))
#elif ACTIVATION == NUMBER_leaky_relu
#define IS_DEAD(T, v, low, high)    ((v) <= (T)0)
#define DEADENED(T, dy, low)        ((low) == 0 ? (T)0 : (low) * (dy))
#define DEAD_VALUE(T, v, low, high) ((low) * (v))
#else
#define IS_DEAD(T, v, low, high)    ((v) <= (T)0)
#define DEADENED(T, dy, low)        ((T)0)
#define DEAD_VALUE(T, v, low, high) ((T)0)
#endif

#if HAS_KINK
#define ACTIVATE(T, v, low, high)      (IS_DEAD(T, v, low, high) ? DEAD_VALUE(T, v, low, high) : (v))
#define GRADIENT(T, dy, v, low, high)  (IS_DEAD(T, v, low, high) ? DEADENED(T, dy, low) : (dy))
#define ACTIVATE_VEC(v, low, high)     ACTIVATE(vec, v, low, high)
#define GRADIENT_VEC(dy, v, low, high) GRADIENT(vec, dy, v, low, high)
#elif ACTIVATION == NUMBER_silu
/* Its derivative: s * (1 + v * (1 - s)). */
#define DEFINE_SILU(T, value, gradient)              \
    T value(const T v) {                             \
        return v / ((T)1 + exp(-v));                 \
    }                                                \
    T gradient(const T dy, const T v) {              \
        const T s = (T)1 / ((T)1 + exp(-v));         \
        const T slope = s * ((T)1 + v * ((T)1 - s)); \
        return slope == (T)0 ? (T)0 : dy * slope;    \
    }
DEFINE_SILU(real, silu_value, silu_gradient)
DEFINE_SILU(vec, silu_value_vec, silu_gradient_vec)
#define ACTIVATE(T, v, low, high)      silu_value(v)
#define GRADIENT(T, dy, v, low, high)  silu_gradient(dy, v)
#define ACTIVATE_VEC(v, low, high)     silu_value_vec(v)
#define GRADIENT_VEC(dy, v, low, high) silu_gradient_vec(dy, v)
#elif ACTIVATION == NUMBER_custom
/* The caller's expressions, at the end of the program. */
real custom_value(const real v);
real custom_derivative(const real v);
real custom_gradient(const real dy, const real v) {
    const real slope = custom_derivative(v);
    return slope == 0 ? (real)0 : dy * slope;
}
vec custom_value_vec(const vec v) {
    real values[VEC];
    STORE_OWN(v, values);
    for (uint j = 0; j < VEC; j++) values[j] = custom_value(values[j]);
    return LOAD_OWN(values);
}
vec custom_gradient_vec(const vec dy, const vec v) {
    real values[VEC], gradients[VEC];
    STORE_OWN(v, values);
    STORE_OWN(dy, gradients);
    for (uint j = 0; j < VEC; j++) gradients[j] = custom_gradient(gradients[j], values[j]);
    return LOAD_OWN(gradients);
}
#define ACTIVATE(T, v, low, high)      custom_value(v)
#define GRADIENT(T, dy, v, low, high)  custom_gradient(dy, v)
#define ACTIVATE_VEC(v, low, high)     custom_value_vec(v)
#define GRADIENT_VEC(dy, v, low, high) custom_gradient_vec(dy, v)
#else
#define ACTIVATE(T, v, low, high)      (v)
#define GRADIENT(T, dy, v, low, high)  (dy)
#define ACTIVATE_VEC(v, low, high)     (v)
#define GRADIENT_VEC(dy, v, low, high) (dy)
#endif

/* ---------------------------------------------------------------------------------------------------------------- masks */

/* Bit j of a mask's byte k is set where element 8 * k + j of a run is on the side where the derivative is 1. A run's last byte
 * is its own. */

#if MASK
uint live_bits(const vec v, const real low, const real high) {
    real values[VEC];
    uint bits = 0;
    (void)low, (void)high; /* some kinds need them */
    STORE_OWN(v, values);
    for (uint j = 0; j < VEC; j++) bits |= (IS_DEAD(real, values[j], low, high) ? 0u : 1u) << j;
    return bits;
}

void put_mask_vec(__global uchar *mask, const uint bits) {
    for (uint j = 0; j < VEC / 8; j++) mask[j] = (uchar)(bits >> (8 * j));
}

uint get_mask_vec(const __global uchar *mask) {
    uint bits = 0;
    for (uint j = 0; j < VEC / 8; j++) bits |= (uint)mask[j] << (8 * j);
    return bits;
}

vec masked_vec(const vec dy, const uint bits, const real low) {
    real gradients[VEC];
    (void)low;
    STORE_OWN(dy, gradients);
    for (uint j = 0; j < VEC; j++) gradients[j] = (bits >> j & 1u) != 0 ? gradients[j] : DEADENED(real, gradients[j], low);
    return LOAD_OWN(gradients);
}
#endif
