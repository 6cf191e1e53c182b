// What sm_90 adds, with results that tests can foresee.  For the rig's own tests.
#include "common.cuh"
#include "hopper.cuh"

// Copies boxes of a map to y as they lie in shared memory, `swizzle` undone or not.
extern "C" __global__ void copies_tiles(
    const __grid_constant__ gl::TensorMap map, T* y, int x0, int y0, int bytes) {
  GL_DYN_SMEM(T, tile);
  __shared__ gl::MBarrier full;
  if (threadIdx.x == 0) gl_mbarrier_init(&full, 1);
  gl::mbarriers_made();
  __syncthreads();
  if (threadIdx.x == 0) {
    gl_mbarrier_expect(&full, bytes);
    gl_tma_load(tile, &map, &full, x0, y0);
  }
#ifndef DOES_NOT_WAIT
  gl_mbarrier_wait(&full, 0);
#endif
  const int count = bytes / (int)sizeof(T);
  for (int i = threadIdx.x; i < count; i += blockDim.x) {
    const uint32 at = SWIZZLE ? gl::swizzled<SWIZZLE ? SWIZZLE : 16>(i * sizeof(T)) / sizeof(T) : i;
    y[i] = tile[at];
  }
#ifdef DOES_NOT_WAIT
  gl_mbarrier_wait(&full, 0);
#endif
}

// c (64, COLUMNS) = a b over `depth`, by one warpgroup.  Tiles of DEEP elements of the depth come by TMA, two at a time.  a lies as
// (64, depth), or as (depth, 64) if ACROSS_A; b as (COLUMNS, depth), or as (depth, COLUMNS) if ACROSS_B.
#define DEEP (ACROSS_A || ACROSS_B ? 64 : 128 / (int)sizeof(T))  // Of the depth in a tile.
#define WIDE (128 / (int)sizeof(T))                               // Elements of a line of 128 bytes.
#define BYTES_A (64 * DEEP * (int)sizeof(T))
#define BYTES_B (COLUMNS * DEEP * (int)sizeof(T))
extern "C" __global__ void __launch_bounds__(128) multiplies(
    const __grid_constant__ gl::TensorMap map_a, const __grid_constant__ gl::TensorMap map_b,
    const T* a, float* c, int depth) {
  GL_DYN_SMEM(unsigned char, shared);
  __shared__ gl::MBarrier full[2], empty[2];
  constexpr int STAGE = BYTES_A + BYTES_B, STEP = 32 / sizeof(T);
  if (threadIdx.x == 0)
    for (int i = 0; i < 2; i++) gl_mbarrier_init(&full[i], 1), gl_mbarrier_init(&empty[i], 128);
  gl::mbarriers_made();
  __syncthreads();
  float d[COLUMNS / 2];
  for (int i = 0; i < COLUMNS / 2; i++) d[i] = 0.5f;  // Replaced by the first product.
  auto fetch = [&](int tile) {
    unsigned char* to = shared + tile % 2 * STAGE;
    if (threadIdx.x) return;
    gl_mbarrier_wait(&empty[tile % 2], tile / 2 % 2 ^ 1);
    gl_mbarrier_expect(&full[tile % 2], STAGE);
    if (ACROSS_A) gl_tma_load(to, &map_a, &full[tile % 2], 0, tile * DEEP);
    else gl_tma_load(to, &map_a, &full[tile % 2], tile * DEEP, 0);
    if (!ACROSS_B) gl_tma_load(to + BYTES_A, &map_b, &full[tile % 2], tile * DEEP, 0);
    else
      for (int n = 0; n < COLUMNS; n += WIDE)
        gl_tma_load(to + BYTES_A + n * DEEP * sizeof(T), &map_b, &full[tile % 2], n, tile * DEEP);
  };
  const int tiles = depth / DEEP, lane = threadIdx.x % 32, row = threadIdx.x / 32 * 16 + lane / 4;
  fetch(0);
  for (int tile = 0; tile < tiles; tile++) {
#ifndef FETCHES_LATE
    if (tile + 1 < tiles) fetch(tile + 1);
#endif
    unsigned char* at = shared + tile % 2 * STAGE;
    gl_mbarrier_wait(&full[tile % 2], tile / 2 % 2);
#ifndef NO_FENCE
    gl_wgmma_fence();
#endif
    for (int k = 0; k < DEEP; k += STEP) {
      const uint32 along = k * sizeof(T), across = k * 128;  // In bytes.
      const gl::Tile first = gl::Tile(at, 1, 1024, 128).plus(ACROSS_A ? across : along);
      const gl::Tile second =
          gl::Tile(at + BYTES_A, DEEP * 128, 1024, 128).plus(ACROSS_B ? across : along);
      const bool add = tile > 0 || k > 0;
      if (!REGISTERS) gl_wgmma(T, COLUMNS, ACROSS_A, ACROSS_B)(d, first, second, add);
      else {
        uint32 f[4];
        const int per = 4 / sizeof(T), t = tile * DEEP + k + lane % 4 * per;
        for (int i = 0; i < 4; i++)
          f[i] = *(const uint32*)(a + (row + i % 2 * 8) * depth + t + i / 2 * 4 * per);
        gl_wgmma(T, COLUMNS, false, ACROSS_B)(d, f, second, add);
      }
    }
    gl_wgmma_commit();
#ifdef FREES_TOO_EARLY
    gl_mbarrier_arrive(&empty[tile % 2]);
    gl_wgmma_wait(0);
#else
    gl_wgmma_wait(0);
    gl::pin<COLUMNS / 2>(d);
    gl_mbarrier_arrive(&empty[tile % 2]);
#endif
#ifdef FETCHES_LATE
    if (tile + 1 < tiles) fetch(tile + 1);
#endif
  }
  for (int j = 0; j < COLUMNS / 2; j++)
    c[(row + j / 2 % 2 * 8) * COLUMNS + j / 4 * 8 + lane % 4 * 2 + j % 2] = d[j];
}

