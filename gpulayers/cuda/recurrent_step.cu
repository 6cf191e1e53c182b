// Recurrent layers, a launch for each step: the product of a step's states, and all that follows it (recurrent.cuh) where it ends.
//
// Arrays as in recurrent.cu; a block has TILE sequences and, with gates side by side, TILE / SLOTS units, TILE of them on the way
// back.  Sums stay in A.  `left`: what is multiplied by the weights (directions, units, units * SLOTS), of one step of each
// direction: (count, units), on the way back (count, units * SLOTS); it begins `offset` elements behind `left`, with ld elements
// from sequence to sequence, `stride` from direction to direction.
// Blocks in order of their tiles of sequences (`down` of them), then of units, then of directions.
// The second launch of a GRU_BEFORE on the way back writes what others read meanwhile, and multiply by zeros.
// Constants: T, CELL, ACTIVATION, GATE; TILE: 64; TENSOR as in tiles.cuh.
#include "common.cuh"
#include "activations.cuh"
#include "recurrent.cuh"

#define ROWS TILE
#define COLUMNS TILE
#include "tiles.cuh"

extern "C" __global__ void __launch_bounds__(THREADS, 2) recurrent_step_forward(
    const T* left, long long offset, long long ld, long long stride, const T* weights, T* gates, const T* bias, const T* first,
    T* states, T* carries, A* carry, T* reset, const bool* mask, Sizes sizes, int down, long long step, bool save, bool second) {
  const long long columns = sizes.units * SLOTS, across = (columns + TILE - 1) / TILE;
  const long long row = blockIdx.x % down * TILE, rest = blockIdx.x / down, column = rest % across * TILE, direction = rest / across;
  left += offset + direction * stride;
  weights += direction * sizes.units * columns;
  Lines<true, TILE> a(left, ld, sizes.count, row, 0, gl::aligned(left) && ld % PER == 0);
  Lines<false, TILE> b(weights, columns, columns, column, 0, gl::aligned(weights) && columns % PER == 0);
  const Forward f = {bias, first, gates, states, carries, reset, carry, mask, sizes, save};
  const auto out = [&](const A* sum, int i, int j) {
    if (row + i >= sizes.count) return;
#pragma unroll
    for (int k = 0; k < 8; k += SLOTS)
      if (column + j + k < columns) step_forward(f, direction, row + i, step, (int)(column + j + k) / SLOTS, sum + k, second);
  };
  compute(a, b, sizes.units, out);
}

// depth: units * SLOTS, or 0 at the last step, behind which there is none.
extern "C" __global__ void __launch_bounds__(THREADS, 2) recurrent_step_backward(
    const T* left, long long offset, long long ld, long long stride, const T* weights, long long depth, const T* g,
    const T* g_carry, const T* gates, const T* first, const T* first_carry, const T* states, const T* carries, T* d, A* direct,
    A* d_carry, const bool* mask, Sizes sizes, int down, long long step, bool second) {
  const long long columns = sizes.units * SLOTS, across = (sizes.units + TILE - 1) / TILE;
  const long long row = blockIdx.x % down * TILE, rest = blockIdx.x / down, unit = rest % across * TILE, direction = rest / across;
  left += offset + direction * stride;
  weights += direction * sizes.units * columns;
  Lines<true, TILE> a(left, ld, sizes.count, row, 0, gl::aligned(left) && ld % PER == 0);
  Lines<true, TILE> b(weights, columns, sizes.units, unit, 0, gl::aligned(weights) && columns % PER == 0);
  const Backward back = {g, g_carry, gates, first, first_carry, states, carries, d, direct, d_carry, mask, sizes};
  const auto out = [&](const A* sum, int i, int j) {
    if (row + i >= sizes.count) return;
#pragma unroll 1
    for (int k = 0; k < 8; k++)
      if (unit + j + k < sizes.units) step_back(back, direction, row + i, step, (int)(unit + j + k), sum[k], second);
  };
  compute(a, b, depth, out);
}
