// What every kernel source includes: 16-bit floats, vectors of 16 bytes, sums and maxima of warps and blocks, mathematics,
// random bits, and hardware instructions.  No header of CUDA is needed: NVRTC alone compiles this.
//
// Three compilers read it: NVRTC for a GPU (__CUDA_ARCH__ is defined), g++ with tests/rig/rig.h for the CPU (GL_RIG is
// defined; PTX is replaced), and any other CUDA compiler's host pass, which only has to parse it.
//
// Sources see, after this file: a typedef for each constant that is a dtype (T: how elements are stored), A (what is computed
// in: double for double, else float), and a macro for each other constant.  So templates may call their own parameters T.
#pragma once
#ifdef GL_RIG
#define GL_DEVICE inline
#else
#define GL_DEVICE __device__ __forceinline__
#endif

typedef unsigned char uint8;
typedef unsigned short uint16;
typedef unsigned int uint32;
typedef unsigned long long uint64;
struct half { uint16 bits; };
struct bfloat16 { uint16 bits; };

namespace gl {
// ------------------------------------------------------------------------------------------------------------ element types
// to<A>(x): an element as a number to compute with.  from<T>(a): a number as an element, rounded to the nearest, ties to even;
// NaN stays NaN, and what is too large for a half becomes infinite.
template <class T> struct AccumulatorOf { typedef float type; };
template <> struct AccumulatorOf<double> { typedef double type; };
template <class T> using Accumulator = typename AccumulatorOf<T>::type;

GL_DEVICE float half_to_float(uint16 bits) {
#if defined(GL_RIG)
  return rig::half_to_float(bits);
#else
  float f = 0;
#if defined(__CUDA_ARCH__)
  asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(bits));
#endif
  return f;
#endif
}
GL_DEVICE uint16 float_to_half(float f) {
#if defined(GL_RIG)
  return rig::float_to_half(f);
#else
  uint16 bits = 0;
#if defined(__CUDA_ARCH__)
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(f));
#endif
  return bits;
#endif
}
GL_DEVICE uint16 float_to_bfloat16(float f) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  uint16 bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(f));
  return bits;
#else
  uint32 u = __float_as_uint(f);
  if ((u & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
  return (uint16)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
#endif
}
template <class A, class T> GL_DEVICE A to(T x) { return (A)x; }
template <class A> GL_DEVICE A to(half x) { return (A)half_to_float(x.bits); }
template <class A> GL_DEVICE A to(bfloat16 x) { return (A)__uint_as_float((uint32)x.bits << 16); }
template <class T> struct From { template <class A> static GL_DEVICE T of(A a) { return (T)a; } };
template <> struct From<half> { static GL_DEVICE half of(float a) { half x; x.bits = float_to_half(a); return x; } };
template <> struct From<bfloat16> { static GL_DEVICE bfloat16 of(float a) { bfloat16 x; x.bits = float_to_bfloat16(a); return x; } };
template <class T, class A> GL_DEVICE T from(A a) { return From<T>::of(a); }

// Two numbers as two 16-bit elements in one register, the first in the low half.
template <class T> GL_DEVICE uint32 pack2(float a, float b);
template <> GL_DEVICE uint32 pack2<half>(float a, float b) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  uint32 r;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(b), "f"(a));
  return r;
#else
  return float_to_half(a) | (uint32)float_to_half(b) << 16;
#endif
}
template <> GL_DEVICE uint32 pack2<bfloat16>(float a, float b) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  uint32 r;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(b), "f"(a));
  return r;
#else
  return float_to_bfloat16(a) | (uint32)float_to_bfloat16(b) << 16;
#endif
}

// ---------------------------------------------------------------------------------------------------------------- vectors
// 16 bytes of elements, moved by one instruction where the array is aligned.
template <class T> struct __align__(16) Vector {
  static constexpr int size = 16 / sizeof(T);
  T at[size];
};

