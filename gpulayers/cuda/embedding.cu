// Rows of a table by number, and numbers as rows of zeros and ones.
//
// All arrays are C-contiguous, at any alignment.  Elements are moved as they are.
// Constants: T; I, of the numbers; WHOLE, whether the table's rows are aligned vectors of 16 bytes.
#include "common.cuh"

#define BLOCK 256
#define UNROLL (WHOLE ? 4 : 1)  // Vectors of each thread, loaded before the first is stored.

constexpr int N = gl::Vector<T>::size;

// table: (rows, width), rows > 0; ids: of I; y: `count` elements of rows of the table.  An id outside counts modulo `rows`.
extern "C" __global__ void __launch_bounds__(BLOCK) gather_rows(
    const T* table, const I* ids, T* y, long long count, long long rows, long long width) {
  const bool whole = gl::aligned(y);
  const long long start = ((long long)blockIdx.x * BLOCK * UNROLL + threadIdx.x) * N, step = BLOCK * N;
  gl::Vector<T> v[UNROLL];
#pragma unroll
  for (int u = 0; u < UNROLL; u++) {
    const long long first = start + u * step;
    if (first >= count) break;
    long long column, row = gl::divided(first, width, &column), place = gl::wrapped((long long)ids[row], rows) * width;
    if (WHOLE) {
      *(uint4*)&v[u] = *(const uint4*)(table + place + column);
    } else {
#pragma unroll
      for (int i = 0; i < N; i++) {
        if (first + i >= count) break;
        v[u].at[i] = table[place + column];
        if (++column == width && first + i + 1 < count) {
          column = 0;
          place = gl::wrapped((long long)ids[++row], rows) * width;
        }
      }
    }
  }
#pragma unroll
  for (int u = 0; u < UNROLL; u++)
    if (start + u * step < count) gl::store(y, start + u * step, count, whole, v[u]);
}

// x: (outer, inner) of I; y: (outer, size, inner), `count` elements: 1 where the middle index is x, else 0.
extern "C" __global__ void __launch_bounds__(BLOCK) one_hot(
    const I* x, T* y, long long count, long long size, long long inner) {
  const long long first = ((long long)blockIdx.x * BLOCK + threadIdx.x) * N;
  if (first >= count) return;
  long long i, j, outer = gl::divided(gl::divided(first, inner, &i), size, &j);
  gl::Vector<T> v;
#pragma unroll
  for (int k = 0; k < N; k++) {
    v.at[k] = gl::from<T>(first + k < count && (long long)x[outer * inner + i] == j ? 1.0f : 0.0f);
    if (++i == inner) {
      i = 0;
      if (++j == size) j = 0, outer++;
    }
  }
  gl::store(y, first, count, gl::aligned(y), v);
}

// x: (outer, numbers, inner) of I, `count` elements; y: (outer, inner, size), of zeros: 1 at all places that are named.
extern "C" __global__ void __launch_bounds__(BLOCK) marks(
    const I* x, T* y, long long count, long long numbers, long long inner, long long size) {
  const long long first = (long long)blockIdx.x * BLOCK + threadIdx.x;
  if (first >= count) return;
  long long i, ignored, outer = gl::divided(gl::divided(first, inner, &i), numbers, &ignored);
  const long long place = (long long)x[first];
  if ((uint64)place < (uint64)size) y[(outer * inner + i) * size + place] = gl::from<T>(1.0f);
}
