// rig.h: CUDA C++ for g++ on the CPU.  What a kernel source of gpulayers finds in the language
// itself (keywords, threadIdx, barriers, warp collectives, atomics, intrinsics), each CUDA thread
// being a fiber of runtime.cc.  It is included, through a precompiled header, before the source;
// the source sees GL_RIG defined and takes the rig's functions instead of PTX.
//
// For common.cuh: rig::half_to_float(bits), float_to_half, bfloat16_to_float, float_to_bfloat16
// (also h2f, f2h, b2f, f2b); rig_dyn (dynamic shared memory); rig::ldmatrix, rig_mma, rig_bar
// (named barriers), rig::cp_async, rig_cp_commit, rig::cp_wait(groups left), rig_grid_sync (all
// blocks wait for each other); rig_yield (while a thread waits for another's word).  For hopper.cuh:
// what follows there.
#pragma once
#define GL_RIG 1
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// ---------------------------------------------------------------------------------------- keywords
// and vector types
#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __cluster_dims__(...)
#define __grid_constant__
#define __align__(n) __attribute__((aligned(n)))
#undef __restrict__
#define __restrict__ __restrict
// Static shared memory is one ELF section, filled with 0xff before each block, and swapped when
// blocks take turns.
#define __shared__ static __attribute__((section("gl_shared")))

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};
#define RIG_VECTOR(type, scalar, align2, align4)                       \
  struct alignas(align2) type##2 { scalar x, y; };                     \
  struct type##3 { scalar x, y, z; };                                  \
  struct alignas(align4) type##4 { scalar x, y, z, w; };               \
  inline type##2 make_##type##2(scalar x, scalar y) { return {x, y}; } \
  inline type##4 make_##type##4(scalar x, scalar y, scalar z, scalar w) { return {x, y, z, w}; }
RIG_VECTOR(float, float, 8, 16)
RIG_VECTOR(int, int, 8, 16)
RIG_VECTOR(short, short, 4, 8)
RIG_VECTOR(double, double, 16, 16)
RIG_VECTOR(longlong, long long, 16, 16)
RIG_VECTOR(ulonglong, unsigned long long, 16, 16)
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