// Whether all these arrays may be moved by vectors (NULL may stand among them).
GL_DEVICE bool aligned(const void* a, const void* b = 0, const void* c = 0, const void* d = 0) {
  return (((uint64)a | (uint64)b | (uint64)c | (uint64)d) & 15) == 0;
}
// Elements `first` ... of an array of `count`; zeros after its end.  `whole` says that the array is aligned.
template <class T> GL_DEVICE Vector<T> load(const T* x, long long first, long long count, bool whole) {
  Vector<T> v;
  if (whole && first + Vector<T>::size <= count) {
    *(uint4*)&v = *(const uint4*)(x + first);
  } else {
#pragma unroll
    for (int i = 0; i < Vector<T>::size; i++) v.at[i] = first + i < count ? x[first + i] : T();
  }
  return v;
}
template <class T> GL_DEVICE void store(T* x, long long first, long long count, bool whole, Vector<T> v) {
  if (whole && first + Vector<T>::size <= count) {
    *(uint4*)(x + first) = *(uint4*)&v;
  } else {
#pragma unroll
    for (int i = 0; i < Vector<T>::size; i++)
      if (first + i < count) x[first + i] = v.at[i];
  }
}
// Numbers (as many as a vector holds) as a vector of elements.
template <class T, class A> GL_DEVICE Vector<T> packed(const A* a) {
  Vector<T> v;
#pragma unroll
  for (int i = 0; i < Vector<T>::size; i++) v.at[i] = from<T>(a[i]);
  return v;
}
template <> GL_DEVICE Vector<half> packed<half, float>(const float* a) {
  Vector<half> v;
#pragma unroll
  for (int i = 0; i < 8; i += 2) *(uint32*)&v.at[i] = pack2<half>(a[i], a[i + 1]);
  return v;
}
template <> GL_DEVICE Vector<bfloat16> packed<bfloat16, float>(const float* a) {
  Vector<bfloat16> v;
#pragma unroll
  for (int i = 0; i < 8; i += 2) *(uint32*)&v.at[i] = pack2<bfloat16>(a[i], a[i + 1]);
  return v;
}

// Elements first ... first + N - 1 of an array, as far as they lie in its part [start, end): a row that may begin and end between
// vectors.  The others are zeros, and are not read.  N is 1 or what a vector holds; `first` is a multiple of it.
template <int N, class T> GL_DEVICE Vector<T> load_within(const T* x, long long first, long long start, long long end, bool whole) {
  Vector<T> v;
  if (N > 1 && whole && first >= start && first + N <= end) {
    *(uint4*)&v = *(const uint4*)(x + first);
  } else {
#pragma unroll
    for (int i = 0; i < N; i++) v.at[i] = first + i >= start && first + i < end ? x[first + i] : T();
  }
  return v;
}
// The first N of these numbers to where load_within reads.
template <int N, class T, class A>
GL_DEVICE void store_within(T* x, long long first, long long start, long long end, bool whole, const A* a) {
  if (N > 1 && whole && first >= start && first + N <= end) {
    Vector<T> v = packed<T>(a);
    *(uint4*)(x + first) = *(uint4*)&v;
  } else {
#pragma unroll
    for (int i = 0; i < N; i++)
      if (first + i >= start && first + i < end) x[first + i] = from<T>(a[i]);
  }
}

// i / n and the remainder, of numbers from 0 on; quickly where they fit 32 bits.
GL_DEVICE long long divided(long long i, long long n, long long* rest) {
  if ((i | n) <= 0xffffffffll) {
    const uint32 quotient = (uint32)i / (uint32)n;
    *rest = (uint32)i - quotient * (uint32)n;
    return quotient;
  }
  const long long quotient = i / n;
  *rest = i - quotient * n;
  return quotient;
}
// An index modulo `size`: of an index below 0 or from `size` on too, as CuPy's own indexing takes it.
GL_DEVICE long long wrapped(long long id, long long size) {
  if ((uint64)id < (uint64)size) return id;
  id %= size;
  return id < 0 ? id + size : id;
}
// The remainder of an offset, quickly where it fits 32 bits.
GL_DEVICE int remainder(long long i, int n) {
  return i <= 0xffffffffll ? (int)((uint32)i % (uint32)n) : (int)(i % n);
}

