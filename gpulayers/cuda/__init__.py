"""CUDA kernels for `ops` on CuPy arrays, which register themselves when this is imported.

Each gives what its reference in `ops` gives.  `module` compiles and launches them; without this
package everything works on CuPy too, only slower.
"""

from . import activation, dropout, random

__all__ = ["activation", "dropout", "random"]