// --------------------------------------------------------------------------------------------
// float16 and bfloat16
namespace rig {
template <class To, class From>
inline To bits(From from) {
  static_assert(sizeof(To) == sizeof(From), "");
  To to;
  __builtin_memcpy(&to, &from, sizeof to);
  return to;
}
inline float half_to_float(uint16_t h) {
#ifdef __F16C__
  typedef short Shorts __attribute__((vector_size(16)));
  return __builtin_ia32_vcvtph2ps(Shorts{(short)h})[0];
#else
  uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = (h >> 10) & 31, m = h & 1023;
  if (exponent == 0) return bits<float>(bits<uint32_t>((float)m * 5.9604644775390625e-8f) | sign);
  return bits<float>(
      sign | (exponent == 31 ? 0x7f800000u | (m << 13) : ((exponent + 112) << 23) | (m << 13)));
#endif
}
inline uint16_t float_to_half(
    float f) {  // to nearest even; every NaN becomes 0x7fff, as on the device
  uint32_t u = bits<uint32_t>(f), sign = (u >> 16) & 0x8000;
  u &= 0x7fffffff;
  if (u > 0x7f800000u) return 0x7fff;
#ifdef __F16C__
  typedef float Floats __attribute__((vector_size(16)));
  return (uint16_t)__builtin_ia32_vcvtps2ph(Floats{f}, 0)[0];
#else
  if (u >= 0x477ff000u) return (uint16_t)(sign | 0x7c00);
  if (u < 0x38800000u) return (uint16_t)(sign | (uint32_t)nearbyintf(bits<float>(u) * 16777216.0f));
  u -= 0x38000000u;
  u += 0xfff + ((u >> 13) & 1);
  return (uint16_t)(sign | (u >> 13));
#endif
}
inline float bfloat16_to_float(uint16_t b) { return bits<float>((uint32_t)b << 16); }
inline uint16_t float_to_bfloat16(float f) {
  uint32_t u = bits<uint32_t>(f);
  if ((u & 0x7fffffff) > 0x7f800000u) return 0x7fff;
  return (uint16_t)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}
inline float h2f(uint16_t h) { return half_to_float(h); }
inline uint16_t f2h(float f) { return float_to_half(f); }
inline float b2f(uint16_t b) { return bfloat16_to_float(b); }
inline uint16_t f2b(float f) { return float_to_bfloat16(f); }

// ------------------------------------------------------------------------- the runtime's face
// (runtime.cc, never sanitized)
enum WOp {
  W_SYNC,
  W_SHFL,
  W_SHFL_UP,
  W_SHFL_DOWN,
  W_SHFL_XOR,
  W_BALLOT,
  W_MATCH,
  W_LDM,
  W_LDMT,
  W_MMA_F16,
  W_MMA_BF16,
  W_MMA_TF32,
  W_MMA_F16K8,
  W_WGMMA,
  W_WGMMA_FENCE,
  W_WGMMA_WAIT
};
struct Launch {  // C layout, filled from Python: see launching.py
  uint32_t grid[3], block[3];
  uint64_t shared;
  void** args;
  int32_t order, block_order;
  uint32_t seed, resident;  // resident: how many blocks fit on the device at once
  int32_t seconds, err_size;
  char* err;
  uint64_t switches, barriers, collectives;
  unsigned char* statics;  // The static shared memory of the source.
  uint64_t statics_size, cluster;  // cluster: how many neighbours along x
};
struct Ctx {
  uint3 tid;
};
}  // namespace rig
// All sources share one runtime, a library of its own.
#pragma GCC visibility push(default)
extern "C" {
extern rig::Ctx* rig_cur;
extern uint3 rig_bid;
extern dim3 rig_grid, rig_block;
extern unsigned char* rig_dyn;
int rig_run(rig::Launch*, void (*body)(void*), void* arg);
void rig_sync(const char* file, int line);
int rig_sync_count(int predicate, const char* file, int line);
void rig_bar(int id, int n, const char* file, int line);
void rig_grid_sync(const char* file, int line);
void rig_yield(const char* file, int line);
uint64_t rig_warp(int op, unsigned mask, uint64_t value, int arg, int width, const char* file,
                  int line);
void rig_ldm(int op, int n, const unsigned char* row, uint32_t* r, const char* file, int line);
void rig_mma(int op, float* d, const uint32_t* a, int na, const uint32_t* b, int nb,
             const char* file, int line);
void rig_cp_add(void* d, const void* s, int n, int src_n, const char* file, int line);
void rig_cp_commit(void);
int rig_cp_eager(void);
int rig_cp_next(int keep, void** d, const void** s, int* n,
                int* src_n);  // a copy that waiting for all but `keep` groups does
// For hopper.cuh
void rig_bar_arrive(int id, int n, const char* file, int line);
uint32_t rig_shared_address(const void* p);
void rig_mbarrier_init(void* bar, uint32_t arrivals, const char* file, int line);
void rig_mbarrier_arrive(void* bar, uint32_t bytes, const char* file, int line);
void rig_mbarrier_copies(void* bar, const char* file, int line);
void rig_mbarrier_wait(void* bar, uint32_t parity, const char* file, int line);
void rig_tma_load(void* to, const void* map, void* bar, const int* at, int rank, const char* file,
                  int line);
void rig_bulk_load(void* to, const void* from, uint32_t bytes, void* bar, const char* file,
                   int line);
void rig_wgmma(int kind, int n, int across_a, int across_b, float* d, const uint32_t* a,
               uint64_t first, uint64_t second, int add, const char* file, int line);
void rig_wgmma_fence(const char* file, int line);
void rig_wgmma_commit(const char* file, int line);
void rig_wgmma_wait(int keep, const char* file, int line);
int rig_cluster_rank(void);
void rig_cluster_arrive(const char* file, int line);
void rig_cluster_wait(const char* file, int line);
void* rig_at_rank(void* p, int rank);
[[noreturn]] void rig_fail(const char* msg, const char* file, int line);
}
#pragma GCC visibility pop
extern "C" {  // Where the section of static shared memory begins and ends, from the linker.
extern unsigned char __start_gl_shared[] __attribute__((weak, visibility("hidden")));
extern unsigned char __stop_gl_shared[] __attribute__((weak, visibility("hidden")));
}

