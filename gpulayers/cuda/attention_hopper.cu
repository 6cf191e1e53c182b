// Attention forward on sm_90a, as attention.cu has it without extras: TMA brings tiles, wgmma multiplies them where they lie, and the
// products of one tile of keys run while the exponentials of the next are taken (Shah, Bikshandi, Zhang, Thakkar, Ramani, Dao:
// "FlashAttention-3", 2024, arXiv:2407.08608).
//
// Two warpgroups have 64 queries each; one thread of a third gives the copies.  Two turns of keys and of values, each with a barrier
// that says it is full and one that says it is free.
// Constants: T: half or bfloat16; COLUMNS: keys of a tile; SIZE: a multiple of 64; the rest as it must be: B = T, PASS = FORWARD, EXTRAS
// = 0, TENSOR = 1, ROWS = 128, WIDTH = SIZE, M = 1.  Dynamic shared memory: (ROWS + 4 COLUMNS) SIZE elements.
#include "common.cuh"
#include "hopper.cuh"
#include "attention.cuh"
#include "attention_tensor.cuh"
#include "attention_scores.cuh"
#include "attention_hopper.cuh"

struct Barriers {
  gl::MBarrier query, full[2][TURNS], free[2][TURNS];  // Of keys, of values.
};

// One thread brings all tiles, in the order in which they are used.
GL_DEVICE void bring(unsigned char* queries, unsigned char* tiles, Barriers& bars, const gl::TensorMap* query, const gl::TensorMap* key,
                     const gl::TensorMap* value, int first, int head, int group, int batch, int begin, int end) {
  gl_mbarrier_expect(&bars.query, BOXES * MINE_BOX);
  for (int c = 0; c < BOXES; c++) gl_tma_load(queries + c * MINE_BOX, query, &bars.query, c * 64, first, head, batch);
  int turn = 0, phase = 1;
#pragma unroll 1
  for (int k = begin; k < end; k += COLUMNS) {
#pragma unroll 1
    for (int which = 0; which < 2; which++) {
      gl::MBarrier* full = &bars.full[which][turn];
      unsigned char* tile = tiles + (which * TURNS + turn) * TILE;
      gl_mbarrier_wait(&bars.free[which][turn], phase);
      gl_mbarrier_expect(full, TILE);
      for (int c = 0; c < BOXES; c++) gl_tma_load(tile + c * BOX, which ? value : key, full, c * 64, k, group, batch);
    }
    turn ^= 1;
    if (turn == 0) phase ^= 1;
  }
}

extern "C" __global__ void __launch_bounds__(THREADS + 128, 1) attention_hopper(
    const __grid_constant__ gl::TensorMap query, const __grid_constant__ gl::TensorMap key, const __grid_constant__ gl::TensorMap value,
    const int* lengths, const int* starts, T* out, A* sums, A scale, Problem p) {
  __shared__ Barriers bars;
  unsigned char *queries = (unsigned char*)Stage().tiles, *tiles = queries + BOXES * MINE_BOX;
  const int down = (p.length + ROWS - 1) / ROWS;
  const Place at(down, 1, p.heads);
  const int first = (down - 1 - at.tile) * ROWS, warpgroup = threadIdx.x / 128;
  const Scores rules(p, 0, 0, lengths, starts, at.batch, at.head);
  const int begin = rules.begin(first), end = rules.end(first);
  if (threadIdx.x == 0) {
    gl_mbarrier_init(&bars.query, 1);
    for (int i = 0; i < 2 * TURNS; i++) {
      gl_mbarrier_init(&bars.full[i / TURNS][i % TURNS], 1);
      gl_mbarrier_init(&bars.free[i / TURNS][i % TURNS], THREADS);
    }
    gl::mbarriers_made();
  }
  __syncthreads();
  if (warpgroup == THREADS / 128) {
    gl::registers_down<24>();
    if (threadIdx.x == THREADS && begin < end)
      bring(queries, tiles, bars, &query, &key, &value, first, at.head, at.head / p.group, at.batch, begin, end);
    return;  // No barrier of the block comes after this.
  }
  gl::registers_up<240>();
  const A factor = scale * UNIT;
  Sums o;
  A largest[LINES], total[LINES], shrunk[LINES];
#pragma unroll
  for (int i = 0; i < LINES; i++) {
    largest[i] = -gl::infinity(), total[i] = 0;
#pragma unroll
    for (int c = 0; c < SUMS; c++) o.at(i, c) = 0;
  }
  if (begin < end) {
    const unsigned char* mine = queries + warpgroup * 64 * LINE;
    Tile s;
    uint32 weights[COLUMNS / 16][4];
    gl_mbarrier_wait(&bars.query, 0);
    gl_mbarrier_wait(&bars.full[0][0], 0);
    gl_wgmma_fence();
    inner(s, mine, tiles);
    gl_wgmma_wait(0);
    gl::pin<COLUMNS / 2>(s.v[0][0]);
    gl_mbarrier_arrive(&bars.free[0][0]);
    restricted(s, rules, first, begin, factor);
    weigh(s, largest, total, shrunk, factor);
    pack(weights, s);
    int turn = 0, phase = 0;  // Of the values; their keys have been used.
#pragma unroll 1
    for (int k = begin + COLUMNS; k < end; k += COLUMNS) {
      const int next = turn ^ 1, next_phase = next ? phase : phase ^ 1;
      gl_mbarrier_wait(&bars.full[0][next], next_phase);
      gl_mbarrier_wait(&bars.full[1][turn], phase);
      gl_wgmma_fence();
      inner(s, mine, tiles + next * TILE);
      outer(o, weights, tiles + (TURNS + turn) * TILE);
      gl_wgmma_wait(1);
      gl::pin<COLUMNS / 2>(s.v[0][0]);
      gl_mbarrier_arrive(&bars.free[0][next]);
      restricted(s, rules, first, k, factor);
      weigh(s, largest, total, shrunk, factor);
      gl_wgmma_wait(0);
      gl::pin<SIZE / 2>(o.v[0][0]);
      gl_mbarrier_arrive(&bars.free[1][turn]);
      shrink(o, shrunk);
      pack(weights, s);
      turn = next, phase = next_phase;
    }
    gl_mbarrier_wait(&bars.full[1][turn], phase);
    gl_wgmma_fence();
    outer(o, weights, tiles + (TURNS + turn) * TILE);
    gl_wgmma_wait(0);
    gl::pin<SIZE / 2>(o.v[0][0]);
  }
  const long long lines = ((long long)at.batch * p.heads + at.head) * p.length;
#pragma unroll
  for (int i = 0; i < LINES; i++) {
    const A sum = gl::warp_sum<LANES>(total[i]);
    const int line = first + row(i);
    if (threadIdx.x % LANES == 0 && line < p.length) sums[lines + line] = sum != 0 ? largest[i] * factor + logarithm(sum) : A(gl::infinity());
    total[i] = sum == 0 ? A(0) : 1 / sum;
  }
  T* to = out + (((long long)at.batch * p.length + first) * p.heads + at.head) * p.value_size;
  put(to, (long long)p.heads * p.value_size, p.length - first, p.value_size, 0, o, total);
}
