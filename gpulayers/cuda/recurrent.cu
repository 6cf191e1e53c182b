// Recurrent layers, step by step: what follows the product of a step's states, for all sequences at once.
//
// Arrays: (directions, count, steps, units), gates and their gradients (..., SLOTS), one step's (directions, count, units); see
// recurrent.cuh.  States are T, and so is what a product takes; between steps a carry, a GRU's state and all gradients stay in A.
// A thread has a unit of a sequence.  Masked steps (mask: false) keep their states and have no gradients, whatever they see.
// Constants: T, CELL, ACTIVATION, GATE.
#include "common.cuh"
#include "activations.cuh"
#include "recurrent.cuh"

#define THREADS 256

// The thread's unit; false behind the last one.
GL_DEVICE bool mine(const Sizes& sizes, int directions, long long* direction, long long* n, int* unit) {
  const long long index = (long long)blockIdx.x * THREADS + threadIdx.x;
  long long rest;
  *direction = gl::divided(index, sizes.count * sizes.units, &rest);
  *n = gl::divided(rest, sizes.units, &rest);
  *unit = (int)rest;
  return *direction < directions;
}

extern "C" __global__ void __launch_bounds__(THREADS) recurrent_forward(
    T* gates, const T* bias, const T* first, T* states, T* carries, A* carry, T* reset, const bool* mask, Sizes sizes,
    int directions, long long step, bool save, bool second) {
  long long direction, n;
  int unit;
  if (!mine(sizes, directions, &direction, &n, &unit)) return;
  const Forward f = {bias, first, gates, states, carries, reset, carry, mask, sizes, save};
  step_forward(f, direction, n, step, unit, 0, second);
}

// back: (directions, count, units), the product of the gradients of the step after; NULL at the last step.
extern "C" __global__ void __launch_bounds__(THREADS) recurrent_backward(
    const T* g, const T* g_carry, const T* gates, const T* first, const T* first_carry, const T* states, const T* carries, T* d,
    const T* back, A* direct, A* d_carry, const bool* mask, Sizes sizes, int directions, long long step, bool second) {
  long long direction, n;
  int unit;
  if (!mine(sizes, directions, &direction, &n, &unit)) return;
  const Backward b = {g, g_carry, gates, first, first_carry, states, carries, d, direct, d_carry, mask, sizes};
  const A got = back ? gl::to<A>(back[(direction * sizes.count + n) * sizes.units + unit]) : A(0);
  step_back(b, direction, n, step, unit, got, second);
}

// The gradients of the first states, from their two parts (back: NULL if there is one), and of the first carries.
extern "C" __global__ void __launch_bounds__(THREADS) recurrent_finish(
    const T* back, const A* direct, const A* d_carry, T* d_first, T* d_first_carry, long long count) {
  const long long i = (long long)blockIdx.x * THREADS + threadIdx.x;
  if (i >= count) return;
  d_first[i] = gl::from<T>(direct[i] + (back ? gl::to<A>(back[i]) : A(0)));
  if (CELL == LSTM) d_first_carry[i] = gl::from<T>(d_carry[i]);
}

// Weights (rows, gates * units) as (rows, units, SLOTS), or back.  order: which gate a slot has, 4 bits for each from the lowest on;
// 15: none, which packs zeros.  add: to what is there.
extern "C" __global__ void __launch_bounds__(THREADS) recurrent_pack(
    T* weights, T* packed, long long rows, int units, int gates, int order, bool unpack, bool add) {
  const long long i = (long long)blockIdx.x * THREADS + threadIdx.x, row = i / units;
  const int unit = (int)(i - row * units);
  if (row >= rows) return;
#pragma unroll
  for (int slot = 0; slot < SLOTS; slot++) {
    const int gate = order >> 4 * slot & 15;
    T* const one = weights + (row * gates + gate) * units + unit;
    T* const other = packed + i * SLOTS + slot;
    if (unpack) {
      if (gate != 15) *one = *other;
      continue;
    }
    const A value = gate == 15 ? A(0) : gl::to<A>(*one);
    *other = gl::from<T>(add ? gl::to<A>(*other) + value : value);
  }
}
