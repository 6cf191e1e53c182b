"""Weights divided by their largest singular value."""

from __future__ import annotations

from .. import initializers
from ..arrays import Variable, dtypes, namespace, plain
from ..arrays.short_floats import cast
from ..ops.batch_normalization import wide
from ..ops.normalization import normalize
from . import arguments
from .core import Wrapper
from .input_spec import InputSpec


class SpectralNormalization(Wrapper):
    """A layer whose kernel is divided by its largest singular value at each step of training.

    The layer is then Lipschitz continuous with constant 1, which steadies the training of
    discriminators.  The singular value is found by power iteration from where the last step ended,
    and counts as a constant for gradients (Miyato et al., "Spectral normalization for generative
    adversarial networks", 2018, arXiv:1802.05957).

    Args:
        layer: a layer with the weight `kernel` (Dense, Conv2D, ...) or `embeddings`.
        power_iterations: how many iterations are made in each step.

    A kernel of zeros is left as it is.  Raises TypeError for what is no layer, ValueError for a
    layer without such a weight.
    """

    def __init__(self, layer, power_iterations=1, **kwargs):
        super().__init__(layer, **kwargs)
        self.kernel = None
        self.power_iterations = arguments.whole(
            "SpectralNormalization", "power_iterations", power_iterations
        )

    def build(self, input_shape):
        super().build(input_shape)
        self.input_spec = InputSpec(min_ndim=1, axes={-1: input_shape[-1]})
        kernel = getattr(self.layer, "kernel", None)
        self.kernel = getattr(self.layer, "embeddings", None) if kernel is None else kernel
        if not isinstance(self.kernel, Variable):
            raise ValueError(
                f"SpectralNormalization {self.name!r}: {type(self.layer).__name__} "
                f"{self.layer.name!r} has no weight `kernel` or `embeddings` to divide."
            )
        self.vector_u = self.add_weight(
            (1, self.kernel.shape[-1]),
            initializers.TruncatedNormal(stddev=0.02),
            dtype=dtypes.name(self.kernel.dtype),
            trainable=False,
            name="vector_u",
        )

    def call(self, inputs, training=False):
        if training:
            self._divide()
        outputs = self.layer(inputs)
        if dtypes.is_floating(inputs) and dtypes.is_floating(outputs):
            return cast(outputs, dtypes.name(inputs.dtype))
        return outputs

    @property
    def _overwritten(self) -> tuple:
        """Trained weights that a call in training changes, too."""
        return () if self.kernel is None else (self.kernel,)

    def _divide(self):
        """One step of power iteration, and the kernel divided by the value it gives."""
        kernel, u = wide(plain(self.kernel)), wide(plain(self.vector_u))
        xp = namespace(kernel)
        rows = xp.reshape(kernel, (-1, kernel.shape[-1]))
        for _ in range(self.power_iterations):
            v = normalize(xp.matmul(u, xp.matrix_transpose(rows)), axis=None)
            u = normalize(xp.matmul(v, rows), axis=None)
        largest = xp.matmul(xp.matmul(v, rows), xp.matrix_transpose(u))
        zeros = xp.all(kernel == 0)
        self.vector_u.assign(xp.where(zeros, wide(plain(self.vector_u)), u))
        divisor = xp.where(zeros, xp.ones_like(largest), largest)
        self.kernel.assign(kernel / xp.reshape(divisor, ()))

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)

    def get_config(self):
        return {**super().get_config(), "power_iterations": self.power_iterations}
