/* SPDX-License-Identifier: Apache-2.0
 *
 * Storage: elements in global memory become reals and back, one or a vector of them, rounded once, to nearest and to even. What
 * 16 bits cannot hold becomes infinite. float16 goes by vload_half and vstore_half_rte, which are core OpenCL; where caches
 * take hints by integer arithmetic, as CPU compilers make vectors of that. bfloat16 is the upper half of a float.
 */
typedef PASTE(float, VEC) floats;
typedef PASTE(uint, VEC) uints;
typedef PASTE(ushort, VEC) ushorts;
typedef PASTE(char, VEC) chars;

#define AS_FLOATS(v)  PASTE(as_float, VEC)(v)
#define AS_UINTS(v)   PASTE(as_uint, VEC)(v)
#define TO_UINTS(v)   PASTE(convert_uint, VEC)(v)
#define TO_USHORTS(v) PASTE(convert_ushort, VEC)(v)
#define TO_FLOATS(v)  PASTE(convert_float, VEC)(v)
#define TO_VEC(v)     PASTE(PASTE(convert_, REAL), VEC)(v)

#if TAKES_HINTS
typedef float float_elements __attribute__((ext_vector_type(VEC), aligned(4)));
typedef ushort ushort_elements __attribute__((ext_vector_type(VEC), aligned(2)));
typedef char char_elements __attribute__((ext_vector_type(VEC), aligned(1)));
#define FETCH(T, p)     (*(const __global T##_elements *)(p))
#define PUT(T, v, p)    (*(__global T##_elements *)(p) = (v))
#define STREAM(T, v, p) __builtin_nontemporal_store((v), (__global PASTE(T, s) *)(p)) /* p aligned to the vector */
#else
#define FETCH(T, p)     PASTE(vload, VEC)(0, (p))
#define PUT(T, v, p)    PASTE(vstore, VEC)((v), 0, (p))
#define STREAM(T, v, p) PUT(T, v, p)
#endif

/* ------------------------------------------------------------------------------------- reals as floats that round once more */

/* A float that rounding on to 16 bits takes for the real itself: with its last bit set where it is not exact, and never further
 * from 0 (rounding to odd). Of one real and of a vector. */
#if REAL_IS_F64
#define DEFINE_NARROW(name, R, F, U, TO_F, TO_R, TO_U, AS_F, AS_U) \
    F name(const R v) {                                            \
        const F nearest = TO_F(v);                                 \
        const R back = TO_R(nearest);                              \
        const U over = TO_U(fabs(back) > fabs(v) ? (R)1 : (R)0);   \
        const U inexact = TO_U(back != v ? (R)1 : (R)0);           \
        return AS_F((AS_U(nearest) - over) | inexact);             \
    }
DEFINE_NARROW(narrow, real, float, uint, convert_float, convert_double, convert_uint, as_float, as_uint)
DEFINE_NARROW(narrow_vec, vec, floats, uints, TO_FLOATS, TO_VEC, TO_UINTS, AS_FLOATS, AS_UINTS)
#else
#define narrow(v)     (v)
#define narrow_vec(v) (v)
#endif

/* ------------------------------------------------------------------------------------------------------------- 16 bits */

/* bfloat16. A NaN keeps its upper bits and is quiet. */
#define DEFINE_BF16(name, F, U, AS_U)                                           \
    U name(const F v) {                                                         \
        const U u = AS_U(v);                                                    \
        const U rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;               \
        return (u & 0x7fffffffu) > 0x7f800000u ? ((u >> 16) | 0x40u) : rounded; \
    }
DEFINE_BF16(bf16_bits, float, uint, as_uint)
DEFINE_BF16(bf16_bits_vec, floats, uints, AS_UINTS)

#if TAKES_HINTS
/* float16 from bits: the exponent moves by a multiplication, which is exact, denormals too. */
#define DEFINE_F16(from, to, F, U, AS_F, AS_U)                                         \
    F from(const U h) {                                                                \
        const U shifted = (h & 0x7fffu) << 13;                                         \
        const U finite = AS_U(AS_F(shifted) * 0x1p112f);                               \
        const U magnitude = shifted >= 0x0f800000u ? (shifted | 0x7f800000u) : finite; \
        return AS_F(magnitude | ((h & 0x8000u) << 16));                                \
    }                                                                                  \
    U to(const F v) {                                                                  \
        const U u = AS_U(v), sign = (u >> 16) & 0x8000u, size = u & 0x7fffffffu;       \
        const U small = AS_U(AS_F(size) + 0.5f) - 0x3f000000u;                         \
        const U normal = (size - 0x38000000u + 0xfffu + ((size >> 13) & 1u)) >> 13;    \
        const U finite = size < 0x38800000u ? small : normal;                          \
        const U large = size > 0x7f800000u ? (U)0x7e00u : (U)0x7c00u;                  \
        return sign | (size >= 0x47800000u ? large : finite);                          \
    }