// ------------------------------------------------------------------------------------------------- sums, maxima, minima
// Every lane or thread gets the result.  The order of additions is fixed, so the same numbers give the same bits.
// `shared` holds 32 numbers (a __shared__ array) and may be used again after the call; blocks are whole warps.
GL_DEVICE float infinity() { return __uint_as_float(0x7f800000u); }
struct Sum {
  template <class A> static GL_DEVICE A of(A a, A b) { return a + b; }
  template <class A> static GL_DEVICE A empty() { return A(0); }
};
struct Max {  // NaN wins, as in NumPy.
  template <class A> static GL_DEVICE A of(A a, A b) { return a > b || a != a ? a : b; }
  template <class A> static GL_DEVICE A empty() { return -infinity(); }
};
struct Min {
  template <class A> static GL_DEVICE A of(A a, A b) { return a < b || a != a ? a : b; }
  template <class A> static GL_DEVICE A empty() { return infinity(); }
};
// Over groups of LANES neighbours: a power of two, up to 32.  All 32 lanes of the warp must come here.
template <class Reduction, int LANES = 32, class A> GL_DEVICE A warp_reduce(A a) {
#pragma unroll
  for (int lane = LANES / 2; lane; lane >>= 1) a = Reduction::of(a, __shfl_xor_sync(0xffffffffu, a, lane));
  return a;
}
template <class Reduction, class A> GL_DEVICE A block_reduce(A a, A* shared) {
  const int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const int warps = blockDim.x * blockDim.y * blockDim.z / 32, lane = thread % 32;
  a = warp_reduce<Reduction>(a);
  if (lane == 0) shared[thread / 32] = a;
  __syncthreads();
  a = warp_reduce<Reduction>(lane < warps ? shared[lane] : Reduction::template empty<A>());
  __syncthreads();
  return a;
}
template <int LANES = 32, class A> GL_DEVICE A warp_sum(A a) { return warp_reduce<Sum, LANES>(a); }
template <int LANES = 32, class A> GL_DEVICE A warp_max(A a) { return warp_reduce<Max, LANES>(a); }
template <int LANES = 32, class A> GL_DEVICE A warp_min(A a) { return warp_reduce<Min, LANES>(a); }
template <class A> GL_DEVICE A block_sum(A a, A* shared) { return block_reduce<Sum>(a, shared); }
template <class A> GL_DEVICE A block_max(A a, A* shared) { return block_reduce<Max>(a, shared); }
template <class A> GL_DEVICE A block_min(A a, A* shared) { return block_reduce<Min>(a, shared); }

// ------------------------------------------------------------------------------------------------------------ mathematics
// By the type of the argument: right to a few units in the last place.
GL_DEVICE float exp(float x) { return expf(x); }
GL_DEVICE double exp(double x) { return ::exp(x); }
GL_DEVICE float expm1(float x) { return expm1f(x); }
GL_DEVICE double expm1(double x) { return ::expm1(x); }
GL_DEVICE float log(float x) { return logf(x); }
GL_DEVICE double log(double x) { return ::log(x); }
GL_DEVICE float log1p(float x) { return log1pf(x); }
GL_DEVICE double log1p(double x) { return ::log1p(x); }
GL_DEVICE float tanh(float x) { return tanhf(x); }
GL_DEVICE double tanh(double x) { return ::tanh(x); }
GL_DEVICE float erf(float x) { return erff(x); }
GL_DEVICE double erf(double x) { return ::erf(x); }
GL_DEVICE float sqrt(float x) { return sqrtf(x); }
GL_DEVICE double sqrt(double x) { return ::sqrt(x); }
GL_DEVICE float rsqrt(float x) { return 1.0f / sqrtf(x); }
GL_DEVICE double rsqrt(double x) { return 1.0 / ::sqrt(x); }
GL_DEVICE float pow(float x, float y) { return powf(x, y); }
GL_DEVICE double pow(double x, double y) { return ::pow(x, y); }
GL_DEVICE float abs(float x) { return fabsf(x); }
GL_DEVICE double abs(double x) { return ::fabs(x); }
template <class A> GL_DEVICE A max(A a, A b) { return a > b ? a : b; }  // Gives b if one is NaN.
template <class A> GL_DEVICE A min(A a, A b) { return a < b ? a : b; }
template <class A> GL_DEVICE A clip(A x, A low, A high) { return x < low ? low : x > high ? high : x; }  // NaN stays.

