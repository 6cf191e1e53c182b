// y (rows, n) = (x - mean) / sqrt(variance + epsilon) * gamma + beta, of T, one row per block of
// THREADS threads. For the rig's own tests: SHARED_USED_TOO_EARLY plants a bug.
#include "common.cuh"

GL_DEVICE float sum_of_block(float v, float* shared) {
  const int lane = threadIdx.x % 32;
  v = gl::warp_sum(v);
  if (lane == 0) shared[threadIdx.x / 32] = v;
  __syncthreads();
  v = gl::warp_sum(lane < THREADS / 32 ? shared[lane] : 0.f);
#ifndef SHARED_USED_TOO_EARLY
  __syncthreads();
#endif
  return v;
}
extern "C" __global__ void __launch_bounds__(THREADS)
    normalize(const T* x, const T* gamma, const T* beta, T* y, int n, float epsilon) {
  __shared__ float shared[THREADS / 32];
  x += (long long)blockIdx.x * n, y += (long long)blockIdx.x * n;
  float sum = 0, squares = 0;
  for (int i = threadIdx.x; i < n; i += THREADS) sum += gl::to<float>(x[i]);
  const float mean = sum_of_block(sum, shared) / n;
  for (int i = threadIdx.x; i < n; i += THREADS) {
    const float d = gl::to<float>(x[i]) - mean;
    squares += d * d;
  }
  const float scale = rsqrtf(sum_of_block(squares, shared) / n + epsilon);
  for (int i = threadIdx.x; i < n; i += THREADS)
    y[i] = gl::from<T>((gl::to<float>(x[i]) - mean) * scale * gl::to<float>(gamma[i]) +
                       gl::to<float>(beta[i]));
}
