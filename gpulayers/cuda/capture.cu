// What captured steps need between them: many arrays copied by one launch, and words put where kernels look for them.
//
// The structures are passed by value, and are the same in capture.py; with them a launch takes less than 4 KB of parameters.
#include "common.cuh"

#define BLOCK 256
constexpr int COPIES = 120, WORDS = 240, STEPS = 4;
// Array i, of `bytes`, goes from `from` to `to`, which do not overlap, by the blocks first[i] ... first[i + 1] - 1.
struct Copies {
  const uint8* from[COPIES];
  uint8* to[COPIES];
  long long bytes[COPIES];
  int first[COPIES + 1];
};
struct Words {
  uint64 at[WORDS];
};

// A block takes 16 KB of one array: four vectors for each thread, all of them read before the first is written.
extern "C" __global__ void __launch_bounds__(BLOCK) copy_arrays(const __grid_constant__ Copies copies, int count) {
  const int block = blockIdx.x;
  int i = 0, end = count;
  while (end - i > 1) {
    const int middle = (i + end) / 2;
    if (copies.first[middle] <= block) i = middle;
    else end = middle;
  }
  const uint8* from = copies.from[i];
  uint8* to = copies.to[i];
  const long long bytes = copies.bytes[i];
  const long long start = ((long long)(block - copies.first[i]) * BLOCK * STEPS + threadIdx.x) * 16;
  const bool whole = gl::aligned(from, to);
  gl::Vector<uint8> v[STEPS];
#pragma unroll
  for (int k = 0; k < STEPS; k++) v[k] = gl::load(from, start + k * BLOCK * 16, bytes, whole);
#pragma unroll
  for (int k = 0; k < STEPS; k++) gl::store(to, start + k * BLOCK * 16, bytes, whole, v[k]);
}

extern "C" __global__ void set_words(uint64* to, const __grid_constant__ Words words, int count) {
  if ((int)threadIdx.x < count) to[threadIdx.x] = words.at[threadIdx.x];
}
