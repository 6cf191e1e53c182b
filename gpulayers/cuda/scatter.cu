// Rows put where indices say; those that go to the same place are combined, always in the same order.
//
// x: (outer, count, width) of V, of which row `order[i]` goes to place `keys[i]`; keys are sorted, so that the rows of one place, a
// run, stand side by side.  y: (outer, size, width) of T, where places that nothing goes to are left alone.  S is what is computed
// in: float for float and 16-bit floats, else T itself.  All are C-contiguous, at any alignment; `width` fits 31 bits.
// HOW: ADD, MAXIMUM, MINIMUM (NaN wins), MULTIPLY, or SET (the last row counts).
//
// Long runs are cut: each group of `lanes` threads takes `piece` sorted rows, writes to y what begins and ends there, and leaves
// its first and last run, if they go on in a neighbour's piece, to `partial` (outer, 2 * pieces, width) with their places in
// `partial_keys`: these are rows in the order of places again, and the next launch takes them in the same way (V = S, no order),
// until one piece is left.  So the sum of a run is a tree that only depends on sizes, however often an index is repeated.
// A key of -1 is no row; -2 - k is a row of place k that has nothing in it.
//
// Keys, of I (int where all places fit, else long long), are made from `ids` of K: an index below 0 or from `size` on counts modulo
// `size` (as CuPy's own indexing takes it) if `wrap`, else its key is -1.
#include "common.cuh"

#define BLOCK 256
#define UNROLL 4  // Rows of each thread, loaded before the first is used.

enum How { ADD, MAXIMUM, MINIMUM, MULTIPLY, SET };
constexpr int N = gl::Vector<V>::size;

GL_DEVICE S combined(S a, S b) {
  switch (HOW) {
    case ADD: return a + b;
    case MAXIMUM: return gl::Max::of(a, b);
    case MINIMUM: return gl::Min::of(a, b);
    case MULTIPLY: return a * b;
    default: return b;
  }
}
GL_DEVICE I place_of(I key) { return key < -1 ? -2 - key : key; }

// N numbers as elements of U.
template <class U> GL_DEVICE void put(U* y, long long first, long long end, bool whole, const S* values) {
  constexpr int M = gl::Vector<U>::size;
  if (N % M == 0) {
#pragma unroll
    for (int i = 0; i < N; i += M) gl::store(y, first + i, end, whole, gl::packed<U>(values + i));
  } else {
#pragma unroll
    for (int i = 0; i < N; i++)
      if (first + i < end) y[first + i] = gl::from<U>(values[i]);
  }
}

// A run that has come to its end, or to that of the piece: to its place, combined with what `start` (or NULL) has there.
GL_DEVICE void finish(const S* run, I key, const T* start, T* y, int column, int width, bool whole) {
  if (key < 0) return;
  const long long first = (long long)key * width + column, end = ((long long)key + 1) * width;
  S total[N];
#pragma unroll
  for (int i = 0; i < N; i++)
    total[i] = start && first + i < end ? combined(gl::to<S>(start[first + i]), run[i]) : run[i];
  put(y, first, end, whole, total);
}

extern "C" __global__ void __launch_bounds__(BLOCK) scatter_runs(
    const V* x, const long long* order, const I* keys, const T* start, T* y, S* partial, I* partial_keys, long long outer,
    long long count, int width, long long size, int lanes, int piece) {
  const int lane = threadIdx.x % lanes;
  const long long p = (long long)blockIdx.x * (BLOCK / lanes) + threadIdx.x / lanes;
  const long long first = p * piece, last = gl::min(first + piece, count), pieces = (count + piece - 1) / piece;
  if (first >= count) return;
  const I one = place_of(keys[first]), other = place_of(keys[last - 1]);
  const bool before = first > 0 && one >= 0 && place_of(keys[first - 1]) == one;
  const bool after = last < count && other >= 0 && place_of(keys[last]) == other;
  const bool through = before && after && one == other;
  if (pieces > 1 && blockIdx.y == 0 && blockIdx.z == 0 && lane == 0) {
    partial_keys[2 * p] = before ? one : I(-1);
    partial_keys[2 * p + 1] = through ? I(-2 - one) : after ? other : I(-1);
  }
  const bool whole_x = width % N == 0 && gl::aligned(x), whole_y = width % gl::Vector<T>::size == 0 && gl::aligned(y);
  const bool whole_partial = width % gl::Vector<S>::size == 0 && gl::aligned(partial);
  for (long long o = blockIdx.z; o < outer; o += gridDim.z) {
    const V* rows = x + o * count * width;
    for (int column = (blockIdx.y * lanes + lane) * N; column < width; column += gridDim.y * lanes * N) {
      S run[N];
      I key = -1;
      bool empty = true, open = before;  // Whether the run has no row yet; whether it began before this piece.
      for (long long i = first; i < last; i += UNROLL) {
        I k[UNROLL];
        gl::Vector<V> v[UNROLL];
#pragma unroll
        for (int u = 0; u < UNROLL; u++) k[u] = i + u < last ? keys[i + u] : I(-1);
#pragma unroll
        for (int u = 0; u < UNROLL; u++) {
          if (k[u] < 0) continue;
          const long long row = order ? order[i + u] : i + u;
          v[u] = gl::load(rows, row * width + column, (row + 1) * width, whole_x);
        }
#pragma unroll
        for (int u = 0; u < UNROLL; u++) {
          if (i + u >= last) break;
          const I here = place_of(k[u]);
          if (here != key && i + u > first) {
            if (open) put(partial, ((o * pieces + p) * 2) * width + column, ((o * pieces + p) * 2 + 1) * width, whole_partial, run);
            else finish(run, key, start ? start + o * size * width : 0, y + o * size * width, column, width, whole_y);
            open = false;
            empty = true;
          }
          key = here;
          if (k[u] < 0) continue;
#pragma unroll
          for (int j = 0; j < N; j++) run[j] = empty ? gl::to<S>(v[u].at[j]) : combined(run[j], gl::to<S>(v[u].at[j]));
          empty = false;
        }
      }
      if (open || after) {
        const long long slot = (o * pieces + p) * 2 + (open ? 0 : 1);
        put(partial, slot * width + column, (slot + 1) * width, whole_partial, run);
      } else {
        finish(run, key, start ? start + o * size * width : 0, y + o * size * width, column, width, whole_y);
      }
    }
  }
}

extern "C" __global__ void __launch_bounds__(BLOCK) scatter_keys(const K* ids, I* keys, long long count, long long size, bool wrap) {
  const long long i = (long long)blockIdx.x * BLOCK + threadIdx.x;
  if (i >= count) return;
  const long long id = (long long)ids[i];
  keys[i] = (I)(wrap || (uint64)id < (uint64)size ? gl::wrapped(id, size) : -1);
}

// Of elements in the place of rows: ids (outer, n, inner) are places along the middle axis of (outer, size, inner).
extern "C" __global__ void __launch_bounds__(BLOCK) scatter_keys_along(
    const K* ids, I* keys, long long count, long long n, long long size, long long inner) {
  const long long i = (long long)blockIdx.x * BLOCK + threadIdx.x;
  if (i < count) keys[i] = (I)((i / (n * inner) * size + gl::wrapped((long long)ids[i], size)) * inner + i % inner);
}