// For results that are stored in 16 bits: a few instructions each, relative errors below 1e-6.
GL_DEVICE float fast_exp(float x) { return __expf(x); }
GL_DEVICE float fast_exp2(float x) { return exp2f(x); }  // One instruction, as CuPy compiles with -ftz=true.
GL_DEVICE float fast_log(float x) { return __logf(x); }
GL_DEVICE float fast_divide(float a, float b) { return __fdividef(a, b); }  // 0 for 2**126 < b.

// What is exact enough for results that are stored as T.
template <class T, class A> GL_DEVICE A exp_for(A x) { return sizeof(T) == 2 ? (A)fast_exp(x) : exp(x); }
template <class T, class A> GL_DEVICE A log_for(A x) { return sizeof(T) == 2 ? (A)fast_log(x) : log(x); }

// The sum of exponentials of numbers that come one after the other, read once: sum * exp(shift()).  Minus infinity adds nothing; NaN
// and infinity make the sum NaN, as in x - max(x).  T is how results are stored.
template <class T> struct Exponentials {
  typedef Accumulator<T> A;
  A max, sum;
  GL_DEVICE Exponentials() : max(-infinity()), sum(0) {}
  GL_DEVICE A shift() const { return max == -infinity() ? A(0) : max; }
  // Makes room for numbers up to `top`, before they are added; the factor by which all sums change.
  GL_DEVICE A raise(A top) {
    if (!(top > max)) return 1;
    const A factor = exp_for<T>(max - top);
    max = top;
    sum *= factor;
    return factor;
  }
  template <int N> GL_DEVICE void add(const A* a) {
    A top = a[0];
#pragma unroll
    for (int i = 1; i < N; i++) top = gl::max(a[i], top);
    raise(top);
    const A by = shift();
#pragma unroll
    for (int i = 0; i < N; i++) sum += exp_for<T>(a[i] - by);
  }
};
// That of all threads of a group: LANES neighbours, or the block for 0.
template <int LANES, class T> GL_DEVICE Exponentials<T> together(Exponentials<T> mine, Accumulator<T>* shared) {
  typedef Accumulator<T> A;
  Exponentials<T> all;
  all.max = LANES ? warp_reduce<Max, LANES ? LANES : 32>(mine.max) : block_reduce<Max>(mine.max, shared);
  const A part = mine.sum * exp_for<T>(mine.max - all.shift());
  all.sum = LANES ? warp_reduce<Sum, LANES ? LANES : 32>(part) : block_reduce<Sum>(part, shared);
  return all;
}

