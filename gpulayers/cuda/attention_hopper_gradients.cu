// The gradients of attention on sm_90a, as attention.cu has them without extras: TMA brings tiles, wgmma multiplies them where they lie.
//
// PASS = QUERY: a block has ROWS queries and the gradients of their outputs (mine), and meets keys and values (others).  PASS = KEY: it
// has keys and values, and meets the queries, and gradients, of its group of heads in order.  So each sum has one order and one block.
// Scores and weights stay in registers, from which they are multiplied again; a tile's last products run while the next tile's first
// wait behind them.
// Two warpgroups have 64 lines each; a warp of a third brings tiles, and in KEY the numbers of their queries.  Two turns, each with a
// barrier that says it is full and one that says it is free.
// Constants: T: half or bfloat16; PASS; COLUMNS: others of a tile; SIZE: a multiple of 64; WIDTH: the columns of a block's sums; the rest
// as it must be: B = T, EXTRAS = 0, TENSOR = 1, ROWS = 128, M = 1.  Dynamic shared memory: (2 ROWS + 4 COLUMNS) SIZE elements.
#include "common.cuh"
#include "hopper.cuh"
#include "attention.cuh"
#include "attention_tensor.cuh"
#include "attention_scores.cuh"
#include "attention_hopper.cuh"

struct Barriers {
  gl::MBarrier mine, full[TURNS], free[TURNS];
};
// Of the queries that a block meets: the logarithms of their sums, and what the gradients of their scores have in common.
struct Numbers {
  A sum[TURNS][BY_KEY ? COLUMNS : 1], common[TURNS][BY_KEY ? COLUMNS : 1];
};
// The tiles that a block meets: of one head of keys, or of a group of heads of queries, one head after the other.
struct Walk {
  int head, begin, tiles, count;
  GL_DEVICE Walk(const Scores& rules, int first, int mine, int group)
      : head(BY_KEY ? mine * group : mine / group), begin(rules.begin(first)),
        tiles(gl::max(rules.end(first) - begin + COLUMNS - 1, 0) / COLUMNS), count(BY_KEY ? tiles * group : tiles) {}
  GL_DEVICE int head_of(int i) const { return head + i / tiles; }
  GL_DEVICE int place(int i) const { return begin + i % tiles * COLUMNS; }
};
struct Maps {
  const gl::TensorMap *mine[2], *other[2];
};

// A warp brings all tiles, in the order in which they are used: its first thread by TMA.
GL_DEVICE void bring(unsigned char* to, Barriers& bars, Numbers& numbers, const Maps& maps, const Walk& walk, const A* sums, const A* delta,
                     int first, int head, int batch, const Problem& p) {
  const int lane = threadIdx.x % 32;
  if (lane == 0) {
    gl_mbarrier_expect(&bars.mine, 2 * BOXES * MINE_BOX);
#pragma unroll
    for (int i = 0; i < 2 * BOXES; i++)
      gl_tma_load(to + i * MINE_BOX, maps.mine[i / BOXES], &bars.mine, i % BOXES * 64, first, head, batch);
  }
  to += 2 * BOXES * MINE_BOX;
  int turn = 0, phase = 1;
#pragma unroll 1
  for (int item = 0; item < walk.count; item++) {
    const int place = walk.place(item), other = walk.head_of(item);
    gl::MBarrier* full = &bars.full[turn];
    gl_mbarrier_wait(&bars.free[turn], phase);
    if (lane == 0) {
      gl_mbarrier_expect(full, 2 * TILE);
#pragma unroll
      for (int i = 0; i < 2 * BOXES; i++)
        gl_tma_load(to + turn * 2 * TILE + i * BOX, maps.other[i / BOXES], full, i % BOXES * 64, place, other, batch);
    }
    if (BY_KEY) {
      const long long line = ((long long)batch * p.heads + other) * p.length + place;
#pragma unroll
      for (int i = lane; i < COLUMNS; i += 32) {
        const bool there = place + i < p.length;
        numbers.sum[turn][i] = there ? sums[line + i] : A(gl::infinity());
        numbers.common[turn][i] = there ? delta[line + i] : A(0);
      }
      gl_mbarrier_arrive(full);
    }
    turn ^= 1;
    if (turn == 0) phase ^= 1;
  }
}

