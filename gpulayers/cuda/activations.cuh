// Activation functions of one number, and their gradients: for kernels that apply one to what they have just computed.
//
// ACTIVATION is a name of the list below; value and gradient compute in A, with fast functions where T has 16 bits.
enum Activation {
  LINEAR, CELU, ELU, EXPONENTIAL, GELU, GELU_TANH, HARD_SHRINK, HARD_SIGMOID, HARD_SILU, HARD_TANH, LEAKY_RELU, LOG_SIGMOID,
  MISH, PRELU, RAMP, RAMP_TO_TOP, RELU, RELU6, SIGMOID, SILU, SOFTPLUS, SOFTSIGN, SOFT_SHRINK, SPARSE_PLUS, SPARSE_SIGMOID,
  SQUAREPLUS, TANH, TANH_SHRINK, THRESHOLD
};
constexpr bool SHORT = sizeof(T) == 2;  // Stored in 16 bits: fast functions are exact enough.

GL_DEVICE A exponential(A x) { return SHORT ? (A)gl::fast_exp(x) : gl::exp(x); }
GL_DEVICE A divide(A a, A b) { return SHORT ? (A)gl::fast_divide(a, b) : a / b; }
GL_DEVICE A sigmoid(A x) {
  if (SHORT) return divide(1, 1 + exponential(-x));
  const A e = exponential(-gl::abs(x));
  return (x >= 0 ? A(1) : e) / (1 + e);
}
GL_DEVICE A tanh(A x) {
  if (!SHORT) return gl::tanh(x);
  const A square = x * x;
  if (square < A(0.04)) return x * (1 - square * (A(1.0 / 3) - square * (A(2.0 / 15) - square * A(17.0 / 315))));
  return 1 - divide(2, 1 + exponential(2 * x));
}
GL_DEVICE A softplus(A x) {
  const A e = exponential(-gl::abs(x));
  return (x <= 0 ? A(0) : x) + gl::log1p(e);  // So that NaN stays.
}
// The normal distribution's probability below x, and its density there.
GL_DEVICE A density(A x) { return exponential(A(-0.5) * x * x) * A(0.3989422804014327); }
GL_DEVICE A probability(A x) {
  if (!SHORT) return A(0.5) + A(0.5) * gl::erf(x * A(0.7071067811865476));
  // Zelen and Severo's approximation (Abramowitz and Stegun, "Handbook of mathematical functions", 26.2.17).
  const A t = divide(1, 1 + A(0.2316419) * gl::abs(x));
  const A polynomial = ((((A(1.330274429) * t - A(1.821255978)) * t + A(1.781477937)) * t - A(0.356563782)) * t + A(0.319381530)) * t;
  const A beyond = density(x) * polynomial;
  return x < 0 ? beyond : 1 - beyond;
}
// The same by tanh: sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3).
GL_DEVICE A nearly_probability(A x) { return sigmoid(A(1.5957691216057308) * x * (1 + A(0.044715) * x * x)); }
// tanh(softplus(x)), from the one exponential that is at most 1.
GL_DEVICE A tanh_softplus(A x) {
  const A e = exponential(-gl::abs(x)), above = x < 0 ? e * (e + 2) : 1 + 2 * e;
  return divide(above, above + 2 * (x < 0 ? A(1) : e * e));
}

