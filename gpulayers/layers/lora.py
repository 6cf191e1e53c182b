"""LoRA: training a low-rank correction of a frozen weight (Hu et al. 2021, arXiv:2106.09685)."""

from __future__ import annotations

from ..arrays import devices, namespace
from .tracking import own_variables
from .weights import take


class Adapted:
    """A layer's attribute that holds a weight, and gives it with its low-rank correction, if any.

    Raises AttributeError when read before the layer is built.
    """

    def __set_name__(self, owner, name):
        self.name, self.slot = name, "_" + name

    def __get__(self, layer, owner=None):
        if layer is None:
            return self
        weight = layer.__dict__.get(self.slot)
        if weight is None:
            raise AttributeError(
                f"{type(layer).__name__} {layer.name!r} has no {self.name} before it is built."
            )
        if layer.lora_enabled or layer.quantized:
            return layer._as_it_counts(weight)
        return weight

    def __set__(self, layer, weight):
        setattr(layer, self.slot, weight)


class LowRankAdaptation:
    """The part of a layer that can correct one weight: `weight + lora_alpha / rank * a @ b`.

    A layer class names the weight in `lora_target`, and declares the attribute of that name as
    `Adapted()`.  It sets `lora_rank` and `lora_alpha` before `build`, and calls `enable_lora` at
    the end of it if there is a rank.
    """

    lora_target = "kernel"
    lora_enabled = False
    lora_rank = lora_alpha = None

    def enable_lora(
        self,
        rank: int,
        lora_alpha: float | None = None,
        a_initializer="he_uniform",
        b_initializer="zeros",
    ) -> None:
        """Freeze the weight, and train a low-rank correction of it from now on.

        Args:
            rank: the number of columns of `a` and of rows of `b`.
            lora_alpha: the correction is `lora_alpha / rank * a @ b`; the rank by default.
            a_initializer, b_initializer: of the two factors; with zeros for `b` the layer gives
                the same results at first.

        Raises ValueError if the layer is not built, is corrected already, or constrains the weight.
        """
        who, target = f"{type(self).__name__} {self.name!r}", self.lora_target
        weight = self.__dict__.get("_" + target)
        if weight is None:
            raise ValueError(f"{who}: build the layer before enable_lora, or give it lora_rank=.")
        if self.lora_enabled:
            raise ValueError(f"{who}: enable_lora was called already; a layer takes it once.")
        if getattr(self, f"{target}_constraint") is not None:
            raise ValueError(
                f"{who}: LoRA cannot keep {target}_constraint; make the layer without it."
            )
        _check_rank(who, rank)
        if self._building:
            self._add_factors(weight, rank, a_initializer, b_initializer)
        else:
            with self._open(), devices.scope(weight.home):
                self._add_factors(weight, rank, a_initializer, b_initializer)
        weight.trainable = False
        self.lora_rank, self.lora_alpha = rank, rank if lora_alpha is None else lora_alpha
        self.lora_enabled = True

    def _add_factors(self, weight, rank, a_initializer, b_initializer):
        *lead, last = self._target_shape(weight)
        regularizer = getattr(self, f"{self.lora_target}_regularizer")
        factors = (("a", (*lead, rank), a_initializer), ("b", (rank, last), b_initializer))
        self._lora_factors = tuple(
            self.add_weight(
                shape,
                initializer,
                dtype="float32",
                regularizer=regularizer,
                name=f"lora_{self.lora_target}_{letter}",
            )
            for letter, shape, initializer in factors
        )
        for factor in self._lora_factors:
            setattr(self, factor.name, factor)

    def _target_shape(self, weight) -> tuple:
        return weight.shape

    def _correction(self):
        a, b = self._lora_factors
        return (self.lora_alpha / self.lora_rank) * namespace(a, b).matmul(a.value, b.value)

    def _as_it_counts(self, weight):
        """The weight with its correction."""
        return weight.value + self._correction()

    def _corrected(self, weight) -> list:
        """The pairs of variables and values that files hold in the place of a corrected weight."""
        return [(weight, self._as_it_counts(weight))]

    def save_own_variables(self, store: dict) -> None:
        """Put the layer's own weights into `store`, with the correction added in."""
        pairs = []
        if self.lora_enabled:
            pairs = self._corrected(self.__dict__["_" + self.lora_target])
        values = {id(variable): devices.to_numpy(value) for variable, value in pairs}
        for i, variable in enumerate(self._kept()):
            value = variable.numpy()
            store[str(i)] = values.get(id(variable), value).astype(value.dtype, copy=False)

    def load_own_variables(self, store) -> None:
        """Take the layer's own weights from `store`; a correction starts anew, as nothing.

        Raises ValueError if their number or shapes differ.
        """
        kept = self._kept()
        if len(store.keys()) != len(kept):
            without = " (its LoRA factors are never saved)" if self.lora_enabled else ""
            raise ValueError(
                f"{type(self).__name__} {self.name!r} has {len(kept)} weights of its own{without}, "
                f"the file has {len(store.keys())}."
            )
        for i, variable in enumerate(kept):
            take(variable, store, str(i))
        if self.lora_enabled:
            for factor in self._lora_factors:
                factor.assign(factor.value * 0)

    def _kept(self) -> list:
        """The own weights that files hold, in their order: all but the factors."""
        factors = {id(factor) for factor in self._lora_factors} if self.lora_enabled else ()
        return [v for v in own_variables(self) if id(v) not in factors]


def _check_rank(who, rank):
    if not hasattr(rank, "__index__") or isinstance(rank, bool):
        raise TypeError(f"{who}: the rank of LoRA must be a positive integer, got {rank!r}.")
    if rank <= 0:
        raise ValueError(f"{who}: the rank of LoRA must be a positive integer, got {rank}.")
