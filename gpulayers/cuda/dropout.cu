// Dropout: y = x * scale where an element is kept, else 0.  The mask comes from (seed, counter) each time, and is never stored.
//
// start: NULL, or two words that are added to seed and counter: what a captured step is to find there at each of its runs.
// Arrays are C-contiguous, of `count` elements of T, at any alignment; y may be x itself.  Element e is kept where quarter e of
// the stream is at least `threshold` (gpulayers/arrays/random.py, `keep`): the bits that NumPy has on the CPU.  The product is
// computed in A and rounded once.
#include "common.cuh"

#define BLOCK 256

// A warp takes 512 elements: each lane makes the bits of 16 neighbours, and moves vectors that lie beside those of the next lane.
extern "C" __global__ void __launch_bounds__(BLOCK) dropout(
    const T* x, T* y, long long count, const uint64* start, uint64 seed, uint64 counter, uint32 threshold, A scale) {
  constexpr int N = gl::Vector<T>::size, VECTORS = 16 / N;
  const bool whole = gl::aligned(x, y);
  const int lane = threadIdx.x % 32;
  const long long warp = (long long)blockIdx.x * (BLOCK / 32) + threadIdx.x / 32;
  gl::Vector<T> v[VECTORS];
#pragma unroll
  for (int k = 0; k < VECTORS; k++) v[k] = gl::load(x, warp * 512 + (k * 32 + lane) * N, count, whole);
  const uint32 mine = gl::kept(start, seed, counter, warp * 32 + lane, threshold);
#pragma unroll
  for (int k = 0; k < VECTORS; k++) {
    const int place = (k * 32 + lane) * N;  // Its bits are with the lane place / 16.
    const uint32 bits = __shfl_sync(0xffffffffu, mine, place / 16) >> place % 16;
    A out[N];
#pragma unroll
    for (int i = 0; i < N; i++) out[i] = bits >> i & 1 ? gl::to<A>(v[k].at[i]) * scale : A(0);
    gl::store(y, warp * 512 + place, count, whole, gl::packed<T>(out));
  }
}

// The mask itself, a byte for each of its `count` elements.
extern "C" __global__ void __launch_bounds__(BLOCK) dropout_mask(
    bool* mask, long long count, const uint64* start, uint64 seed, uint64 counter, uint32 threshold) {
  const long long i = (long long)blockIdx.x * BLOCK + threadIdx.x;
  if (i * 16 >= count) return;
  const uint32 bits = gl::kept(start, seed, counter, i, threshold);
  gl::Vector<bool> v;
#pragma unroll
  for (int j = 0; j < 16; j++) v.at[j] = bits >> j & 1;
  gl::store(mask, i * 16, count, gl::aligned(mask), v);
}

// With a mask (outer, 1, inner) for x (outer, middle, inner).
extern "C" __global__ void __launch_bounds__(BLOCK) dropout_by_mask(
    const T* x, const bool* mask, T* y, long long count, long long middle, long long inner, A scale) {
  constexpr int N = gl::Vector<T>::size;
  const bool whole = gl::aligned(x, y);
  const long long first = ((long long)blockIdx.x * BLOCK + threadIdx.x) * N, run = middle * inner;
  if (first >= count) return;
  const gl::Vector<T> v = gl::load(x, first, count, whole);
  long long outer = first / run, within = first % run, column = within % inner;
  A out[N];
#pragma unroll
  for (int i = 0; i < N; i++) {
    out[i] = first + i < count && mask[outer * inner + column] ? gl::to<A>(v.at[i]) * scale : A(0);
    column = column + 1 == inner ? 0 : column + 1;
    within = within + 1 == run ? 0 : within + 1;
    if (within == 0) outer++;
  }
  gl::store(y, first, count, whole, gl::packed<T>(out));
}
