// Sums over the rows of a small matrix, always in the same order: the second half of a sum that many blocks began.
//
// partial: (rows, width) of A, C-contiguous.  y: (width,) of T.  T, and A = double for double, else float.
// A block has 32 columns; thread (r, c) adds the rows r, r + 8, ... of its column, then these eight sums are added in order.
#include "common.cuh"

extern "C" __global__ void __launch_bounds__(256) partial_sums(const A* partial, T* y, int rows, int width) {
  __shared__ A sums[8][32];
  const int part = threadIdx.x / 32, lane = threadIdx.x % 32, column = blockIdx.x * 32 + lane;
  A sum = 0;
  if (column < width) {
#pragma unroll 4
    for (int row = part; row < rows; row += 8) sum += partial[(long long)row * width + column];
  }
  sums[part][lane] = sum;
  __syncthreads();
  if (part == 0 && column < width) {
#pragma unroll
    for (int i = 1; i < 8; i++) sum += sums[i][lane];
    y[column] = gl::from<T>(sum);
  }
}
