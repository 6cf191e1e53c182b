// Recurrent layers, all steps in one launch: the recurrent weights stay in the registers and the shared memory of the blocks that
// share them, and states go from block to block.
//
// A group of blocks has up to 16 * row_tiles sequences of one direction; each of its `slices` blocks has OWN units of them, and
// those columns of the weights.  Forward, all blocks of a group need all states of the step before.  On the way back a block
// multiplies the gradients of its own gates, with the same weights, and gives each block what it adds to the gradients of its units;
// they are added in the order of the blocks.  So blocks wait for each other once a step, SLICES says how:
//   1                 a block has a group for itself
//   2, 4, 8           the blocks are a cluster, and write to each other's shared memory (sm_90)
//   0                 `slices` blocks of a cooperative launch, which exchange through memory, and count arrivals in `arrived`: one
//                     word of zeros for each group (sm_80)
// GRU_BEFORE has two products a step, and so two exchanges: forward of states, then of r times them, in `reset`; on the way back what
// comes through r first.  Each is one with all weights, of which some slots count.
// Arrays as in recurrent.cu; weights: (directions, units, units * SLOTS).  Carries, a GRU's states and all gradients stay in A from
// step to step; states are T, as they are stored, where they are multiplied.  direct, d_carry: what is left at the first step, of
// states and of carries.
// A tile of weights is 2 KB: 16 deep and CHUNK columns wide.  A warp multiplies 16 sequences by all tiles of some columns, or of a
// part of them along the depth if there are fewer columns than warps.
// Constants: T, CELL, ACTIVATION, GATE; OWN, so that OWN * SLOTS is a multiple of CHUNK; SLICES; TENSOR: 1 with
// tensor cores (half; bfloat16 from sm_80), 0 for float; HELD: how many tiles a warp has in its registers, 0 without tensor cores.
#include "common.cuh"
#include "hopper.cuh"
#include "activations.cuh"
#include "recurrent.cuh"
#include "recurrent_scan.cuh"

constexpr int PHASES = RESETS_FIRST ? 2 : 1;

#if SLICES <= 1
#undef GL_CLUSTER  // There are none.
#define GL_CLUSTER(n)
#endif

// --------------------------------------------------------------------------------------------------------------- forward
// The states before a step of 16 sequences, or `reset` at it if that is not NULL, as they were stored by all blocks of the group, to
// shared memory.
GL_DEVICE void gather(
    T* left, int ld, const T* first, const T* states, const T* reset, const Sizes& sizes, const Place& here, long long row, long long step) {
  const bool whole = gl::aligned(first, states, reset) && sizes.units % PAD == 0;
  const int pieces = whole ? (int)sizes.units / PAD : (int)sizes.units;
  for (int i = threadIdx.x; i < ROWS * pieces; i += THREADS) {
    const int line = i / pieces, k = i % pieces * (whole ? PAD : 1);
    if (row + line >= sizes.count) break;
    const Unit at(sizes, here.direction, row + line, step, k);
    const T* from = reset ? reset + at.state : at.first ? first + at.single : states + at.state + at.before;
    if (whole) gl_cp_async16(left + line * ld + k, from, true);
    else left[line * ld + k] = fresh(from);
  }
  gl::cp_commit();
  gl::cp_wait<0>();
}