extern "C" __global__ void __launch_bounds__(THREADS + 128, 1) attention_hopper_gradients(
    const __grid_constant__ gl::TensorMap mine_first, const __grid_constant__ gl::TensorMap mine_second,
    const __grid_constant__ gl::TensorMap first_others, const __grid_constant__ gl::TensorMap second_others, const int* lengths,
    const int* starts, const A* sums, const A* delta, T* of_first, T* of_second, A scale, Problem p) {
  __shared__ Barriers bars;
  __shared__ Numbers numbers;
  unsigned char* mine = (unsigned char*)Stage().tiles;
  const unsigned char* others = mine + 2 * BOXES * MINE_BOX;
  const int all = BY_KEY ? p.keys : p.length, heads = BY_KEY ? p.heads / p.group : p.heads, tiles = (all + ROWS - 1) / ROWS;
  const Place at(tiles, SLICES, heads);
  const int first = (BY_KEY ? at.tile : tiles - 1 - at.tile) * ROWS, warpgroup = threadIdx.x / 128;
  const Scores rules(p, 0, 0, lengths, starts, at.batch, at.head);
  const Walk walk(rules, first, at.head, p.group);
  if (threadIdx.x == 0) {
    gl_mbarrier_init(&bars.mine, 1);
    for (int i = 0; i < TURNS; i++) {
      gl_mbarrier_init(&bars.full[i], BY_KEY ? 33 : 1);
      gl_mbarrier_init(&bars.free[i], THREADS);
    }
    gl::mbarriers_made();
  }
  __syncthreads();
  if (warpgroup == THREADS / 128) {
    gl::registers_down<40>();
    if (threadIdx.x < THREADS + (BY_KEY ? 32 : 1) && walk.count) {
      const Maps maps = {{&mine_first, &mine_second}, {&first_others, &second_others}};
      bring(mine, bars, numbers, maps, walk, sums, delta, first, at.head, at.batch, p);
    }
    return;  // No barrier of the block comes after this.
  }
  gl::registers_up<232>();
  const A factor = scale * UNIT;
  Sums firsts, seconds;  // Of the first others, weighted by the scores' gradients; of the second, by the weights: in KEY only.
  A sum[LINES], common[LINES];
#pragma unroll
  for (int i = 0; i < LINES; i++) {
    const int line = first + row(i);
    const long long place = ((long long)at.batch * p.heads + at.head) * p.length + line;
    sum[i] = !BY_KEY && line < p.length ? sums[place] : A(gl::infinity());
    common[i] = !BY_KEY && line < p.length ? delta[place] : A(0);
#pragma unroll
    for (int c = 0; c < SUMS; c++) firsts.at(i, c) = seconds.at(i, c) = 0;
  }
  if (walk.count) {
    mine += warpgroup * 64 * LINE;
    const uint32 slice = at.slice * (WIDTH / 64) * BOX;  // Where the columns begin that the block sums.
    Tile s, d;
    uint32 weights[COLUMNS / 16][4], applied[COLUMNS / 16][4];
    gl_mbarrier_wait(&bars.mine, 0);
    int turn = 0, phase = 0;
#pragma unroll 1
    for (int item = 0; item < walk.count; item++) {
      const unsigned char *first_other = others + turn * 2 * TILE, *second_other = first_other + TILE;
      gl_mbarrier_wait(&bars.full[turn], phase);
      gl_wgmma_fence();
      inner(s, mine, first_other);
      gl_wgmma_wait(1);  // For the products of the tile before: their weights' registers are free now.
      gl::pin<WIDTH / 2>(firsts.v[0][0]);
      if (BY_KEY) gl::pin<WIDTH / 2>(seconds.v[0][0]);
      if (item) gl_mbarrier_arrive(&bars.free[turn ^ 1]);
      gl_wgmma_fence();
      inner(d, mine + BOXES * MINE_BOX, second_other);
      gl_wgmma_wait(1);
      gl::pin<COLUMNS / 2>(s.v[0][0]);
      restricted(s, rules, first, walk.place(item), factor);
#pragma unroll
      for (int j = 0; j < PLACES; j++)
#pragma unroll
        for (int i = 0; i < LINES; i++) s.at(i, j) = power(s.at(i, j) * factor - (BY_KEY ? numbers.sum[turn][column(j)] : sum[i]));
      if (BY_KEY) pack(applied, s);
      gl_wgmma_wait(0);
      gl::pin<COLUMNS / 2>(d.v[0][0]);
#pragma unroll
      for (int j = 0; j < PLACES; j++)
#pragma unroll
        for (int i = 0; i < LINES; i++) s.at(i, j) *= d.at(i, j) - (BY_KEY ? numbers.common[turn][column(j)] : common[i]);
      pack(weights, s);
      gl_wgmma_fence();
      if (BY_KEY) outer(seconds, applied, second_other + slice);
      outer(firsts, weights, first_other + slice);
      turn ^= 1;
      if (turn == 0) phase ^= 1;
    }
    gl_wgmma_wait(0);
    gl::pin<WIDTH / 2>(firsts.v[0][0]);
    if (BY_KEY) gl::pin<WIDTH / 2>(seconds.v[0][0]);
  }
  A ones[LINES], scales[LINES];
#pragma unroll
  for (int i = 0; i < LINES; i++) ones[i] = 1, scales[i] = scale;
  const long long line = ((long long)at.batch * all + first) * heads + at.head;
  put(of_first + line * p.size, (long long)heads * p.size, all - first, p.size, at.slice * WIDTH, firsts, scales);
  if (BY_KEY) put(of_second + line * p.value_size, (long long)heads * p.value_size, all - first, p.value_size, at.slice * WIDTH, seconds, ones);
}
