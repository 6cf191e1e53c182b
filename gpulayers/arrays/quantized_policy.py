"""Dtype policies of quantized layers: how coarsely weights are kept, and what the results are."""

from __future__ import annotations

import re
from collections.abc import MutableMapping

from .policy import DTypePolicy

QUANTIZATION_MODES = ("int8", "float8", "int4", "gptq", "awq")


class QuantizedDTypePolicy(DTypePolicy):
    """The policy of a layer whose weights are kept in few bits.

    Args:
        mode: "int8", "int4", "float8", "gptq" or "awq".
        source_name: the policy that the layer had before: it says what dtype scales and results
            have; the default policy's name if None.

    Its name is "int8_from_float32".  Raises ValueError for another mode, and for int8 from
    float16, whose range the products would leave.
    """

    _has_sizes = False  # Whether numbers follow in the mode, as in "int4/128".

    def __init__(self, mode: str, source_name: str | None = None):
        if source_name is None:
            from .. import config

            source_name = config.dtype_policy().name
        super().__init__(source_name)
        kind = mode.partition("/")[0] if self._has_sizes else mode
        check_mode(type(self).__name__, kind, self.compute_dtype)
        self.quantization_mode = kind
        self._mode, self._source_name = mode, source_name
        self._name = f"{mode}_from_{source_name}"

    def get_config(self) -> dict:
        return {"mode": self._mode, "source_name": self._source_name}

    @classmethod
    def from_config(cls, config: dict) -> QuantizedDTypePolicy:
        return cls(**config)

    def __eq__(self, other):
        return type(other) is type(self) and other.get_config() == self.get_config()

    __hash__ = DTypePolicy.__hash__

    def __repr__(self):
        return f'<{type(self).__name__} "{self._name}">'


class QuantizedFloat8DTypePolicy(QuantizedDTypePolicy):
    """The policy of a layer that trains in float8.

    Args:
        mode, source_name: "float8", and as for `QuantizedDTypePolicy`.
        amax_history_length: of how many steps the largest values are kept, to choose scales by.

    Raises TypeError if that length is no integer.
    """

    default_amax_history_length = 1024

    def __init__(self, mode: str, source_name=None, amax_history_length: int = 1024):
        super().__init__(mode, source_name)
        if not isinstance(amax_history_length, int):
            raise TypeError(
                "QuantizedFloat8DTypePolicy: amax_history_length must be an integer, got "
                f"{amax_history_length!r}."
            )
        self.amax_history_length = amax_history_length

    def get_config(self) -> dict:
        return {**super().get_config(), "amax_history_length": self.amax_history_length}


class Int4DTypePolicy(QuantizedDTypePolicy):
    """int4 weights with scales for blocks of inputs.

    Args:
        mode: "int4/128" for blocks of 128 inputs, "int4/-1" for one scale per output.
        source_name: as for `QuantizedDTypePolicy`.

    Raises ValueError for a mode of another form.
    """

    _has_sizes = True

    def __init__(self, mode: str, source_name: str | None = None):
        (self.block_size,) = _numbers(self, mode, "int4/<block_size>")
        _check_size(self, mode, self.block_size)
        super().__init__(mode, source_name)
        self.mode = self.quantization_mode


class GPTQDTypePolicy(QuantizedDTypePolicy):
    """Weights quantized by GPTQ (Frantar et al. 2022, arXiv:2210.17323).

    Args:
        mode: "gptq/4/128" for 4 bits (2, 3, 4 or 8) and groups of 128 inputs (-1: one group).
        source_name: as for `QuantizedDTypePolicy`.

    Raises ValueError for a mode of another form.
    """

    _has_sizes, _form, _bits = True, "gptq/<weight_bits>/<group_size>", (2, 3, 4, 8)

    def __init__(self, mode: str, source_name: str | None = None):
        self.weight_bits, self.group_size = _numbers(self, mode, self._form)
        if self.weight_bits not in self._bits:
            raise ValueError(
                f"{type(self).__name__}: weight_bits must be one of "
                f"{', '.join(map(str, self._bits))}, got {self.weight_bits} in {mode!r}."
            )
        _check_size(self, mode, self.group_size)
        super().__init__(mode, source_name)
        self.mode = self.quantization_mode


class AWQDTypePolicy(GPTQDTypePolicy):
    """Weights quantized by AWQ (Lin et al. 2023, arXiv:2306.00978).

    Args:
        mode: "awq/4/128" for 4 bits (the only choice) and groups of 128 inputs (-1: one group).
        source_name: as for `QuantizedDTypePolicy`.

    Raises ValueError for a mode of another form.
    """

    _form, _bits = "awq/<weight_bits>/<group_size>", (4,)


