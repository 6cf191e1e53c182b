// What the kernels of recurrent layers have in common: cells, and where the numbers of a unit lie.
//
// CELL: SIMPLE, LSTM, GRU, or GRU_BEFORE, whose r comes before the product.  ACTIVATION, GATE: LINEAR, RELU, SIGMOID or TANH, of
// states and of gates.  A unit's gates lie side by side, in SLOTS:
//   LSTM i f n o; SIMPLE the state; GRU z r n v, where r multiplies v, which comes from the product of states alone.
// So one product of states gives all that a unit needs, for GRUs too: with zeros in the weights of n.  GRU_BEFORE takes two: one
// for z and r, then that of r h for n; its v is not used.
enum Cell { SIMPLE, LSTM, GRU, GRU_BEFORE };
constexpr int SLOTS = CELL == SIMPLE ? 1 : 4;
constexpr bool RESETS_FIRST = CELL == GRU_BEFORE;

template <int NAME> GL_DEVICE A activated(A x) {
  return NAME == TANH ? tanh(x) : NAME == SIGMOID ? sigmoid(x) : NAME == RELU ? (x <= 0 ? A(0) : x) : x;
}
// The gradient g of y, the result of an activation, as one of its argument.
template <int NAME> GL_DEVICE A passed_back(A g, A y) {
  return NAME == TANH ? g * (1 - y * y) : NAME == SIGMOID ? g * y * (1 - y) : NAME == RELU ? (y > 0 ? g : A(0)) : g;
}

// The new state of a unit.  s: what its gates are computed from (of GRU_BEFORE: z and r themselves), then they themselves.
// carry: that of an LSTM, else the state.
GL_DEVICE A advanced(A* s, A& carry) {
  if (CELL == SIMPLE) return s[0] = carry = activated<ACTIVATION>(s[0]);
  if (!RESETS_FIRST) {
    s[0] = activated<GATE>(s[0]);
    s[1] = activated<GATE>(s[1]);
  }
  if (CELL == LSTM) {
    s[2] = activated<ACTIVATION>(s[2]);
    s[3] = activated<GATE>(s[3]);
    carry = s[1] * carry + s[0] * s[2];
    return s[3] * activated<ACTIVATION>(carry);
  }
  s[2] = activated<ACTIVATION>(RESETS_FIRST ? s[2] : s[2] + s[1] * s[3]);
  return carry = s[0] * carry + (1 - s[0]) * s[2];
}

// From the gradient of a unit's new state those of what its gates are computed from, d; the result is what goes to the state before
// by no product.  s: the gates; y: the new state; before: the state before, of an LSTM the carry before; c, dc: an LSTM's new carry,
// and the gradient of it, which becomes that of the carry before.  Of GRU_BEFORE d[1] is left out: the second product tells it.
GL_DEVICE A went_back(A own, const A* s, A y, A before, A c, A& dc, A* d) {
  if (CELL == SIMPLE) {
    d[0] = passed_back<ACTIVATION>(own, y);
    return 0;
  }
  if (CELL == LSTM) {
    const A a = activated<ACTIVATION>(c);
    d[3] = passed_back<GATE>(own * a, s[3]);
    dc += passed_back<ACTIVATION>(own * s[3], a);
    d[0] = passed_back<GATE>(dc * s[2], s[0]);
    d[1] = passed_back<GATE>(dc * before, s[1]);
    d[2] = passed_back<ACTIVATION>(dc * s[0], s[2]);
    dc *= s[1];
    return 0;
  }
  d[0] = passed_back<GATE>(own * (before - s[2]), s[0]);
  d[2] = passed_back<ACTIVATION>(own * (1 - s[0]), s[2]);
  d[1] = RESETS_FIRST ? A(0) : passed_back<GATE>(d[2] * s[3], s[1]);
  d[3] = RESETS_FIRST ? A(0) : d[2] * s[1];
  return own * s[0];
}

// Sequences (directions, count, steps, units), as in recurrent.py.  The second direction goes from the last step to the first.
struct Sizes { long long count, steps, units; };
// A unit of a sequence at the step-th step of its direction: where its numbers lie.
struct Unit {
  long long time, single, state;  // Indices: of time among all sequences', of arrays without and with steps.
  bool first;
  long long before;  // How far off the state of the step before is; without it for the first one.
  GL_DEVICE Unit(const Sizes& sizes, long long direction, long long n, long long step, long long unit) {
    const long long t = direction ? sizes.steps - 1 - step : step;
    const long long sequence = direction * sizes.count + n;
    time = sequence * sizes.steps + t, single = sequence * sizes.units + unit, state = time * sizes.units + unit;
    first = step == 0, before = direction ? sizes.units : -sizes.units;
  }
};

