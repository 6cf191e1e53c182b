// Kernels that do what no kernel may, each in one way, and some that only look so.  For the rig's
// own tests.
#include "common.cuh"

extern "C" __global__ void barrier_in_a_branch(float* x) {
  if (threadIdx.x < 16) __syncthreads();
  x[threadIdx.x] = 1;
  __syncthreads();
}
extern "C" __global__ void barrier_after_exit(float* x) {
  if (threadIdx.x >= 20) return;
  x[threadIdx.x] = 1;
  __syncthreads();
}
extern "C" __global__ void lanes_that_do_not_come(float* x) {
  float v = threadIdx.x;
  if (threadIdx.x < 16) v = __shfl_xor_sync(0xffffffffu, v, 1);
  x[threadIdx.x] = v;
}
extern "C" __global__ void lane_outside_the_mask(float* x) {
  float v = threadIdx.x;
  if (threadIdx.x < 16) v = __shfl_xor_sync(0x0000ffffu, v, 16);
  x[threadIdx.x] = v;
}
extern "C" __global__ void behind_shared(float* x) {
  __shared__ float s[32];
  s[threadIdx.x] = 1;
  __syncthreads();
  x[threadIdx.x] = s[threadIdx.x + 1];
}
extern "C" __global__ void behind_dynamic_shared(float* x) {
  GL_DYN_SMEM(float, s);
  s[threadIdx.x] = 1;
  __syncthreads();
  x[threadIdx.x] = s[threadIdx.x + 1];
}
extern "C" __global__ void behind_an_array(float* x) { x[threadIdx.x + 1] = 1; }
extern "C" __global__ void before_an_array(float* x) { x[(int)threadIdx.x - 1] = 1; }
extern "C" __global__ void reads_behind_an_array(float* x) { x[threadIdx.x] = x[threadIdx.x + 1]; }
extern "C" __global__ void writes_half_of_an_array(float* x) {
  if (threadIdx.x < 16) x[threadIdx.x] = 1;
}
extern "C" __global__ void reads_shared_first(float* x) {
  __shared__ float s[64];
  if (threadIdx.x < 20) s[threadIdx.x] = 1;
  __syncthreads();
  x[threadIdx.x] = s[threadIdx.x];
}
extern "C" __global__ void misaligned(float* x) {
  float4* p = reinterpret_cast<float4*>(x + 1);
  if (threadIdx.x == 0) p->x += 1;
}
extern "C" __global__ void race_in_a_warp(float* x) {
  __shared__ float s[32];
  s[threadIdx.x] = threadIdx.x;
  x[threadIdx.x] = s[31 - threadIdx.x];
}
extern "C" __global__ void no_race_in_a_warp(float* x) {
  __shared__ float s[32];
  s[threadIdx.x] = threadIdx.x;
  __syncwarp();
  x[threadIdx.x] = s[31 - threadIdx.x];
}
extern "C" __global__ void race_on_an_array(float* x) { x[0] = x[0] + threadIdx.x; }
extern "C" __global__ void race_of_blocks(float* x) {
  if (threadIdx.x == 0) x[0] = x[0] * 0.5f + blockIdx.x;
}
extern "C" __global__ void copies_not_waited_for(float* x) {
  __shared__ __align__(16) float s[128];
  gl_cp_async16(s + 4 * threadIdx.x, x, true);
  gl::cp_commit();
}
extern "C" __global__ void endless(float* x) {
  while (*(volatile float*)x != 1e30f) {}
}
extern "C" __global__ void waits_for_ever(float* x) {
  while (*(volatile float*)x != 1e30f) __nanosleep(20);
}
