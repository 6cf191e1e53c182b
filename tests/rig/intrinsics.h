// intrinsics.h: the built-in variables and functions of CUDA C++ that kernels use, for rig.h.
// Approximate device functions
// (__expf, rsqrtf, ...) are exact ones here: tolerances are for the device.
#pragma once
#define threadIdx (rig_cur->tid)
#define blockIdx rig_bid
#define blockDim rig_block
#define gridDim rig_grid
#define warpSize 32

// Barriers and collectives: each knows the line that it stands on.
#define __syncthreads() rig_sync(__FILE__, __LINE__)
#define __syncthreads_count(p) rig_sync_count((p) != 0, __FILE__, __LINE__)
#define __syncthreads_or(p) (rig_sync_count((p) != 0, __FILE__, __LINE__) != 0)
#define __syncthreads_and(p) (rig_sync_count((p) == 0, __FILE__, __LINE__) == 0)
#define __syncwarp(...) rig::syncwarp(__FILE__, __LINE__ __VA_OPT__(, ) __VA_ARGS__)
#define __shfl_sync(...) rig::shfl(rig::W_SHFL, __FILE__, __LINE__, __VA_ARGS__)
#define __shfl_up_sync(...) rig::shfl(rig::W_SHFL_UP, __FILE__, __LINE__, __VA_ARGS__)
#define __shfl_down_sync(...) rig::shfl(rig::W_SHFL_DOWN, __FILE__, __LINE__, __VA_ARGS__)
#define __shfl_xor_sync(...) rig::shfl(rig::W_SHFL_XOR, __FILE__, __LINE__, __VA_ARGS__)
#define __ballot_sync(m, p) rig::ballot(m, (p) != 0, __FILE__, __LINE__)
#define __any_sync(m, p) (rig::ballot(m, (p) != 0, __FILE__, __LINE__) != 0)
#define __all_sync(m, p) (rig::ballot(m, (p) != 0, __FILE__, __LINE__) == (unsigned)(m))
#define __match_any_sync(m, v) rig::match(__FILE__, __LINE__, m, v)
#define __reduce_add_sync(m, v) \
  rig::reduce(__FILE__, __LINE__, m, v, [](auto a, auto b) { return a + b; })
#define __reduce_max_sync(m, v) \
  rig::reduce(__FILE__, __LINE__, m, v, [](auto a, auto b) { return a > b ? a : b; })
#define __reduce_min_sync(m, v) \
  rig::reduce(__FILE__, __LINE__, m, v, [](auto a, auto b) { return a < b ? a : b; })
#define __nanosleep(n) \
  rig_yield(__FILE__, __LINE__)  // A loop that waits for another thread's word must sleep in it.
#define __trap() rig_fail("__trap", __FILE__, __LINE__)
inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_block() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_system() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

// Loads and stores with cache hints
template <class T>
inline T __ldg(const T* p) {
  return *p;
}
template <class T>
inline T __ldcs(const T* p) {
  return *p;
}
template <class T>
inline T __ldcg(const T* p) {
  return *p;
}
template <class T>
inline T __ldca(const T* p) {
  return *p;
}
template <class T>
inline T __ldlu(const T* p) {
  return *p;
}
template <class T>
inline T __ldcv(const T* p) {
  return *(const volatile T*)p;
}
template <class T>
inline void __stcs(T* p, rig::same_t<T> v) {
  *p = v;
}
template <class T>
inline void __stcg(T* p, rig::same_t<T> v) {
  *p = v;
}
template <class T>
inline void __stwb(T* p, rig::same_t<T> v) {
  *p = v;
}
template <class T>
inline void __stwt(T* p, rig::same_t<T> v) {
  *p = v;
}

