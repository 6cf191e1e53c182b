"""Normal numbers from uniform ones, with the same bits on every device.

`normal_quantile` is the inverse of the normal distribution by Wichura's rational approximations
(Algorithm AS 241, PPND16, Applied Statistics 37, 1988; relative error about 1e-16).  It uses
nothing but +, -, *, / and sqrt of float64, each rounded on its own (no fused multiply-add), and a
logarithm made of these, so that a GPU gives the very same numbers.  For q in (-1/2, 1/2):

    |q| <= 0.425   r = 0.180625 - q * q;  z = q * A(r) / B(r)
    otherwise      r = sqrt(-log(1/2 - |q|));  z = C(r - 1.6) / D(r - 1.6) for r <= 5, else
                   E(r - 5) / F(r - 5); negative for q < 0

Polynomials are evaluated by Horner's rule from the highest power, `value = value * r + next`.

    log(p):  p = m * 2**e with m in [1/2, 1), and if m < sqrt(1/2): m = 2 * m, e = e - 1.
             s = (m - 1) / (m + 1);  log(p) = 2 * s * L(s * s) + e * 0.6931471805599453
             where L(x) = 1 + x/3 + x**2/5 + ... + x**10/21
"""

from __future__ import annotations

import math

import numpy as np

# fmt: off
A = (3.3871328727963666080, 133.14166789178437745, 1971.5909503065514427, 13731.693765509461125,
     45921.953931549871457, 67265.770927008700853, 33430.575583588128105, 2509.0809287301226727)
B = (1.0, 42.313330701600911252, 687.18700749205790830, 5394.1960214247511077,
     21213.794301586595867, 39307.895800092710610, 28729.085735721942674, 5226.4952788528545610)
C = (1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550,
     3.64784832476320460504, 1.27045825245236838258, 0.241780725177450611770,
     0.0227238449892691845833, 7.74545014278341407640e-4)
D = (1.0, 2.05319162663775882187, 1.67638483018380384940, 0.689767334985100004550,
     0.148103976427480074590, 0.0151986665636164571966, 5.47593808499534494600e-4,
     1.05075007164441684324e-9)
E = (6.65790464350110377720, 5.46378491116411436990, 1.78482653991729133580,
     0.296560571828504891230, 0.0265321895265761230930, 1.24266094738807843860e-3,
     2.71155556874348757815e-5, 2.01033439929228813265e-7)
F = (1.0, 0.599832206555887937690, 0.136929880922735805310, 0.0148753612908506148525,
     7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7,
     2.04426310338993978564e-15)
L = tuple(1 / (2 * k + 1) for k in range(11))
# fmt: on

_BLOCK = 16384  # Elements whose working arrays stay in the processor's cache.


def normal_quantile(q: np.ndarray) -> np.ndarray:
    """The standard normal numbers below which a part 1/2 + q of the distribution lies.

    Args:
        q: float64 numbers in (-1/2, 1/2), rank 1.
    """
    z = np.empty_like(q)
    for start in range(0, q.size, _BLOCK):
        block = q[start : start + _BLOCK]
        out = z[start : start + _BLOCK]
        r = 0.180625 - block * block
        np.divide(block * _polynomial(A, r), _polynomial(B, r), out=out)
        far = np.flatnonzero(np.abs(block) > 0.425)
        if far.size:
            out[far] = _tail(block[far])
    return z


def _tail(q):
    r = np.sqrt(-_log(0.5 - np.abs(q)))
    near = r - 1.6
    z = _polynomial(C, near) / _polynomial(D, near)
    beyond = np.flatnonzero(r > 5.0)
    if beyond.size:
        r = r[beyond] - 5.0
        z[beyond] = _polynomial(E, r) / _polynomial(F, r)
    return np.copysign(z, q)


def _log(p):
    m, e = np.frexp(p)
    small = m < math.sqrt(0.5)
    m = np.where(small, 2.0 * m, m)
    s = (m - 1.0) / (m + 1.0)
    return 2.0 * s * _polynomial(L, s * s) + (e - small) * math.log(2.0)


def _polynomial(coefficients, x):
    value = x * coefficients[-1]
    value += coefficients[-2]
    for coefficient in coefficients[-3::-1]:
        value *= x
        value += coefficient
    return value