extern "C" __global__ void GL_CLUSTER(SLICES) __launch_bounds__(THREADS, 1) recurrent_scan_forward(
    T* gates, const T* bias, const T* weights, const T* first, const T* first_carry, T* states, T* carries, T* reset,
    const bool* mask, uint32* arrived, Sizes sizes, Plan plan, bool save) {
  const Place here(plan);
  const int ld = plan.padded + PAD, buffers = GRID ? 1 : 2;
  GL_DYN_SMEM(T, left);
  float* sums = (float*)(left + buffers * ROWS * ld);
  float* carry = sums + plan.parts * ROWS * WIDE;
  float* added = carry + plan.row_tiles * UNITS;
  const T* own_weights = weights + here.direction * sizes.units * sizes.units * SLOTS + here.slice * WIDE;
  const int own_columns = (int)gl::min((long long)WIDE, (sizes.units - here.slice * OWN) * SLOTS);
  Product product(plan.padded, WIDE, plan.parts, (uint4*)(added + WIDE), [&](int k, int column) {
    return k < sizes.units && column < own_columns ? own_weights[k * sizes.units * SLOTS + column] : T();
  });
  for (int i = threadIdx.x; i < buffers * ROWS * ld; i += THREADS) left[i] = T();
  for (int i = threadIdx.x; i < WIDE; i += THREADS)
    added[i] = bias && i < own_columns ? gl::to<A>(bias[(here.direction * sizes.units + here.slice * OWN) * SLOTS + i]) : A(0);
  for (int tile = 0; tile < plan.row_tiles; tile++)
    for (int i = 0; i < EACH; i++) {
      const Mine mine(i);
      long long n;
      int unit;
      if (!mine.there(here, sizes, tile, &n, &unit)) continue;
      const Unit at(sizes, here.direction, n, 0, unit);
      carry[tile * UNITS + mine.index] = gl::to<A>(CELL == LSTM ? first_carry[at.single] : first[at.single]);
    }
  __syncthreads();
  if (!GRID) gather(left, ld, first, states, 0, sizes, here, here.row, 0);
  if (CLUSTER) meet(here, arrived, 0);  // All of them have begun.
  else __syncthreads();

#pragma unroll 1
  for (long long times = 0; times < sizes.steps * PHASES; times++) {
    const long long step = times / PHASES;
    const bool resets = RESETS_FIRST && times % 2 == 0;  // Only z and r come of it.
    const T* now = left + (GRID ? 0 : times % 2 * ROWS * ld);
    T* next = left + (GRID ? 0 : (1 - times % 2) * ROWS * ld);
#pragma unroll 1
    for (int tile = 0; tile < plan.row_tiles; tile++) {
      Slots ahead[EACH];
      bool there[EACH];
#pragma unroll
      for (int i = 0; i < EACH; i++) {
        long long n;
        int unit;
        if (!Mine(i).there(here, sizes, tile, &n, &unit)) continue;
        const Unit at(sizes, here.direction, n, step, unit);
        ahead[i] = *(const Slots*)(gates + at.state * SLOTS);
        there[i] = !mask || mask[at.time];
      }
      if (GRID) {
        gather(left, ld, first, states, RESETS_FIRST && !resets ? reset : 0, sizes, here, here.row + tile * ROWS, step);
        __syncthreads();
      }
      product.multiply(now, ld, [&](int part, int row, int column, float2 two) { *(float2*)(sums + (part * ROWS + row) * WIDE + column) = two; });
      __syncthreads();
#pragma unroll
      for (int i = 0; i < EACH; i++) {
        const Mine mine(i);
        long long n;
        int unit;
        if (!mine.there(here, sizes, tile, &n, &unit)) continue;
        const Unit at(sizes, here.direction, n, step, unit);
        A s[SLOTS];
#pragma unroll
        for (int e = 0; e < SLOTS; e++)
          s[e] = gl::to<A>(ahead[i].at[e]) + (RESETS_FIRST && resets == (e == 2) ? 0 : added[mine.unit * SLOTS + e]);
        for (int part = 0; part < plan.parts; part++)
#pragma unroll
          for (int e = 0; e < SLOTS; e++)
            if (!RESETS_FIRST || resets != (e == 2)) s[e] += sums[(part * ROWS + mine.row) * WIDE + mine.unit * SLOTS + e];
        const A kept = carry[tile * UNITS + mine.index];
        T state;
        if (resets) {
          s[0] = activated<GATE>(s[0]);
          s[1] = activated<GATE>(s[1]);
          reset[at.state] = state = gl::from<T>(s[1] * kept);
        } else {
          A c = kept;
          const A new_state = advanced(s, c);
          state = there[i] ? gl::from<T>(new_state) : RESETS_FIRST ? gl::from<T>(kept) : now[mine.row * ld + unit];
          if (!there[i]) c = kept;
          carry[tile * UNITS + mine.index] = c;
          states[at.state] = state;
          if (CELL == LSTM) carries[at.state] = gl::from<T>(c);
        }
        if (CELL != SIMPLE && (save || resets)) write_slots(gates + at.state * SLOTS, s);
        if (!GRID) next[mine.row * ld + unit] = state;
      }
      if (GRID && tile + 1 < plan.row_tiles) __syncthreads();
    }
    if (CLUSTER) {  // The block's own units to the others.
      __syncthreads();
      constexpr int PIECES = OWN / PAD;
      for (int i = threadIdx.x; i < (SLICES - 1) * ROWS * PIECES; i += THREADS) {
        const int other = i / (ROWS * PIECES), line = i / PIECES % ROWS;
        T* const from = next + line * ld + here.slice * OWN + i % PIECES * PAD;
        *(uint4*)gl::at_rank(from, (here.slice + 1 + other) % SLICES) = *(const uint4*)from;
      }
    }
    if (!GRID || times + 1 < sizes.steps * PHASES) meet(here, arrived, times + 1);
  }
}

