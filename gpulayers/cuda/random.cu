// Random numbers from (seed, counter): the bits that gpulayers/arrays/philox.py, quantile.py and random.py define, so that NumPy
// and a GPU make the same arrays.
//
// start: NULL, or two words that are added to seed and counter (see dropout.cu).  y: `count` elements of T, written in order.  A thread makes the numbers of one block of four words: eight from halves, or four from
// words for double.  Compiled with --fmad=false: every product and sum is rounded on its own.
#include "common.cuh"

#define BLOCK 256
constexpr int NUMBERS = sizeof(T) == 8 ? 4 : 8;

// The numbers, as NumPy rounds them: once to a half, by way of a float to a bfloat16.
template <class X> struct Rounded { static GL_DEVICE X of(double a) { return gl::from<X>((A)a); } };
template <> struct Rounded<half> {
  static GL_DEVICE half of(double a) {
    float f = (float)a;
    if (gl::abs((double)f) > gl::abs(a)) f = __uint_as_float(__float_as_uint(f) - 1);     // Towards zero,
    if ((double)f != a) f = __uint_as_float(__float_as_uint(f) | 1);                      // to an odd last bit.
    return gl::from<half>(f);
  }
};

template <int SIZE> GL_DEVICE double polynomial(const double (&coefficients)[SIZE], double x) {
  double value = x * coefficients[SIZE - 1] + coefficients[SIZE - 2];
#pragma unroll
  for (int i = SIZE - 3; i >= 0; i--) value = value * x + coefficients[i];
  return value;
}
GL_DEVICE double logarithm(double p) {
  const long long bits = __double_as_longlong(p);
  int e = (int)(bits >> 52) - 1022;
  double m = __longlong_as_double((bits & 0xfffffffffffffll) | 0x3fe0000000000000ll);
  if (m < 0.70710678118654757) m = 2.0 * m, e--;
  const double series[] = {1.0, 1.0 / 3, 1.0 / 5, 1.0 / 7, 1.0 / 9, 1.0 / 11, 1.0 / 13, 1.0 / 15, 1.0 / 17, 1.0 / 19, 1.0 / 21};
  const double s = (m - 1.0) / (m + 1.0);
  return 2.0 * s * polynomial(series, s * s) + e * 0.6931471805599453;
}
// Wichura's AS 241, as in quantile.py.
GL_DEVICE double quantile(double q) {
  if (gl::abs(q) <= 0.425) {
    const double above[] = {3.3871328727963666080, 133.14166789178437745, 1971.5909503065514427, 13731.693765509461125,
                            45921.953931549871457, 67265.770927008700853, 33430.575583588128105, 2509.0809287301226727};
    const double below[] = {1.0, 42.313330701600911252, 687.18700749205790830, 5394.1960214247511077,
                            21213.794301586595867, 39307.895800092710610, 28729.085735721942674, 5226.4952788528545610};
    const double r = 0.180625 - q * q;
    return q * polynomial(above, r) / polynomial(below, r);
  }
  double r = gl::sqrt(-logarithm(0.5 - gl::abs(q))), z;
  if (r <= 5.0) {
    const double above[] = {1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550, 3.64784832476320460504,
                            1.27045825245236838258, 0.241780725177450611770, 0.0227238449892691845833, 7.74545014278341407640e-4};
    const double below[] = {1.0, 2.05319162663775882187, 1.67638483018380384940, 0.689767334985100004550,
                            0.148103976427480074590, 0.0151986665636164571966, 5.47593808499534494600e-4,
                            1.05075007164441684324e-9};
    r -= 1.6;
    z = polynomial(above, r) / polynomial(below, r);
  } else {
    const double above[] = {6.65790464350110377720, 5.46378491116411436990, 1.78482653991729133580, 0.296560571828504891230,
                            0.0265321895265761230930, 1.24266094738807843860e-3, 2.71155556874348757815e-5,
                            2.01033439929228813265e-7};
    const double below[] = {1.0, 0.599832206555887937690, 0.136929880922735805310, 0.0148753612908506148525,
                            7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7,
                            2.04426310338993978564e-15};
    r -= 5.0;
    z = polynomial(above, r) / polynomial(below, r);
  }
  return q < 0 ? -z : z;
}

GL_DEVICE uint32 half_of(const uint64* words, int i) { return (uint32)(words[i / 2] >> 32 * (i % 2)); }

// min(u * width + low, top), with u uniform in [0, 1); `short_top` bounds what is rounded to 16 bits.
extern "C" __global__ void __launch_bounds__(BLOCK) random_uniform(
    T* y, long long count, const uint64* start, uint64 seed, uint64 counter, A width, A low, A top, A short_top) {
  const long long block = (long long)blockIdx.x * BLOCK + threadIdx.x;
  if (block * NUMBERS >= count) return;
  uint64 words[4];
  if (start) seed += start[0], counter += start[1];
  gl::philox(seed, counter, block, words);
#pragma unroll
  for (int i = 0; i < NUMBERS; i++) {
    const A u = sizeof(T) == 8 ? A(words[i % 4] >> 11) * A(1.0 / 9007199254740992.0) : A(half_of(words, i) >> 8) * A(1.0 / 16777216.0);
    const T rounded = gl::from<T>(gl::min(u * width + low, top));
    if (block * NUMBERS + i < count) y[block * NUMBERS + i] = gl::to<A>(rounded) > short_top ? gl::from<T>(short_top) : rounded;
  }
}

// mean + stddev * quantile(part * c), with c uniform in (-1/2, 1/2).
extern "C" __global__ void __launch_bounds__(BLOCK) random_normal(
    T* y, long long count, const uint64* start, uint64 seed, uint64 counter, double part, double stddev, double mean) {
  const long long block = (long long)blockIdx.x * BLOCK + threadIdx.x;
  if (block * NUMBERS >= count) return;
  uint64 words[4];
  if (start) seed += start[0], counter += start[1];
  gl::philox(seed, counter, block, words);
#pragma unroll 1
  for (int i = 0; i < NUMBERS; i++) {
    if (block * NUMBERS + i >= count) return;
    const uint64 word = words[0];
    double c = sizeof(T) == 8 ? ((double)((long long)word >> 11) + 0.5) * (1.0 / 9007199254740992.0)
                              : ((double)(int)(uint32)word + 0.5) * (1.0 / 4294967296.0);
    if (sizeof(T) == 8 || i % 2) words[0] = words[1], words[1] = words[2], words[2] = words[3];
    else words[0] = word >> 32;
    y[block * NUMBERS + i] = Rounded<T>::of(quantile(c * part) * stddev + mean);
  }
}