DEFINE_F16(f16_value, f16_bits, float, uint, as_float, as_uint)

/* Vectors where the compiler lets us at the processor's own conversions (x86): to nearest and even, the rounding they are told. */
#if defined(__has_builtin) && defined(__AVX512F__) && VEC == 16
#if __has_builtin(__builtin_ia32_vcvtph2ps512_mask) && __has_builtin(__builtin_ia32_vcvtps2ph512_mask)
#define F16_VALUES(h) as_float16(__builtin_ia32_vcvtph2ps512_mask(as_short16(h), (float16)0, (ushort)0xffff, 4))
#define F16_BITS(v)   as_ushort16(__builtin_ia32_vcvtps2ph512_mask((v), 8, (short16)0, (ushort)0xffff))
#endif
#elif defined(__has_builtin) && defined(__F16C__) && VEC >= 8
#if __has_builtin(__builtin_ia32_vcvtph2ps256) && __has_builtin(__builtin_ia32_vcvtps2ph256)
#define F16_VALUES_8(h) __builtin_ia32_vcvtph2ps256(as_short8(h))
#define F16_BITS_8(v)   as_ushort8(__builtin_ia32_vcvtps2ph256((v), 8))
#if VEC == 16
#define F16_VALUES(h) ((float16)(F16_VALUES_8((h).lo), F16_VALUES_8((h).hi)))
#define F16_BITS(v)   ((ushort16)(F16_BITS_8((v).lo), F16_BITS_8((v).hi)))
#else
#define F16_VALUES(h) F16_VALUES_8(h)
#define F16_BITS(v)   F16_BITS_8(v)
#endif
#endif
#endif
#if !defined(F16_VALUES)
DEFINE_F16(f16_value_vec, f16_bits_vec, floats, uints, AS_FLOATS, AS_UINTS)
#define F16_VALUES(h) f16_value_vec(TO_UINTS(h))
#define F16_BITS(v)   TO_USHORTS(f16_bits_vec(v))
#endif
#endif

/* ------------------------------------------------------------------------------------------------------------ by type */

typedef float f32_store;
#define f32_LOAD(p)          ((real)(*(p)))
#define f32_LOAD_VEC(p)      TO_VEC(FETCH(float, p))
#define f32_STORE(v, p)      (*(p) = (float)(v))
#define f32_STORE_VEC(v, p)  PUT(float, TO_FLOATS(v), p)
#define f32_STREAM_VEC(v, p) STREAM(float, TO_FLOATS(v), p)

typedef ushort bf16_store;
#define bf16_LOAD(p)          ((real)as_float((uint)(*(p)) << 16))
#define bf16_LOAD_VEC(p)      TO_VEC(AS_FLOATS(TO_UINTS(FETCH(ushort, p)) << 16))
#define bf16_STORE(v, p)      (*(p) = (ushort)bf16_bits(narrow(v)))
#define bf16_STORE_VEC(v, p)  PUT(ushort, TO_USHORTS(bf16_bits_vec(narrow_vec(v))), p)
#define bf16_STREAM_VEC(v, p) STREAM(ushort, TO_USHORTS(bf16_bits_vec(narrow_vec(v))), p)

#if TAKES_HINTS
typedef ushort f16_store;
#define f16_LOAD(p)          ((real)f16_value(*(p)))
#define f16_LOAD_VEC(p)      TO_VEC(F16_VALUES(FETCH(ushort, p)))
#define f16_STORE(v, p)      (*(p) = (ushort)f16_bits(narrow(v)))
#define f16_STORE_VEC(v, p)  PUT(ushort, F16_BITS(narrow_vec(v)), p)
#define f16_STREAM_VEC(v, p) STREAM(ushort, F16_BITS(narrow_vec(v)), p)
#else
typedef half f16_store;
#define f16_LOAD(p)          ((real)vload_half(0, (p)))
#define f16_LOAD_VEC(p)      TO_VEC(PASTE(vload_half, VEC)(0, (p)))
#define f16_STORE(v, p)      vstore_half_rte(narrow(v), 0, (p))
#define f16_STORE_VEC(v, p)  PASTE(PASTE(vstore_half, VEC), _rte)(narrow_vec(v), 0, (p))
#define f16_STREAM_VEC(v, p) f16_STORE_VEC(v, p)
#endif

