// Sums, maxima and minima of large arrays, in launches that each make many numbers one, until one is left.
//
// Arrays are C-contiguous, of T at any alignment; results of R.  REDUCTION: Sum, Max or Min of common.cuh (NaN wins); computed in A.
// Each launch cuts what it reduces into slabs of `each` elements, and leaves one number for each slab: partial results are of A, and
// are the next launch's x; the last divides by `divisor` and rounds, once.  Sizes alone decide the order of additions.
#include "common.cuh"

#define BLOCK 256
#define UNROLL 4  // Vectors of each thread, loaded before the first is used.

constexpr int N = gl::Vector<T>::size;
typedef gl::REDUCTION Reduction;

GL_DEVICE R result(A a, A divisor) { return gl::from<R>(divisor == 1 ? a : a / divisor); }

// x: (rows, width); y: (rows, slabs).  WIDE: a block takes a slab of a row, else a warp does.
extern "C" __global__ void __launch_bounds__(BLOCK) reduce_rows(
    const T* x, R* y, long long rows, long long width, long long each, long long slabs, A divisor) {
  constexpr int THREADS = WIDE ? BLOCK : 32;
  const int thread = WIDE ? threadIdx.x : threadIdx.x % 32;
  const long long item = WIDE ? (long long)blockIdx.x : (long long)blockIdx.x * (BLOCK / 32) + threadIdx.x / 32;
  if (item >= rows * slabs) return;  // All threads that would meet in it.
  long long slab;
  const T* row = x + gl::divided(item, slabs, &slab) * width;
  const long long last = gl::min((slab + 1) * each, width);
  const bool whole = gl::aligned(row);
  A parts[UNROLL];
#pragma unroll
  for (int u = 0; u < UNROLL; u++) parts[u] = Reduction::empty<A>();
  for (long long first = slab * each + thread * N; first < last; first += THREADS * N * UNROLL) {
    gl::Vector<T> v[UNROLL];
#pragma unroll
    for (int u = 0; u < UNROLL; u++)
      if (first + u * THREADS * N < last) v[u] = gl::load(row, first + u * THREADS * N, last, whole);
#pragma unroll
    for (int u = 0; u < UNROLL; u++) {
#pragma unroll
      for (int i = 0; i < N; i++)
        if (first + u * THREADS * N + i < last) parts[u] = Reduction::of(parts[u], gl::to<A>(v[u].at[i]));
    }
  }
#pragma unroll
  for (int u = 1; u < UNROLL; u++) parts[0] = Reduction::of(parts[0], parts[u]);
#if WIDE
  __shared__ A shared[32];
  const A total = gl::block_reduce<Reduction>(parts[0], shared);
#else
  const A total = gl::warp_reduce<Reduction>(parts[0]);
#endif
  if (thread == 0) y[item] = result(total, divisor);
}

// x: (outer, count, inner); y: (outer, slabs, inner), of the middle axis.  A block has `lanes` (a power of two, at most 32) threads
// side by side, each with N columns, and BLOCK / lanes rows at a time.
extern "C" __global__ void __launch_bounds__(BLOCK) reduce_columns(
    const T* x, R* y, long long outer, long long count, int inner, long long each, int lanes, A divisor) {
  __shared__ A parts[BLOCK][N + 1];
  const int lane = threadIdx.x % lanes, column = (blockIdx.x * lanes + lane) * N;
  const long long first = blockIdx.y * each, last = gl::min(first + each, count);
  for (long long o = blockIdx.z; o < outer; o += gridDim.z) {
    const T* rows = x + o * count * inner;
    const bool whole = gl::aligned(rows) && inner % N == 0;
    A part[N];
#pragma unroll
    for (int i = 0; i < N; i++) part[i] = Reduction::empty<A>();
#pragma unroll UNROLL
    for (long long row = first + threadIdx.x / lanes; row < last; row += BLOCK / lanes) {
      const gl::Vector<T> v = gl::load(rows, row * inner + gl::min(column, inner), (row + 1) * inner, whole);
#pragma unroll
      for (int i = 0; i < N; i++) part[i] = Reduction::of(part[i], gl::to<A>(v.at[i]));
    }
    __syncthreads();  // Of the turn before.
#pragma unroll
    for (int i = 0; i < N; i++) parts[threadIdx.x][i] = part[i];
    for (int half_of = BLOCK / 2; half_of >= lanes; half_of /= 2) {
      __syncthreads();
      if (threadIdx.x < half_of) {
#pragma unroll
        for (int i = 0; i < N; i++)
          parts[threadIdx.x][i] = Reduction::of(parts[threadIdx.x][i], parts[threadIdx.x + half_of][i]);
      }
    }
    if (threadIdx.x < lanes) {
#pragma unroll
      for (int i = 0; i < N; i++)
        if (column + i < inner)
          y[(o * gridDim.y + blockIdx.y) * inner + column + i] = result(parts[threadIdx.x][i], divisor);
    }
  }
}