class DTypePolicyMap(DTypePolicy, MutableMapping):
    """Policies by the paths of layers: {"encoder/dense": policy, "decoder/.*": policy}.

    A path that is no key itself is matched, whole, against the keys as regular expressions;
    without a match the default policy holds.

    Args:
        default_policy: a policy or its name; the process's default policy if None.
        policy_map: the policies to start with.

    Raises ValueError if the default is such a map, or, when asked, if several keys match a path;
    TypeError if policy_map is no dictionary.
    """

    def __init__(self, default_policy=None, policy_map: dict | None = None):
        if isinstance(default_policy, DTypePolicyMap):
            raise ValueError("DTypePolicyMap: default_policy cannot be a DTypePolicyMap itself.")
        if policy_map is not None and not isinstance(policy_map, dict):
            raise TypeError(
                f"DTypePolicyMap: policy_map must be a dictionary, got {policy_map!r:.60}."
            )
        self._default_given = default_policy
        self.default_policy = DTypePolicy.of(default_policy)
        self._policies = {k: DTypePolicy.of(v) for k, v in (policy_map or {}).items()}

    name = property(lambda self: f"map_{self.default_policy.name}")
    compute_dtype = property(lambda self: self.default_policy.compute_dtype)
    variable_dtype = property(lambda self: self.default_policy.variable_dtype)
    quantization_mode = property(lambda self: self.default_policy.quantization_mode)

    def at(self, path: str) -> DTypePolicy:
        """The policy of the layer at `path`."""
        return self[path]

    def __getitem__(self, path):
        if path in self._policies:
            return self._policies[path]
        matches = [pattern for pattern in self._policies if re.fullmatch(pattern, path)]
        if len(matches) > 1:
            raise ValueError(
                f"DTypePolicyMap: {path!r} matches several keys: {', '.join(map(repr, matches))}."
            )
        return self._policies[matches[0]] if matches else self.default_policy

    def __setitem__(self, path, policy):
        if path in self._policies:
            raise ValueError(
                f"DTypePolicyMap: {path!r} is there already, as {self._policies[path]}."
            )
        self._policies[path] = DTypePolicy.of(policy)

    def __delitem__(self, path):
        del self._policies[path]

    def __contains__(self, path):
        return path in self._policies

    def __len__(self):
        return len(self._policies)

    def __iter__(self):
        return iter(self._policies)

    def get_config(self) -> dict:
        return {"default_policy": self._default_given, "policy_map": self._policies}

    @classmethod
    def from_config(cls, config: dict) -> DTypePolicyMap:
        return cls(**config)

    def __eq__(self, other):
        return self is other

    __hash__ = object.__hash__

    def __repr__(self):
        policies = {path: policy.name for path, policy in self._policies.items()}
        return f"<DTypePolicyMap default={self.default_policy.name!r}, {policies}>"


def check_mode(who: str, mode, compute_dtype: str) -> None:
    """Raises ValueError for an unknown mode, and for int8 with results in float16."""
    if mode not in QUANTIZATION_MODES:
        raise ValueError(
            f"{who}: quantization mode must be one of {', '.join(QUANTIZATION_MODES)}, "
            f"got {mode!r}."
        )
    if mode == "int8" and compute_dtype == "float16":
        raise ValueError(
            f"{who}: int8 does not work with compute dtype float16, whose range products of whole "
            "numbers leave; use a policy such as mixed_bfloat16."
        )


def quantized(name: str) -> DTypePolicy | None:
    """The policy of a name such as "int4/128_from_float32"; None if it names no quantization."""
    if not name.startswith(QUANTIZATION_MODES) or name in ("int8", "int4"):
        return None
    mode, found, source = name.partition("_from_")
    if not found or not source:
        raise ValueError(
            f"DTypePolicy: the name of a quantized policy has the form 'int8_from_float32', got "
            f"{name!r}."
        )
    kinds = {
        "gptq": GPTQDTypePolicy,
        "awq": AWQDTypePolicy,
        "float8": QuantizedFloat8DTypePolicy,
        "int4": Int4DTypePolicy if "/" in mode else QuantizedDTypePolicy,
    }
    return kinds.get(mode.partition("/")[0], QuantizedDTypePolicy)(mode, source)


def _numbers(policy, mode, form) -> list[int]:
    """The numbers in a mode such as "gptq/4/128"."""
    parts, names = str(mode).split("/"), form.split("/")
    try:
        numbers = [int(part) for part in parts[1:]]
    except ValueError:
        numbers = []
    if parts[0] != names[0] or len(numbers) != len(names) - 1:
        raise ValueError(
            f"{type(policy).__name__}: mode must have the form {form!r} with integers, got "
            f"{mode!r}."
        )
    return numbers


def _check_size(policy, mode, size):
    if size != -1 and size <= 0:
        raise ValueError(
            f"{type(policy).__name__}: the size of blocks must be -1 or positive, got {size} in "
            f"{mode!r}."
        )


KINDS = {
    cls.__name__: cls
    for cls in (
        QuantizedDTypePolicy,
        QuantizedFloat8DTypePolicy,
        Int4DTypePolicy,
        GPTQDTypePolicy,
        AWQDTypePolicy,
        DTypePolicyMap,
    )
}
