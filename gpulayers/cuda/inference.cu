// What plans of inference do between products: y = f((a + b + c + d) * factor + offset), elementwise, in one pass.
//
// a, b, c, d, y: `count` elements of T, C-contiguous, at any alignment; b, c and d may be NULL, and y may be any of the others.
// factor, offset: (width,) of A, for the places of the last axis, or NULL for 1 and 0.  f: ACTIVATION of activations.cuh with the
// parameters p0, p1, p2.  Computed in A, rounded once.
// side_by_side: rows of y are rows of a, b, c and d one behind the other, of wa, wb, wc and wd elements (0 for none).
// Constants: T, ACTIVATION.
#include "common.cuh"
#include "activations.cuh"

#define BLOCK 256
#define UNROLL 2  // Vectors of each thread, loaded before the first is used.

constexpr int N = gl::Vector<T>::size;

GL_DEVICE void add(const T* x, long long first, long long count, bool whole, A* sum) {
  if (!x) return;
  const gl::Vector<T> v = gl::load(x, first, count, whole);
#pragma unroll
  for (int i = 0; i < N; i++) sum[i] += gl::to<A>(v.at[i]);
}

extern "C" __global__ void __launch_bounds__(BLOCK) summed_and_mapped(
    const T* a, const T* b, const T* c, const T* d, const A* factor, const A* offset, T* y, long long count, int width, A p0, A p1, A p2) {
  const bool whole = gl::aligned(a, b, c, d) && gl::aligned(y);
  const long long start = ((long long)blockIdx.x * BLOCK * UNROLL + threadIdx.x) * N, step = BLOCK * N;
  A sum[UNROLL][N];
#pragma unroll
  for (int u = 0; u < UNROLL; u++) {
    const gl::Vector<T> v = gl::load(a, start + u * step, count, whole);
#pragma unroll
    for (int i = 0; i < N; i++) sum[u][i] = gl::to<A>(v.at[i]);
    add(b, start + u * step, count, whole, sum[u]);
    add(c, start + u * step, count, whole, sum[u]);
    add(d, start + u * step, count, whole, sum[u]);
  }
#pragma unroll
  for (int u = 0; u < UNROLL; u++) {
    if (start + u * step >= count) return;
    if (factor || offset) {
      int column = gl::remainder(start + u * step, width);
#pragma unroll
      for (int i = 0; i < N; i++) {
        if (factor) sum[u][i] *= factor[column];
        if (offset) sum[u][i] += offset[column];
        column = column + 1 == width ? 0 : column + 1;
      }
    }
#pragma unroll
    for (int i = 0; i < N; i++) sum[u][i] = value(sum[u][i], p0, p1, p2);
    gl::store(y, start + u * step, count, whole, gl::packed<T>(sum[u]));
  }
}

struct Sides {
  const T *a, *b, *c, *d;
  long long wa, wb, wc, wd;
  GL_DEVICE long long all() const { return wa + wb + wc + wd; }
  // Where element i of y comes from.
  GL_DEVICE const T* at(long long i) const {
    long long column;
    const long long row = gl::divided(i, all(), &column);
    if (column < wa) return a + row * wa + column;
    column -= wa;
    if (column < wb) return b + row * wb + column;
    column -= wb;
    return column < wc ? c + row * wc + column : d + row * wd + column - wc;
  }
};
extern "C" __global__ void __launch_bounds__(BLOCK) side_by_side(
    const T* a, const T* b, const T* c, const T* d, T* y, long long rows, long long wa, long long wb, long long wc, long long wd) {
  const Sides from = {a, b, c, d, wa, wb, wc, wd};
  const long long count = rows * from.all(), first = ((long long)blockIdx.x * BLOCK + threadIdx.x) * N;
  const bool whole = gl::aligned(a, b, c, d) && gl::aligned(y) && wa % N == 0 && wb % N == 0 && wc % N == 0 && wd % N == 0;
  if (first >= count) return;
  if (whole) {
    gl::store(y, first, count, true, gl::load(from.at(first), 0, N, true));
  } else {
#pragma unroll
    for (int i = 0; i < N; i++)
      if (first + i < count) y[first + i] = *from.at(first + i);
  }
}