// A unit's slots, moved by one instruction.
struct __align__(sizeof(T) * SLOTS > 16 ? 16 : sizeof(T) * SLOTS) Slots { T at[SLOTS]; };
GL_DEVICE void read_slots(A* s, const T* x) {
  const Slots v = *(const Slots*)x;
#pragma unroll
  for (int i = 0; i < SLOTS; i++) s[i] = gl::to<A>(v.at[i]);
}
GL_DEVICE void write_slots(T* x, const A* s) {
  Slots v;
#pragma unroll
  for (int i = 0; i < SLOTS; i++) v.at[i] = gl::from<T>(s[i]);
  *(Slots*)x = v;
}

// One unit at one step, for kernels that do a step of all sequences.
// gates: the products of inputs, then, if `save`, the gates; carry: (directions, count, units), what goes from step to step in A;
// carries: an LSTM's, of all steps; reset: r times the state before, of GRU_BEFORE; mask: (directions, count, steps) or NULL.
struct Forward {
  const T *bias, *first;
  T *gates, *states, *carries, *reset;
  A* carry;
  const bool* mask;
  Sizes sizes;
  bool save;
};
// sums: the product of states, or NULL where `gates` has it already.  second: whether it is GRU_BEFORE's second one.
GL_DEVICE void step_forward(const Forward& f, long long direction, long long n, long long step, int unit, const A* sums, bool second) {
  const Unit at(f.sizes, direction, n, step, unit);
  A s[SLOTS], bias[SLOTS];
  read_slots(s, f.gates + at.state * SLOTS);
#pragma unroll
  for (int i = 0; i < SLOTS; i++) {
    bias[i] = f.bias ? gl::to<A>(f.bias[(direction * f.sizes.units + unit) * SLOTS + i]) : A(0);
    if (!RESETS_FIRST || second == (i == 2)) s[i] += bias[i] + (sums ? sums[i] : A(0));
  }
  const T before = at.first ? f.first[at.single] : f.states[at.state + at.before];
  A carry = CELL == SIMPLE ? A(0) : f.carry[at.single];
  if (RESETS_FIRST && !second) {
    s[0] = activated<GATE>(s[0]);
    s[1] = activated<GATE>(s[1]);
    f.reset[at.state] = gl::from<T>(s[1] * carry);
    return write_slots(f.gates + at.state * SLOTS, s);
  }
  const A kept = carry, state = advanced(s, carry);
  const bool there = !f.mask || f.mask[at.time];
  f.states[at.state] = there ? gl::from<T>(state) : before;
  if (CELL != SIMPLE) f.carry[at.single] = there ? carry : kept;
  if (CELL == LSTM) f.carries[at.state] = gl::from<T>(there ? carry : kept);
  if (f.save && CELL != SIMPLE) write_slots(f.gates + at.state * SLOTS, s);
}

// g, g_carry: gradients of states and of an LSTM's carries; d: of what gates are computed from; direct: the part of the gradient of
// the state before that comes by no product; d_carry: of the carry.
struct Backward {
  const T *g, *g_carry, *gates, *first, *first_carry, *states, *carries;
  T* d;
  A *direct, *d_carry;
  const bool* mask;
  Sizes sizes;
};
// back: what the product of `d` of the step after (of GRU_BEFORE's second: of this step) gives to the state.
GL_DEVICE void step_back(const Backward& b, long long direction, long long n, long long step, int unit, A back, bool second) {
  const Unit at(b.sizes, direction, n, step, unit);
  A s[SLOTS], d[SLOTS], dc = 0;
  if (CELL == SIMPLE) s[0] = 0;
  else read_slots(s, b.gates + at.state * SLOTS);
  const bool there = !b.mask || b.mask[at.time], last = step == b.sizes.steps - 1;
  const A before = gl::to<A>(at.first ? b.first[at.single] : b.states[at.state + at.before]);
  if (RESETS_FIRST && second) {
    if (!there) return;
    b.d[at.state * SLOTS + 1] = gl::from<T>(passed_back<GATE>(back * before, s[1]));
    b.direct[at.single] += back * s[1];
    return;
  }
  A own = gl::to<A>(b.g[at.state]) + back + (last ? A(0) : b.direct[at.single]);
  if (CELL == LSTM) {
    dc = gl::to<A>(b.g_carry[at.state]) + (last ? A(0) : b.d_carry[at.single]);
    const A earlier = gl::to<A>(at.first ? b.first_carry[at.single] : b.carries[at.state + at.before]);
    if (there) own = went_back(own, s, A(0), earlier, gl::to<A>(b.carries[at.state]), dc, d);
    b.d_carry[at.single] = dc;
  } else if (there) {
    own = went_back(own, s, gl::to<A>(b.states[at.state]), before, A(0), dc, d);
  }
#pragma unroll
  for (int i = 0; i < SLOTS; i++)
    if (!there) d[i] = 0;
  write_slots(b.d + at.state * SLOTS, d);
  b.direct[at.single] = own;
}