// ------------------------------------------------------------------------------------------------------------ random bits
// Philox4x64-10, as gpulayers/arrays/philox.py says: the four words 4 i ... 4 i + 3 of the stream (seed, counter).
GL_DEVICE void multiply(uint64 a, uint64 b, uint64* high, uint64* low) {
  // By hand, as the compiler would compute the two halves apart, with twice the products.
  const uint64 a0 = (uint32)a, a1 = a >> 32, b0 = (uint32)b, b1 = b >> 32;
  const uint64 first = a0 * b0;
  const uint64 second = a1 * b0 + (first >> 32);
  const uint64 third = a0 * b1 + (uint32)second;
  *high = a1 * b1 + (second >> 32) + (third >> 32);
  *low = third << 32 | (uint32)first;
}
GL_DEVICE void philox(uint64 seed, uint64 counter, uint64 i, uint64* words) {
  uint64 c0 = i + 1, c1 = 0, c2 = counter, c3 = 0, k0 = seed, k1 = 0, high0, low0, high1, low1;
#pragma unroll
  for (int round = 0; round < 10; round++) {
    multiply(0xD2E7470EE14C6C93ull, c0, &high0, &low0);
    multiply(0xCA5A826395121157ull, c2, &high1, &low1);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 += 0x9E3779B97F4A7C15ull;
    k1 += 0xBB67AE8584CAA73Bull;
  }
  words[0] = c0, words[1] = c1, words[2] = c2, words[3] = c3;
}
// Whether dropout keeps the elements 16 i ... 16 i + 15: bit j says it of 16 i + j (gpulayers/arrays/random.py, `keep`).  `start` is NULL
// or has two words that are added to seed and counter: what a captured step is to find there at each of its runs.
GL_DEVICE uint32 kept(const uint64* start, uint64 seed, uint64 counter, long long i, uint32 threshold) {
  uint64 words[4];
  if (start) seed += start[0], counter += start[1];
  philox(seed, counter, i, words);
  uint32 bits = 0;
#pragma unroll
  for (int j = 0; j < 16; j++) bits |= (uint32)((uint16)(words[j / 4] >> 16 * (j % 4)) >= threshold) << j;
  return bits;
}

// ------------------------------------------------------------------------------------------------------------ instructions
// As macros where the rig wants to know the line.  All 32 lanes must come to mma, ldmatrix.
//   gl_ldmatrix_x4(uint32 r[4], const void* row), gl_ldmatrix_x4_trans     four 8x8 matrices of 16 bits from shared memory
//   gl_mma_16816<T>(float d[4], const uint32 a[4], const uint32 b[2])      d += a b: 16x16 times 16x8 of half or bfloat16
//   gl_mma_1688_tf32(float d[4], const uint32 a[4], const uint32 b[2])     the same for 16x8 times 8x8 of floats, cut to TF32
//   gl::to_tf32(float)                                                     rounded to TF32, as bits
//   gl_cp_async16(void* shared, const void* x, bool there)                 copies 16 bytes, or writes zeros, as a part of a group
//   gl::cp_commit(), gl::cp_wait<N>()                                      ends a group; waits for all but the last N groups
//   gl_bar_sync(id, threads)                                               a barrier of some warps of the block
//   GL_DYN_SMEM(T, name)                                                   the block's dynamic shared memory, as a pointer
// bfloat16 and TF32 products need sm_80: launchers must not start such kernels below it.
#if defined(GL_RIG)
#define GL_DYN_SMEM(T, name) T* name = reinterpret_cast<T*>(rig_dyn)
#define gl_ldmatrix_x4(r, row) rig::ldmatrix(r, 4, row, false, __FILE__, __LINE__)
#define gl_ldmatrix_x4_trans(r, row) rig::ldmatrix(r, 4, row, true, __FILE__, __LINE__)
#define gl_mma_16816(T) gl::MmaOnRig<T>{__FILE__, __LINE__}
#define gl_mma_1688_tf32(d, a, b) rig_mma(rig::W_MMA_TF32, d, a, 4, b, 2, __FILE__, __LINE__)
#define gl_cp_async16(shared, x, there) rig::cp_async(shared, x, 16, (there) ? 16 : 0, __FILE__, __LINE__)
#define gl_bar_sync(id, threads) rig_bar(id, threads, __FILE__, __LINE__)
template <class T> struct MmaOnRig {
  const char* file;
  int line;
  static rig::WOp operation(half*) { return rig::W_MMA_F16; }
  static rig::WOp operation(bfloat16*) { return rig::W_MMA_BF16; }
  void operator()(float* d, const uint32* a, const uint32* b) const { rig_mma(operation((T*)0), d, a, 4, b, 2, file, line); }
};
inline uint32 to_tf32(float x) { return (__float_as_uint(x) + 0x1000u) & 0xffffe000u; }
inline void cp_commit() { rig_cp_commit(); }
template <int N> inline void cp_wait() { rig::cp_wait(N); }
#else
#define GL_DYN_SMEM(T, name) \
  extern __shared__ __align__(1024) unsigned char gl_dynamic_shared[]; \
  T* name = reinterpret_cast<T*>(gl_dynamic_shared)
