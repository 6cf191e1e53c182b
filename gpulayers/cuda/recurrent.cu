// Recurrent layers, step by step: what follows the product of a step's states, for all sequences at once.
//
// Arrays: (directions, count, steps, units), gates and their gradients (..., SLOTS), one step's (directions, count, units); see
// recurrent.cuh.  States are T, and so is what a product takes; between steps a carry, a GRU's state and all gradients stay in A.
// A thread has a unit of a sequence.  Masked steps (mask: false) keep their states and have no gradients, whatever they see.
// The last two kernels are an LSTM's step for others who compute its products.
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

// The gates of all steps whose states are known: `gates` has all products that they are computed from, of GRU_BEFORE only the first one
// unless it is the second time.  before: the states before each step.
extern "C" __global__ void __launch_bounds__(THREADS) recurrent_again(
    T* gates, const T* bias, const T* before, T* reset, Sizes sizes, int directions, bool second) {
  const long long i = (long long)blockIdx.x * THREADS + threadIdx.x, each = sizes.count * sizes.steps * sizes.units;
  if (i >= directions * each) return;
  long long unit, rest;
  const long long direction = gl::divided(i, each, &rest);
  gl::divided(rest, sizes.units, &unit);
  A s[SLOTS], carry = 0;
  read_slots(s, gates + i * SLOTS);
#pragma unroll
  for (int e = 0; e < SLOTS; e++)
    if (bias && (!RESETS_FIRST || second == (e == 2))) s[e] += gl::to<A>(bias[(direction * sizes.units + unit) * SLOTS + e]);
  if (RESETS_FIRST && !second) {
    s[0] = activated<GATE>(s[0]);
    s[1] = activated<GATE>(s[1]);
    reset[i] = gl::from<T>(s[1] * gl::to<A>(before[i]));
  } else {
    advanced(s, carry);
  }
  write_slots(gates + i * SLOTS, s);
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

// One step of an LSTM whose gates lie one behind the other: (rows, 4, width), in two arrays that are added.  seen: of sequences that
// are `stride` elements apart, each with `each` rows.  carry, state, new_carry: (rows, width).  A thread has PER elements of a row.
constexpr int PER = gl::Vector<T>::size;
struct Quarters {
  long long row, column, index, first;  // index: of the row among rows of a quarter; first: of its elements in `seen`.
  bool there, whole;
  GL_DEVICE Quarters(long long rows, long long width, long long stride, long long each) {
    const long long pieces = (width + PER - 1) / PER;
    row = gl::divided((long long)blockIdx.x * THREADS + threadIdx.x, pieces, &column);
    column *= PER, there = row < rows, whole = width % PER == 0 && stride % PER == 0;
    index = row * width;
    long long rest;
    first = gl::divided(row, each, &rest) * stride;
    first += rest * 4 * width;
  }
};
// What gates are computed from.
GL_DEVICE void read_quarters(A (*s)[4], const Quarters& at, const T* seen, const T* weighed, long long width, bool whole) {
#pragma unroll
  for (int gate = 0; gate < 4; gate++) {
    const gl::Vector<T> a = gl::load(seen + at.first + gate * width, at.column, width, whole);
    const gl::Vector<T> b = gl::load(weighed + at.index * 4 + gate * width, at.column, width, whole);
#pragma unroll
    for (int e = 0; e < PER; e++) s[e][gate] = gl::to<A>(a.at[e]) + gl::to<A>(b.at[e]);
  }
}

extern "C" __global__ void __launch_bounds__(THREADS) lstm_step_forward(
    const T* seen, const T* weighed, const T* carry, T* state, T* new_carry, long long rows, long long width, long long stride,
    long long each) {
  const Quarters at(rows, width, stride, each);
  if (!at.there) return;
  const bool whole = at.whole && gl::aligned(seen, weighed) && gl::aligned(carry, state, new_carry);
  A s[PER][4], h[PER], c[PER];
  read_quarters(s, at, seen, weighed, width, whole);
  const gl::Vector<T> before = gl::load(carry + at.index, at.column, width, whole);
#pragma unroll
  for (int e = 0; e < PER; e++) {
    c[e] = gl::to<A>(before.at[e]);
    h[e] = advanced(s[e], c[e]);
  }
  gl::store(state + at.index, at.column, width, whole, gl::packed<T>(h));
  gl::store(new_carry + at.index, at.column, width, whole, gl::packed<T>(c));
}

// d: like weighed; d_carry: of the carry before.
extern "C" __global__ void __launch_bounds__(THREADS) lstm_step_backward(
    const T* g, const T* g_carry, const T* seen, const T* weighed, const T* carry, const T* new_carry, T* d, T* d_carry,
    long long rows, long long width, long long stride, long long each) {
  const Quarters at(rows, width, stride, each);
  if (!at.there) return;
  const bool whole = at.whole && gl::aligned(g, g_carry, seen, weighed) && gl::aligned(carry, new_carry, d, d_carry);
  A s[PER][4], dc[PER];
  read_quarters(s, at, seen, weighed, width, whole);
  const gl::Vector<T> of_state = gl::load(g + at.index, at.column, width, whole);
  const gl::Vector<T> of_carry = gl::load(g_carry + at.index, at.column, width, whole);
  const gl::Vector<T> before = gl::load(carry + at.index, at.column, width, whole);
  const gl::Vector<T> after = gl::load(new_carry + at.index, at.column, width, whole);
#pragma unroll
  for (int e = 0; e < PER; e++) {
    A gates[4], to[4], c = gl::to<A>(before.at[e]);
#pragma unroll
    for (int gate = 0; gate < 4; gate++) gates[gate] = s[e][gate];
    advanced(gates, c);
    dc[e] = gl::to<A>(of_carry.at[e]);
    went_back(gl::to<A>(of_state.at[e]), gates, A(0), gl::to<A>(before.at[e]), gl::to<A>(after.at[e]), dc[e], to);
#pragma unroll
    for (int gate = 0; gate < 4; gate++) s[e][gate] = to[gate];
  }
#pragma unroll
  for (int gate = 0; gate < 4; gate++) {
    A of[PER];
#pragma unroll
    for (int e = 0; e < PER; e++) of[e] = s[e][gate];
    gl::store(d + at.index * 4 + gate * width, at.column, width, whole, gl::packed<T>(of));
  }
  gl::store(d_carry + at.index, at.column, width, whole, gl::packed<T>(dc));
}
