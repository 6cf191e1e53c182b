// The order that sorts a few keys, equal ones as they come: in one launch, which nothing waits for.
//
// keys: `count` elements of T, C-contiguous.  order: `count` places, so that keys[order[0]], keys[order[1]], ... rise.
// A thread counts the keys that come before its own, 256 at a time by way of shared memory: count * count comparisons.
#include "common.cuh"

#define BLOCK 256

extern "C" __global__ void __launch_bounds__(BLOCK) stable_order(const T* keys, long long* order, int count) {
  __shared__ T some[BLOCK];
  const int lane = threadIdx.x, place = blockIdx.x * BLOCK + lane;
  const T mine = place < count ? keys[place] : T(0);
  int before = 0;
  for (int start = 0; start < count; start += BLOCK) {
    if (start + lane < count) some[lane] = keys[start + lane];
    __syncthreads();
    const int end = count - start < BLOCK ? count - start : BLOCK;
#pragma unroll 8
    for (int i = 0; i < end; i++) before += some[i] < mine || (some[i] == mine && start + i < place);
    __syncthreads();
  }
  if (place < count) order[before] = place;
}