// The same over one step of the depth, from operands that threads write as the layouts without a swizzle, or with 64 or 32 bytes, say.
extern "C" __global__ void __launch_bounds__(128) multiplies_once(const T* a, const T* b, float* c) {
  __shared__ __align__(1024) unsigned char tile_a[8192], tile_b[8192];
  constexpr int STEP = 32 / sizeof(T), PER = 16 / sizeof(T), LINE = SWIZZLE ? SWIZZLE / 16 : 1;
  // Where the chunk of 16 bytes lies that begins at (line, k); `lines` of them.
  auto place = [](int line, int k, int lines, bool across) {
    const int along = (across ? line : k) / PER, other = across ? k : line;
    const int blocks = across ? 2 : lines / 8;  // Of 8 lines, one behind the other.
    if (!SWIZZLE) return ((across ? along * 2 + other / 8 : along * blocks + other / 8) * 8 + other % 8) * 16;
    const int offset = (along / LINE * blocks * 8 + other) * SWIZZLE + along % LINE * 16;
    return (int)gl::swizzled<SWIZZLE ? SWIZZLE : 16>(offset);
  };
  for (int i = threadIdx.x; i < 64 * STEP; i += 128) {
    const int line = i / STEP, k = i % STEP;
    ((T*)(tile_a + place(ACROSS_A ? line / PER * PER : line, ACROSS_A ? k : k / PER * PER, 64, ACROSS_A)))
        [(ACROSS_A ? line : k) % PER] = a[line * STEP + k];
    if (line < COLUMNS)
      ((T*)(tile_b + place(ACROSS_B ? line / PER * PER : line, ACROSS_B ? k : k / PER * PER, COLUMNS, ACROSS_B)))
          [(ACROSS_B ? line : k) % PER] = b[line * STEP + k];
  }
  gl::fence_async();
  __syncthreads();
  auto tile = [](const void* at, bool across, int lines) {
    if (SWIZZLE) return gl::Tile(at, across ? 2 * 8 * SWIZZLE : 1, 8 * SWIZZLE, SWIZZLE);
    return across ? gl::Tile(at, 128, 256, 0) : gl::Tile(at, lines * 16, 128, 0);
  };
  float d[COLUMNS / 2];
  gl_wgmma_fence();
  gl_wgmma(T, COLUMNS, ACROSS_A, ACROSS_B)(d, tile(tile_a, ACROSS_A, 64), tile(tile_b, ACROSS_B, COLUMNS), false);
  gl_wgmma_commit();
  gl_wgmma_wait(0);
  gl::pin<COLUMNS / 2>(d);
  const int lane = threadIdx.x % 32, row = threadIdx.x / 32 * 16 + lane / 4;
  for (int j = 0; j < COLUMNS / 2; j++)
    c[(row + j / 2 % 2 * 8) * COLUMNS + j / 4 * 8 + lane % 4 * 2 + j % 2] = d[j];
}