// a, b, c: the function's own parameters, in the order of its arguments.
GL_DEVICE A value(A x, A a, A b, A c) {
  switch (ACTIVATION) {
    case CELU: return x > 0 ? x : a * gl::expm1(x / a);
    case ELU: return x > 0 ? b * x : a * gl::expm1(x);  // b is 1, or SELU's scale.
    case EXPONENTIAL: return exponential(x);
    case GELU: return x * probability(x);
    case GELU_TANH: return x * nearly_probability(x);
    case HARD_SHRINK: return gl::abs(x) > a ? x : A(0);
    case HARD_SIGMOID: return gl::clip(x + 3, A(0), A(6)) * A(1.0 / 6);
    case HARD_SILU: return x * (gl::clip(x + 3, A(0), A(6)) * A(1.0 / 6));
    case HARD_TANH: return gl::clip(x, A(-1), A(1));
    case LEAKY_RELU: return x > 0 ? x : a * x;
    case LOG_SIGMOID: return -softplus(-x);
    case MISH: return x * tanh_softplus(x);
    case RAMP: return x > c ? x : a == 0 ? A(0) : a * (x - c);
    case RAMP_TO_TOP: return x > c ? gl::clip(x, A(0), b) : a == 0 ? A(0) : a * (x - c);
    case RELU: return x <= 0 ? A(0) : x;
    case RELU6: return gl::clip(x, A(0), A(6));
    case SIGMOID: return sigmoid(x);
    case SILU: return x * sigmoid(x);
    case SOFTPLUS: return softplus(x);
    case SOFTSIGN: return x / (1 + gl::abs(x));
    case SOFT_SHRINK: return x - gl::clip(x, -a, a);
    case SPARSE_PLUS: {
      const A middle = gl::clip(x, A(-1), A(1)) + 1;
      return middle * middle / 4 + (x <= 1 ? A(0) : x - 1);
    }
    case SPARSE_SIGMOID: return (gl::clip(x, A(-1), A(1)) + 1) / 2;
    case SQUAREPLUS: {
      const A root = gl::sqrt(x * x + a);
      return x < 0 ? a / (2 * (root - x)) : (x + root) / 2;  // Without a difference of large numbers.
    }
    case TANH: return tanh(x);
    case TANH_SHRINK: return x - tanh(x);
    case THRESHOLD: return x > a ? x : b;
    default: return x;
  }
}

// The gradient g passed back through the function: from y, which is x's place then, or from x.
GL_DEVICE A gradient(A g, A x, A y, A a, A b, A c) {
  switch (ACTIVATION) {
    case CELU: return x > 0 ? g : g * exponential(x / a);
    case ELU: return x > 0 ? g * b : g * (a * exponential(x));
    case EXPONENTIAL: return g * y;
    case GELU: return g * (probability(x) + x * density(x));
    case GELU_TANH: {
      const A p = nearly_probability(x);
      return g * (p + x * p * (1 - p) * A(1.5957691216057308) * (1 + A(3 * 0.044715) * x * x));
    }
    case HARD_SHRINK:
    case SOFT_SHRINK: return g * A(gl::abs(x) > a);
    case HARD_SIGMOID: return g * A(x > -3 && x < 3) * A(1.0 / 6);
    case HARD_SILU: return g * (x <= -3 ? A(0) : x < 3 ? x * A(1.0 / 3) + A(0.5) : A(1));
    case HARD_TANH: return g * A(y > -1 && y < 1);
    case LEAKY_RELU: return x > 0 ? g : a * g;
    case LOG_SIGMOID: return g * sigmoid(-x);
    case MISH: {
      const A t = tanh_softplus(x);
      return g * (t + x * (1 - t * t) * sigmoid(x));
    }
    case RAMP: return x > c ? g : a == 0 ? A(0) : a * g;
    case RAMP_TO_TOP: return x > c ? (x <= b && x >= 0 ? g : A(0)) : a == 0 ? A(0) : a * g;
    case RELU: return y > 0 ? g : A(0);
    case RELU6: return g * A(y > 0 && y < 6);
    case SIGMOID: return g * y * (1 - y);
    case SILU: {
      const A s = sigmoid(x);
      return g * s * (1 + x * (1 - s));
    }
    case SOFTPLUS: return g * sigmoid(x);
    case SOFTSIGN: {
      const A s = 1 + gl::abs(x);
      return divide(g, s * s);
    }
    case SPARSE_PLUS: return g * (gl::clip(x, A(-1), A(1)) + 1) / 2;
    case SPARSE_SIGMOID: return g * A(x > -1 && x < 1) / 2;
    case SQUAREPLUS: {
      const A root = gl::sqrt(x * x + a);
      return x < 0 ? g * a / (2 * root * (root - x)) : g * (1 + x / root) / 2;
    }
    case TANH: return g * (1 - y * y);
    case TANH_SHRINK: {
      const A t = tanh(x);
      return g * t * t;
    }
    case THRESHOLD: return g * A(x > a);
    default: return g;
  }
}
