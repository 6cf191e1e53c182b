// What warps, blocks and grids do together, with results that tests can foresee.  For the rig's own
// tests.
#include "common.cuh"

// C (16, 8) = A (16, k) B (k, 8) by one warp; operands loaded element by element, not by ldmatrix.
extern "C" __global__ void product_of_floats(const float* a, const float* b, float* c, int k) {
  const int lane = threadIdx.x, g = lane / 4, t = lane % 4;
  float d[4] = {};
  for (int i = 0; i < k; i += 8) {
    uint32 fa[4], fb[2];
    for (int j = 0; j < 4; j++)
      fa[j] = __float_as_uint(a[(g + (j & 1) * 8) * k + i + t + (j >> 1) * 4]);
    for (int j = 0; j < 2; j++) fb[j] = __float_as_uint(b[(i + t + j * 4) * 8 + g]);
    gl_mma_1688_tf32(d, fa, fb);
  }
  for (int j = 0; j < 4; j++) c[(g + (j >> 1) * 8) * 8 + t * 2 + (j & 1)] = d[j];
}
extern "C" __global__ void product_of_elements(const T* a, const T* b, float* c, int k) {
  const int lane = threadIdx.x, g = lane / 4, t = lane % 4 * 2;
  float d[4] = {};
  auto two = [](T low, T high) { return low.bits | (uint32)high.bits << 16; };
  for (int i = 0; i < k; i += 16) {
    uint32 fa[4], fb[2];
    for (int j = 0; j < 4; j++) {
      const T* at = a + (g + (j & 1) * 8) * k + i + t + (j >> 1) * 8;
      fa[j] = two(at[0], at[1]);
    }
    for (int j = 0; j < 2; j++)
      fb[j] = two(b[(i + t + j * 8) * 8 + g], b[(i + t + j * 8 + 1) * 8 + g]);
    gl_mma_16816(T)(d, fa, fb);
  }
  for (int j = 0; j < 4; j++) c[(g + (j >> 1) * 8) * 8 + t + (j & 1)] = d[j];
}
// The same, 16 x 16 at a time through shared memory, cp.async and ldmatrix; B is (8, k),
// transposed.  a and b hold 16-bit elements.
extern "C" __global__ void product_through_shared(const T* a, const T* b, float* c, int k) {
  __shared__ __align__(16) T tile_a[16 * 16];
  __shared__ __align__(16) T tile_b[16 * 16];
  const int lane = threadIdx.x, row = lane / 2, half_row = lane % 2 * 8;
  float d[4] = {};
  for (int i = 0; i < k; i += 16) {
    gl_cp_async16(tile_a + row * 16 + half_row, a + row * k + i + half_row, true);
    gl_cp_async16(tile_b + row * 16 + half_row, b + (row % 8) * k + i + half_row, row < 8);
    gl::cp_commit();
#ifdef WAITS_FOR_TOO_LITTLE
    gl::cp_wait<1>();
#else
    gl::cp_wait<0>();
#endif
    __syncwarp();
    uint32 fa[4], fb[4];
    gl_ldmatrix_x4(fa, tile_a + lane % 16 * 16 + lane / 16 * 8);
    gl_ldmatrix_x4(fb, tile_b + (lane % 8 + lane / 16 * 8) * 16 + lane / 8 % 2 * 8);
    gl_mma_16816(T)(d, fa, fb);
    __syncwarp();
  }
#ifdef WAITS_FOR_TOO_LITTLE
  gl::cp_wait<0>();
#endif
  for (int j = 0; j < 4; j++) c[(lane / 4 + (j >> 1) * 8) * 8 + lane % 4 * 2 + (j & 1)] = d[j];
}
extern "C" __global__ void votes(const int* x, unsigned* out) {
  const unsigned all = 0xffffffffu;
  const int v = x[threadIdx.x];
  unsigned* o = out + threadIdx.x * 8;
  o[0] = __ballot_sync(all, v > 0);
  o[1] = __shfl_up_sync(all, v, 3, 16);
  o[2] = __shfl_down_sync(all, v, 5);
  o[3] = __shfl_sync(all, v, 7, 8);
  o[4] = __any_sync(all, v == 3);
  o[5] = __match_any_sync(all, v);
  o[6] = __reduce_add_sync(all, v);
  o[7] = __syncthreads_count(v > 0);
}
// Two halves of a block, each with a barrier of its own.
extern "C" __global__ void named_barriers(float* x) {
  __shared__ float s[128];
  const int half_block = threadIdx.x / 64;
  s[threadIdx.x] = x[threadIdx.x];
  for (int i = 0; i <= half_block; i++) gl_bar_sync(1 + half_block, 64);
  x[threadIdx.x] = s[half_block * 64 + 63 - threadIdx.x % 64];
}
// x (blocks, THREADS): `steps` times, each block adds its left neighbour's row.
extern "C" __global__ void neighbours(float* x, int steps) {
  __shared__ float own[64];
  float* row = x + blockIdx.x * 64;
  const float* left = x + (blockIdx.x + gridDim.x - 1) % gridDim.x * 64;
  own[threadIdx.x] = row[threadIdx.x];
  for (int i = 0; i < steps; i++) {
    const float v = left[63 - threadIdx.x];
    GRID_BARRIER;
    own[threadIdx.x] += v;
    row[threadIdx.x] = own[threadIdx.x];
    GRID_BARRIER;
  }
}
// Each block waits for the word of the one before it: x[b] = x[b - 1] + 1.
extern "C" __global__ void chain(volatile float* x, volatile int* word) {
  if (threadIdx.x == 0) {
    if (blockIdx.x > 0)
      while (!word[blockIdx.x - 1]) __nanosleep(20);
    x[blockIdx.x] = blockIdx.x ? x[blockIdx.x - 1] + 1 : 0;
    __threadfence();
    word[blockIdx.x] = 1;
  }
}
// The last block to come adds what all have left, in their order.
extern "C" __global__ void last_block_sums(const float* x, float* partial, float* total,
                                           unsigned* count) {
  __shared__ bool last;
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = x[blockIdx.x];
    __threadfence();
    last = atomicInc(count, gridDim.x - 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (!last || threadIdx.x) return;
  float sum = 0;
  for (int i = 0; i < gridDim.x; i++) sum += partial[i];
  *total = sum;
}