// Integers and bits
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)(((uint64_t)a * b) >> 32); }
inline int __mulhi(int a, int b) { return (int)(((int64_t)a * b) >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return (unsigned long long)(((unsigned __int128)a * b) >> 64);
}
inline long long __mul64hi(long long a, long long b) {
  return (long long)(((__int128)a * b) >> 64);
}
inline unsigned __brev(unsigned x) {
  x = (x >> 1 & 0x55555555u) | (x & 0x55555555u) << 1;
  x = (x >> 2 & 0x33333333u) | (x & 0x33333333u) << 2;
  x = (x >> 4 & 0x0f0f0f0fu) | (x & 0x0f0f0f0fu) << 4;
  return __builtin_bswap32(x);
}
inline unsigned __funnelshift_l(unsigned lo, unsigned hi, unsigned n) {
  return (unsigned)((((uint64_t)hi << 32 | lo) << (n & 31)) >> 32);
}
inline unsigned __funnelshift_r(unsigned lo, unsigned hi, unsigned n) {
  return (unsigned)(((uint64_t)hi << 32 | lo) >> (n & 31));
}
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned s) {
  uint64_t both = (uint64_t)b << 32 | a;
  unsigned r = 0;
  for (int i = 0; i < 4; i++) {
    unsigned byte = (unsigned)(both >> (8 * (s >> (4 * i) & 7))) & 255;
    r |= (s >> (4 * i) & 8 ? (byte & 128 ? 255u : 0u) : byte) << (8 * i);
  }
  return r;
}
inline int __float_as_int(float f) { return rig::bits<int>(f); }
inline float __int_as_float(int i) { return rig::bits<float>(i); }
inline unsigned __float_as_uint(float f) { return rig::bits<unsigned>(f); }
inline float __uint_as_float(unsigned i) { return rig::bits<float>(i); }
inline long long __double_as_longlong(double d) { return rig::bits<long long>(d); }
inline double __longlong_as_double(long long i) { return rig::bits<double>(i); }
inline int __float2int_rn(float x) { return (int)nearbyintf(x); }
inline int __float2int_rd(float x) { return (int)floorf(x); }
inline int __float2int_ru(float x) { return (int)ceilf(x); }
inline int __float2int_rz(float x) { return (int)x; }
inline unsigned __float2uint_rn(float x) { return (unsigned)nearbyintf(x); }
inline float __int2float_rn(int x) { return (float)x; }
inline float __uint2float_rn(unsigned x) { return (float)x; }
inline float __ull2float_rn(unsigned long long x) { return (float)x; }
inline double __ull2double_rn(unsigned long long x) { return (double)x; }

// Floating point
inline float __expf(float x) { return expf(x); }
inline float __exp10f(float x) { return powf(10.0f, x); }
inline float __logf(float x) { return logf(x); }
inline float __log2f(float x) { return log2f(x); }
inline float __log10f(float x) { return log10f(x); }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }
inline float __tanf(float x) { return tanf(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __fdividef(float a, float b) { return a / b; }
inline float fdividef(float a, float b) { return a / b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float __frcp_rn(float a) { return 1.0f / a; }
inline float __fsqrt_rn(float a) { return sqrtf(a); }
inline float __frsqrt_rn(float a) { return 1.0f / sqrtf(a); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __dsqrt_rn(double a) { return sqrt(a); }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }
inline float rcbrtf(float x) { return 1.0f / cbrtf(x); }
inline float normcdff(float x) { return 0.5f * erfcf(-x * 0.70710678f); }
inline double normcdf(double x) { return 0.5 * erfc(-x * 0.70710678118654752); }
inline float __saturatef(float x) { return x < 0 ? 0 : x > 1 ? 1 : x; }
inline void sincospif(float x, float* s, float* c) {
  *s = sinf(3.14159265f * x);
  *c = cosf(3.14159265f * x);
}
// min and max, with CUDA's mixture of types
#define RIG_MIN_MAX(T)                             \
  inline T max(T a, T b) { return a > b ? a : b; } \
  inline T min(T a, T b) { return a < b ? a : b; }
RIG_MIN_MAX(int)
RIG_MIN_MAX(unsigned)
RIG_MIN_MAX(long)
RIG_MIN_MAX(unsigned long)
RIG_MIN_MAX(long long)
RIG_MIN_MAX(unsigned long long)
inline float max(float a, float b) { return fmaxf(a, b); }
inline float min(float a, float b) { return fminf(a, b); }
inline double max(double a, double b) { return fmax(a, b); }
inline double min(double a, double b) { return fmin(a, b); }

// Atomics
#define RIG_ATOMIC(name, value)                             \
  template <class T>                                        \
  inline T name(T* p, rig::same_t<T> v) {                   \
    return rig::atomic(p, [=](T a) -> T { return value; }); \
  }
RIG_ATOMIC(atomicAdd, a + v)
RIG_ATOMIC(atomicSub, a - v)
RIG_ATOMIC(atomicMax, a > v ? a : v)
RIG_ATOMIC(atomicMin, a < v ? a : v)
RIG_ATOMIC(atomicAnd, a& v)
RIG_ATOMIC(atomicOr, a | v)
RIG_ATOMIC(atomicXor, a ^ v)
RIG_ATOMIC(atomicExch, ((void)a, v))
RIG_ATOMIC(atomicInc, a >= v ? 0 : a + 1)
RIG_ATOMIC(atomicDec, a == 0 || a > v ? v : a - 1)
template <class T>
inline T atomicCAS(T* p, rig::same_t<T> expected, rig::same_t<T> v) {
  return rig::atomic(p, [=](T a) -> T { return a == expected ? v : a; });
}