#define gl_ldmatrix_x4(r, row) gl::ldmatrix_x4(r, row)
#define gl_ldmatrix_x4_trans(r, row) gl::ldmatrix_x4_trans(r, row)
#define gl_mma_16816(T) gl::mma_16816<T>
#define gl_mma_1688_tf32(d, a, b) gl::mma_1688_tf32(d, a, b)
#define gl_cp_async16(shared, x, there) gl::cp_async16(shared, x, there)
#define gl_bar_sync(id, threads) gl::bar_sync(id, threads)
#if defined(__CUDA_ARCH__)
GL_DEVICE uint32 shared_address(const void* p) { return (uint32)__cvta_generic_to_shared(p); }
#define GL_MMA(shape, types, a, b) \
  asm volatile("mma.sync.aligned." shape ".row.col.f32." types ".f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};" \
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))
#define GL_MMA_HALF_K8(a0, a1, b0) \
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};" \
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a0), "r"(a1), "r"(b0))
#define GL_LDMATRIX(kind) \
  asm volatile("ldmatrix.sync.aligned.m8n8.x4" kind ".shared.b16 {%0,%1,%2,%3}, [%4];" \
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory")
GL_DEVICE void ldmatrix_x4(uint32* r, const void* row) { GL_LDMATRIX(""); }
GL_DEVICE void ldmatrix_x4_trans(uint32* r, const void* row) { GL_LDMATRIX(".trans"); }
template <class T> GL_DEVICE void mma_16816(float* d, const uint32* a, const uint32* b);
template <> GL_DEVICE void mma_16816<half>(float* d, const uint32* a, const uint32* b) {
#if __CUDA_ARCH__ >= 800
  GL_MMA("m16n8k16", "f16.f16", a, b);
#else
  GL_MMA_HALF_K8(a[0], a[1], b[0]);
  GL_MMA_HALF_K8(a[2], a[3], b[1]);
#endif
}
template <> GL_DEVICE void mma_16816<bfloat16>(float* d, const uint32* a, const uint32* b) {
#if __CUDA_ARCH__ >= 800
  GL_MMA("m16n8k16", "bf16.bf16", a, b);
#else
  __trap();
#endif
}
GL_DEVICE void mma_1688_tf32(float* d, const uint32* a, const uint32* b) {
#if __CUDA_ARCH__ >= 800
  GL_MMA("m16n8k8", "tf32.tf32", a, b);
#else
  __trap();
#endif
}
GL_DEVICE uint32 to_tf32(float x) {
  uint32 r = 0;
#if __CUDA_ARCH__ >= 800
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(x));
#endif
  return r;
}
GL_DEVICE void bar_sync(int id, int threads) { asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory"); }
GL_DEVICE void cp_async16(void* shared, const void* x, bool there) {
#if __CUDA_ARCH__ >= 800
  const int bytes = there ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(x), "r"(bytes) : "memory");
#else
  *(uint4*)shared = there ? *(const uint4*)x : make_uint4(0, 0, 0, 0);
#endif
}
GL_DEVICE void cp_commit() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
template <int N> GL_DEVICE void cp_wait() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
#endif
}
#endif
#endif
}  // namespace gl
