// C (M, N) = A (M, K) B (K, N), float, row-major, any sizes: 32x32 tiles in shared memory, 16x16
// threads, 2x2 outputs each. For the rig's own tests: NO_SYNC_AFTER_LOAD, NO_SYNC_AFTER_USE and
// ROW_TOO_FAR plant bugs.
#include "common.cuh"

extern "C" __global__ void gemm(const float* __restrict__ a, const float* __restrict__ b,
                                float* __restrict__ c, int m, int n, int k) {
  __shared__ float tile_a[32][33];
  __shared__ float tile_b[32][33];
  const int tx = threadIdx.x, ty = threadIdx.y, first_row = blockIdx.y * 32,
            first_column = blockIdx.x * 32;
  float sum[2][2] = {};
  for (int start = 0; start < k; start += 32) {
    for (int i = ty; i < 32; i += 16)
      for (int j = tx; j < 32; j += 16) {
        tile_a[i][j] =
            first_row + i < m && start + j < k ? a[(long long)(first_row + i) * k + start + j] : 0;
        tile_b[i][j] = start + i < k && first_column + j < n
                           ? b[(long long)(start + i) * n + first_column + j]
                           : 0;
      }
#ifndef NO_SYNC_AFTER_LOAD
    __syncthreads();
#endif
    for (int l = 0; l < 32; l++)
      for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++) sum[i][j] += tile_a[ty + 16 * i][l] * tile_b[l][tx + 16 * j];
#ifndef NO_SYNC_AFTER_USE
    __syncthreads();
#endif
  }
#ifdef ROW_TOO_FAR
  m++;
#endif
  for (int i = 0; i < 2; i++)
    for (int j = 0; j < 2; j++) {
      const int row = first_row + ty + 16 * i, column = first_column + tx + 16 * j;
      if (row < m && column < n) c[(long long)row * n + column] = sum[i][j];
    }
}
