// Numbers scaled on their way from T to R, and whether all of them are finite; many arrays cast by one launch.
//
// x: `count` elements of T, y: as many of R, C-contiguous, at any alignment.  The product is computed in C and rounded once.
// Casts is passed by value, and is the same in casting.py; it takes less than 4 KB of parameters.
#include "common.cuh"

#define BLOCK 256
constexpr int CASTS = 120;
// Array i, of counts[i] elements, goes from x[i] to y[i] by the blocks first[i] ... first[i + 1] - 1.
struct Casts {
  const T* x[CASTS];
  R* y[CASTS];
  long long counts[CASTS];
  int first[CASTS + 1];
};
#define UNROLL 2  // Packs of each thread, loaded before the first is used.

// As many elements as one instruction moves of the wider of the two.
constexpr int M = 16 / (sizeof(T) > sizeof(R) ? sizeof(T) : sizeof(R));
template <class U> struct __align__(sizeof(U) * M) Pack { U at[M]; };

template <class U> GL_DEVICE bool fits(const U* x) { return (uint64)x % sizeof(Pack<U>) == 0; }

template <class U> GL_DEVICE Pack<U> load_pack(const U* x, long long first, long long count, bool whole) {
  if (whole && first + M <= count) return *(const Pack<U>*)(x + first);
  Pack<U> p;
#pragma unroll
  for (int i = 0; i < M; i++) p.at[i] = first + i < count ? x[first + i] : U();
  return p;
}
template <class U> GL_DEVICE void store_pack(U* y, long long first, long long count, bool whole, Pack<U> p) {
  if (whole && first + M <= count) {
    *(Pack<U>*)(y + first) = p;
  } else {
#pragma unroll
    for (int i = 0; i < M; i++)
      if (first + i < count) y[first + i] = p.at[i];
  }
}

// `factor`, or where it is not NULL what `pointer` shows.
extern "C" __global__ void __launch_bounds__(BLOCK) scaled(
    const T* x, R* y, long long count, const C* pointer, C factor) {
  const bool whole_x = fits(x), whole_y = fits(y);
  const C times = pointer ? *pointer : factor;
  const long long start = ((long long)blockIdx.x * BLOCK * UNROLL + threadIdx.x) * M, step = BLOCK * M;
  Pack<T> p[UNROLL];
#pragma unroll
  for (int u = 0; u < UNROLL; u++) p[u] = load_pack(x, start + u * step, count, whole_x);
#pragma unroll
  for (int u = 0; u < UNROLL; u++) {
    Pack<R> q;
#pragma unroll
    for (int i = 0; i < M; i++) q.at[i] = gl::from<R>(gl::to<C>(p[u].at[i]) * times);
    store_pack(y, start + u * step, count, whole_y, q);
  }
}

extern "C" __global__ void __launch_bounds__(BLOCK) cast_arrays(const __grid_constant__ Casts casts, int count) {
  const int block = blockIdx.x;
  int i = 0, end = count;
  while (end - i > 1) {
    const int middle = (i + end) / 2;
    if (casts.first[middle] <= block) i = middle;
    else end = middle;
  }
  const T* x = casts.x[i];
  R* y = casts.y[i];
  const bool whole_x = fits(x), whole_y = fits(y);
  const long long start = ((long long)(block - casts.first[i]) * BLOCK * UNROLL + threadIdx.x) * M, step = BLOCK * M;
  Pack<T> p[UNROLL];
#pragma unroll
  for (int u = 0; u < UNROLL; u++) p[u] = load_pack(x, start + u * step, casts.counts[i], whole_x);
#pragma unroll
  for (int u = 0; u < UNROLL; u++) {
    Pack<R> q;
#pragma unroll
    for (int j = 0; j < M; j++) q.at[j] = gl::from<R>(gl::to<C>(p[u].at[j]));
    store_pack(y, start + u * step, casts.counts[i], whole_y, q);
  }
}

// Writes false to `finite` if an element is infinite or NaN; else leaves it alone.
extern "C" __global__ void __launch_bounds__(BLOCK) find_infinite(const T* x, bool* finite, long long count) {
  const bool whole = gl::aligned(x);
  constexpr int N = gl::Vector<T>::size;
  bool fine = true;
  for (long long i = ((long long)blockIdx.x * BLOCK + threadIdx.x) * N; i < count; i += (long long)gridDim.x * BLOCK * N) {
    const gl::Vector<T> v = gl::load(x, i, count, whole);
#pragma unroll
    for (int j = 0; j < N; j++) {
      const A a = gl::to<A>(v.at[j]);
      fine = fine && a - a == 0;
    }
  }
  if (!fine) *finite = false;  // Whoever finds one writes the same.
}