namespace rig {
template <class T>
inline T shfl(int op, const char* file, int line, unsigned mask, T v, int a, int width = 32) {
  static_assert(sizeof(T) <= 8, "a shuffle of at most 8 bytes");
  uint64_t u = 0;
  __builtin_memcpy(&u, &v, sizeof v);
  u = rig_warp(op, mask, u, a, width, file, line);
  __builtin_memcpy(&v, &u, sizeof v);
  return v;
}
inline void syncwarp(const char* file, int line, unsigned mask = 0xffffffffu) {
  rig_warp(W_SYNC, mask, 0, 0, 32, file, line);
}
inline unsigned ballot(unsigned mask, bool p, const char* file, int line) {
  return (unsigned)rig_warp(W_BALLOT, mask, p, 0, 32, file, line);
}
template <class T>
inline unsigned match(const char* file, int line, unsigned mask, T v) {
  uint64_t u = 0;
  __builtin_memcpy(&u, &v, sizeof v);
  return (unsigned)rig_warp(W_MATCH, mask, u, 0, 32, file, line);
}
template <class T, class F>
inline T reduce(const char* file, int line, unsigned mask, T v, F f) {
  for (int o = 16; o; o >>= 1) v = f(v, shfl(W_SHFL_XOR, file, line, mask, v, o));
  return v;
}
inline unsigned linear_thread() {
  return rig_cur->tid.x + rig_block.x * (rig_cur->tid.y + rig_block.y * rig_cur->tid.z);
}
inline void ldmatrix(uint32_t* r, int n, const void* p, bool trans, const char* file, int line) {
  alignas(16) unsigned char row[16];
  if ((int)(linear_thread() & 31) < n * 8) {
    if ((uintptr_t)p & 15) rig_fail("ldmatrix: row address not 16-byte aligned", file, line);
    for (int i = 0; i < 4; i++) ((uint32_t*)row)[i] = ((const uint32_t*)p)[i];
  }
  rig_ldm(trans ? W_LDMT : W_LDM, n, row, r, file, line);
}
// Word by word, so that the sanitizers see each access; n and src_n are multiples of 4.
inline void cp_do(void* d, const void* s, int n, int src_n) {
  for (int i = 0; i < n / 4; i++) ((uint32_t*)d)[i] = 4 * i < src_n ? ((const uint32_t*)s)[i] : 0u;
}
inline void cp_async(void* d, const void* s, int n, int src_n, const char* file, int line) {
  if (((uintptr_t)d | (uintptr_t)s) % n) rig_fail("cp.async: address not aligned", file, line);
  if (rig_cp_eager()) cp_do(d, s, n, src_n);
  else rig_cp_add(d, s, n, src_n, file, line);
}
inline void cp_wait(int keep) {
  void* d;
  const void* s;
  int n, src_n;
  while (rig_cp_next(keep, &d, &s, &n, &src_n)) cp_do(d, s, n, src_n);
}
template <class... At>
inline void tma_load(void* to, const void* map, void* bar, const char* file, int line, At... at) {
  const int all[] = {at...};
  rig_tma_load(to, map, bar, all, (int)sizeof...(At), file, line);
}
template <class T>
struct is_pointer {
  static constexpr bool value = false;
};
template <class T>
struct is_pointer<T*> {
  static constexpr bool value = true;
};
template <size_t... I>
struct Places {};
template <size_t N, size_t... I>
struct Count : Count<N - 1, N - 1, I...> {};
template <size_t... I>
struct Count<0, I...> {
  typedef Places<I...> type;
};
template <class T>
struct plain {
  typedef T type;
};
template <class T>
struct plain<const T> {
  typedef T type;
};
template <class T>  // From bytes that need not be aligned as T is.
inline T read(const void* p) {
  T value;
  __builtin_memcpy(&value, p, sizeof value);
  return value;
}
template <class... A>
struct Bound {
  void (*kernel)(A...);
  void** args;
  template <size_t... I>
  void call(Places<I...>) {
    kernel(read<typename plain<A>::type>(args[I])...);
  }
  static void go(void* p) { ((Bound*)p)->call(typename Count<sizeof...(A)>::type()); }
};
template <class... A>
inline int launch(void (*kernel)(A...), Launch* l, unsigned cluster) {
  Bound<A...> bound{kernel, l->args};
  l->statics = __start_gl_shared;
  l->statics_size = l->statics ? __stop_gl_shared - __start_gl_shared : 0;
  l->cluster = cluster;
  return rig_run(l, &Bound<A...>::go, &bound);
}
// The size in bytes of each parameter, negative for pointers; gives their number.
template <class... A>
inline int signature(void (*)(A...), int* sizes) {
  int n = 0;
  int all[] = {(int)(is_pointer<A>::value ? -(int)sizeof(A) : (int)sizeof(A))..., 0};
  for (; n < (int)sizeof...(A); n++) sizes[n] = all[n];
  return n;
}
template <class T>
struct Word {
  typedef uint32_t type;
};
template <size_t N>
struct WordOf {
  typedef uint32_t type;
};
template <>
struct WordOf<8> {
  typedef uint64_t type;
};
template <>
struct WordOf<2> {
  typedef uint16_t type;
};
template <class T, class F>
inline T atomic(T* p, F f) {
  typedef typename WordOf<sizeof(T)>::type U;
  if ((uintptr_t)p % sizeof(T)) rig_fail("atomic: address not aligned", "", 0);
  U* q = reinterpret_cast<U*>(p);
  U old = __atomic_load_n(q, __ATOMIC_RELAXED), next;
  T t;
  do {
    __builtin_memcpy(&t, &old, sizeof t);
    T made = f(t);
    __builtin_memcpy(&next, &made, sizeof made);
  } while (!__atomic_compare_exchange_n(q, &old, next, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return t;
}
template <class T>
struct same {
  typedef T type;
};
template <class T>
using same_t = typename same<T>::type;
}  // namespace rig
#define RIG_EXPORT(name, cluster)                                                           \
  extern "C" __attribute__((visibility("default"))) int rig_launch_##name(rig::Launch* l) { \
    return rig::launch(&name, l, cluster);                                                  \
  }                                                                                         \
  extern "C" __attribute__((visibility("default"))) int rig_signature_##name(int* sizes) {  \
    return rig::signature(&name, sizes);                                                    \
  }

#include "intrinsics.h"