// y = x + 1, by a warp that copies and one that adds; cp.async tells the barrier.
extern "C" __global__ void __launch_bounds__(64) copies_and_adds(const float* x, float* y, int n) {
  __shared__ __align__(16) float tile[2][128];
  __shared__ gl::MBarrier full[2], empty[2];
  const int lane = threadIdx.x % 32;
  if (threadIdx.x == 0)
    for (int i = 0; i < 2; i++) gl_mbarrier_init(&full[i], BULK ? 1 : 32), gl_mbarrier_init(&empty[i], 32);
  gl::mbarriers_made();
  __syncthreads();
  for (int i = 0; i < n / 128; i++) {
    if (threadIdx.x < 32) {
      if (BULK && lane > 0) break;  // Who does not keep up misses phases.
      gl_mbarrier_wait(&empty[i % 2], i / 2 % 2 ^ 1);
      if (!BULK) {
        gl_cp_async16(&tile[i % 2][lane * 4], x + i * 128 + lane * 4, true);
        gl_mbarrier_arrive_copies(&full[i % 2]);
      } else {
        gl_mbarrier_expect(&full[i % 2], 512);
        gl_bulk_load(tile[i % 2], x + i * 128, 512, &full[i % 2]);
      }
    } else {
      gl_mbarrier_wait(&full[i % 2], i / 2 % 2);
      for (int j = lane; j < 128; j += 32) y[i * 128 + j] = tile[i % 2][j] + 1;
      gl_mbarrier_arrive(&empty[i % 2]);
    }
  }
}

// Each block of a cluster sends its numbers to the next, `rounds` times.
extern "C" __global__ void GL_CLUSTER(4) __launch_bounds__(64) passes_on(float* y, int rounds) {
  GL_DYN_SMEM(float, dynamic);  // 2 * 64
  __shared__ float fixed[64];
  const int rank = gl::cluster_rank(), i = threadIdx.x;
  dynamic[i] = y[blockIdx.x * 64 + i];
  gl_cluster_arrive();
  gl_cluster_wait();
  for (int round = 0; round < rounds; round++) {
    const float mine = dynamic[round % 2 * 64 + i];
    gl::at_rank(dynamic, (rank + 1) % 4)[(round + 1) % 2 * 64 + i] = mine + 1;
#ifndef NO_BARRIER
    gl_cluster_arrive();
    gl_cluster_wait();
#endif
  }
  fixed[i] = dynamic[rounds % 2 * 64 + i];
  gl_cluster_arrive();
  gl_cluster_wait();
  y[blockIdx.x * 64 + i] = gl::at_rank(fixed, rank ^ 1)[i];
#ifndef ENDS_TOO_EARLY
  gl_cluster_arrive();
  gl_cluster_wait();
#endif
}

// The first block of a cluster waits for the words of the others, by a barrier in its memory.
extern "C" __global__ void GL_CLUSTER(2) __launch_bounds__(32) arrives_there(float* y) {
  GL_DYN_SMEM(float, got);
  __shared__ gl::MBarrier full;
  if (threadIdx.x == 0) gl_mbarrier_init(&full, 32);
  gl::mbarriers_made();
  gl_cluster_arrive();
  gl_cluster_wait();
  if (gl::cluster_rank() == 1) {
    gl::at_rank(got, 0)[threadIdx.x] = y[blockIdx.x * 32 + threadIdx.x];
    gl_mbarrier_arrive_at(&full, 0);
  } else {
    gl_mbarrier_wait(&full, 0);
    y[blockIdx.x * 32 + threadIdx.x] += got[threadIdx.x];
  }
  gl_cluster_arrive();
  gl_cluster_wait();
}

// All blocks add their neighbours' words, `rounds` times.
extern "C" __global__ void adds_around(float* x, uint32* word, int rounds) {
  const int n = gridDim.x, me = blockIdx.x, next = (me + 1) % n;
  for (int round = 0; round < rounds; round++) {
    const float sum = x[round % 2 * n + me] + x[round % 2 * n + next];
    if (threadIdx.x == 0) x[(round + 1) % 2 * n + me] = sum;
    gl_grid_sync(word);
  }
}

// Two warps take turns: bar.arrive lets one go on without waiting.
extern "C" __global__ void takes_turns(float* y) {
  __shared__ float word;
  if (threadIdx.x < 32) {
    if (threadIdx.x == 0) word = 3;
    gl_bar_arrive(1, 64);
  } else {
    gl_bar_sync(1, 64);
    y[threadIdx.x - 32] = word;
  }
}

// What nobody may do.
extern "C" __global__ void waits_for_nobody(float* y) {
  __shared__ gl::MBarrier full;
  if (threadIdx.x == 0) gl_mbarrier_init(&full, 33);
  __syncthreads();
  gl_mbarrier_arrive(&full);
  gl_mbarrier_wait(&full, 0);
  y[threadIdx.x] = 1;
}
extern "C" __global__ void arrives_too_often(float* y) {
  __shared__ gl::MBarrier full;
  if (threadIdx.x == 0) gl_mbarrier_init(&full, 20), gl_mbarrier_expect(&full, 64);
  __syncthreads();
  gl_mbarrier_arrive(&full);
  y[threadIdx.x] = 1;
}
extern "C" __global__ void uses_a_barrier_that_nobody_made(float* y) {
  __shared__ gl::MBarrier full;
  gl_mbarrier_arrive(&full);
}