// -------------------------------------------------------------------------------------------------------------- backward
struct Ahead {
  Slots gates;
  T g, g_carry, y, before, c;
  bool there;
};

// exchanged: for GRID, (2, groups, row_tiles, slices, slices * parts_back, 16, OWN) numbers.
extern "C" __global__ void GL_CLUSTER(SLICES) __launch_bounds__(THREADS, 1) recurrent_scan_backward(
    const T* g, const T* g_carry, const T* gates, const T* weights, const T* first, const T* first_carry, const T* states,
    const T* carries, T* d, A* direct, A* d_carry, A* exchanged, const bool* mask, uint32* arrived, Sizes sizes, Plan plan) {
  const Place here(plan);
  constexpr int ld = WIDE + PAD;
  const int sources = here.slices * plan.parts_back;
  GL_DYN_SMEM(T, left);
  float* kept = (float*)(left + ROWS * ld);  // What goes directly to the states before, and the carries' gradients.
  float* incoming = kept + plan.row_tiles * UNITS * 2;
  const T* own_weights = weights + here.direction * sizes.units * sizes.units * SLOTS + here.slice * WIDE;
  const int own_columns = (int)gl::min((long long)WIDE, (sizes.units - here.slice * OWN) * SLOTS);
  uint4* tiles = (uint4*)(incoming + (GRID ? 0 : CLUSTER ? 2 * sources * UNITS : sources * UNITS));
  Product product(WIDE, plan.padded, plan.parts_back, tiles, [&](int k, int unit) {
    return unit < sizes.units && k < own_columns ? own_weights[unit * sizes.units * SLOTS + k] : T();
  });
  for (int i = threadIdx.x; i < ROWS * ld; i += THREADS) left[i] = T();
  for (int i = threadIdx.x; i < plan.row_tiles * UNITS * 2; i += THREADS) kept[i] = 0;
  if (CLUSTER) meet(here, arrived, 0);  // All of them have begun.
  else __syncthreads();

  // Where the gradients lie that the blocks of the group have sent to block `to` of it, at times of this parity.
  const auto sent = [&](int to, int tile, int parity) -> float* {
    if (GRID) {
      const long long groups = gridDim.x / here.slices;
      return exchanged + (((parity * groups + here.group) * plan.row_tiles + tile) * here.slices + to) * sources * UNITS;
    }
    if (!CLUSTER) return incoming;
    float* const own = incoming + parity * sources * UNITS;
    return to == here.slice ? own : gl::at_rank(own, to);
  };
  const auto received = [&](const float* from, int index) {
    A sum = 0;
    for (int i = 0; i < sources; i++) sum += GRID ? fresh(from + i * UNITS + index) : from[i * UNITS + index];
    return sum;
  };
  Ahead ahead[EACH];
  const auto look_ahead = [&](long long step, int tile) {
#pragma unroll
    for (int i = 0; i < EACH; i++) {
      long long n;
      int unit;
      if (step < 0 || !Mine(i).there(here, sizes, tile, &n, &unit)) continue;
      const Unit at(sizes, here.direction, n, step, unit);
      ahead[i].g = g[at.state];
      ahead[i].there = !mask || mask[at.time];
      if (CELL == SIMPLE) ahead[i].y = states[at.state];
      else ahead[i].gates = *(const Slots*)(gates + at.state * SLOTS);
      if (CELL == LSTM) ahead[i].g_carry = g_carry[at.state], ahead[i].c = carries[at.state];
      if (CELL == LSTM) ahead[i].before = at.first ? first_carry[at.single] : carries[at.state + at.before];
      if (CELL == GRU || RESETS_FIRST) ahead[i].before = at.first ? first[at.single] : states[at.state + at.before];
    }
  };
  look_ahead(sizes.steps - 1, 0);
#pragma unroll 1
  for (long long times = 0; times < sizes.steps * PHASES; times++) {
    const long long step = sizes.steps - 1 - times / PHASES;
    const bool resets = RESETS_FIRST && times % 2;  // What has come through r is there.
#pragma unroll 1
    for (int tile = 0; tile < plan.row_tiles; tile++) {
      const float* from = sent(here.slice, tile, (times + 1) % 2);
#pragma unroll
      for (int i = 0; i < EACH; i++) {
        const Mine mine(i);
        long long n;
        int unit;
        if (!mine.there(here, sizes, tile, &n, &unit)) continue;
        const Unit at(sizes, here.direction, n, step, unit);
        const Ahead& now = ahead[i];
        float* const both = kept + (tile * UNITS + mine.index) * 2;
        const A back = times ? received(from, mine.index) : A(0);
        A s[SLOTS], to[SLOTS];
#pragma unroll
        for (int e = 0; e < SLOTS; e++) s[e] = CELL == SIMPLE ? A(0) : gl::to<A>(now.gates.at[e]), to[e] = 0;
        if (resets) {
          if (now.there) {
            read_slots(to, d + at.state * SLOTS);
            to[1] = passed_back<GATE>(back * gl::to<A>(now.before), s[1]);
            both[0] += back * s[1];
          }
        } else {
          A own = gl::to<A>(now.g) + both[0] + back, dc = CELL == LSTM ? both[1] + gl::to<A>(now.g_carry) : A(0);
          if (now.there)
            own = went_back(
                own, s, CELL == SIMPLE ? gl::to<A>(now.y) : A(0), CELL == SIMPLE ? A(0) : gl::to<A>(now.before),
                CELL == LSTM ? gl::to<A>(now.c) : A(0), dc, to);
          both[0] = own, both[1] = dc;
        }
        write_slots(d + at.state * SLOTS, to);
        if (RESETS_FIRST) {  // First n alone is multiplied, then z and r.
#pragma unroll
          for (int e = 0; e < SLOTS; e++)
            if (resets == (e == 2)) to[e] = 0;
        }
        write_slots(left + mine.row * ld + mine.unit * SLOTS, to);
      }
      const bool end = tile + 1 == plan.row_tiles;
      look_ahead(end ? sizes.steps - 1 - (times + 1) / PHASES : step, end ? 0 : tile + 1);
      __syncthreads();
      product.multiply(left, ld, [&](int part, int row, int unit, float2 two) {
        *(float2*)(sent(unit / OWN, tile, times % 2) + ((here.slice * plan.parts_back + part) * ROWS + row) * OWN + unit % OWN) = two;
      });
      if (!end) __syncthreads();
    }
    meet(here, arrived, times + 1);
  }
  for (int tile = 0; tile < plan.row_tiles; tile++)
    for (int i = 0; i < EACH; i++) {
      const Mine mine(i);
      long long n;
      int unit;
      if (!mine.there(here, sizes, tile, &n, &unit)) continue;
      const Unit at(sizes, here.direction, n, 0, unit);
      const float* both = kept + (tile * UNITS + mine.index) * 2;
      direct[at.single] = both[0] + received(sent(here.slice, tile, (sizes.steps * PHASES - 1) % 2), mine.index);
      if (CELL == LSTM) d_carry[at.single] = both[1];
    }
}