/* The integer itself; saturated, and NaN as 0, when stored. */
typedef char i8_store;
#define NUMBER(T, v)        ((v) == (v) ? (v) : (T)0) /* what conversions make of NaN is each device's own */
#define TO_CHARS(v)         PASTE(PASTE(convert_char, VEC), _sat_rte)(NUMBER(vec, v))
#define i8_LOAD(p)          ((real)(*(p)))
#define i8_LOAD_VEC(p)      TO_VEC(FETCH(char, p))
#define i8_STORE(v, p)      (*(p) = convert_char_sat_rte(NUMBER(real, v)))
#define i8_STORE_VEC(v, p)  PUT(char, TO_CHARS(v), p)
#define i8_STREAM_VEC(v, p) STREAM(char, TO_CHARS(v), p)

#if REAL_IS_F64
typedef double f64_store;
#if TAKES_HINTS
#define f64_LOAD_VEC(p)      (*(const __global loose *)(p))
#define f64_STORE_VEC(v, p)  (*(__global loose *)(p) = (v))
#define f64_STREAM_VEC(v, p) __builtin_nontemporal_store((v), (__global vec *)(p))
#else
#define f64_LOAD_VEC(p)      PASTE(vload, VEC)(0, (p))
#define f64_STORE_VEC(v, p)  PASTE(vstore, VEC)((v), 0, (p))
#define f64_STREAM_VEC(v, p) f64_STORE_VEC(v, p)
#endif
#define f64_LOAD(p)     (*(p))
#define f64_STORE(v, p) (*(p) = (v))
#endif

typedef PASTE(X_TYPE, _store) x_store;
typedef PASTE(Y_TYPE, _store) y_store;

/* ------------------------------------------------------------------------------------------------- x and y, near or apart */

#define LOAD_X(p)     PASTE(X_TYPE, _LOAD)(p)
#define LOAD_Y(p)     PASTE(Y_TYPE, _LOAD)(p)
#define STORE_X(v, p) PASTE(X_TYPE, _STORE)(v, p)
#define STORE_Y(v, p) PASTE(Y_TYPE, _STORE)(v, p)
/* p aligned to its vector, values adjacent, and the caches left alone. */
#define STREAM_X_VEC(v, p) PASTE(X_TYPE, _STREAM_VEC)(v, p)
#define STREAM_Y_VEC(v, p) PASTE(Y_TYPE, _STREAM_VEC)(v, p)

#if STRIDED
#define DEFINE_STRIDED(T, load, store)                                            \
    vec load##_apart(const __global T##_store *p, const ulong unit) {             \
        real values[VEC];                                                         \
        for (uint j = 0; j < VEC; j++) values[j] = PASTE(T, _LOAD)(p + j * unit); \
        return LOAD_OWN(values);                                                  \
    }                                                                             \
    void store##_apart(const vec v, __global T##_store *p, const ulong unit) {    \
        real values[VEC];                                                         \
        STORE_OWN(v, values);                                                     \
        for (uint j = 0; j < VEC; j++) PASTE(T, _STORE)(values[j], p + j * unit); \
    }
#define DEFINE_STRIDED_(T, load, store) DEFINE_STRIDED(T, load, store)
DEFINE_STRIDED_(X_TYPE, load_x, store_x)
DEFINE_STRIDED_(Y_TYPE, load_y, store_y)
#define LOAD_X_VEC(p, unit)     load_x_apart(p, unit)
#define LOAD_Y_VEC(p, unit)     load_y_apart(p, unit)
#define STORE_X_VEC(v, p, unit) store_x_apart(v, p, unit)
#define STORE_Y_VEC(v, p, unit) store_y_apart(v, p, unit)
#else
#define LOAD_X_VEC(p, unit)     ((void)(unit), PASTE(X_TYPE, _LOAD_VEC)(p))
#define LOAD_Y_VEC(p, unit)     ((void)(unit), PASTE(Y_TYPE, _LOAD_VEC)(p))
#define STORE_X_VEC(v, p, unit) ((void)(unit), PASTE(X_TYPE, _STORE_VEC)(v, p))
#define STORE_Y_VEC(v, p, unit) ((void)(unit), PASTE(Y_TYPE, _STORE_VEC)(v, p))
#endif

/* Values before p reaches an address that a stream of vectors can begin at. */
#define BEFORE_ALIGNED(p) \
    (((uint)(VEC * sizeof(*(p))) - (uint)((ulong)(p) % (VEC * sizeof(*(p))))) % (uint)(VEC * sizeof(*(p))) / (uint)sizeof(*(p)))
