"""Dtype policies: in which dtype a layer keeps its weights, and in which it computes."""

from __future__ import annotations

from . import dtypes


class DTypePolicy:
    """What dtype a layer's weights and computations have.

    Args:
        name: a dtype ("float32", "float64", "float16", "bfloat16", "int64", ...) for both, or
            "mixed_float16" / "mixed_bfloat16": 16-bit computations on float32 weights.
            On the CPU, 16-bit policies compute in float32 and round each layer's result.

    Raises ValueError for another name.
    """

    def __init__(self, name: str | None = None):
        if name is None:
            from .. import config

            name = config.dtype_policy().name
        if not isinstance(name, str):
            raise TypeError(f"DTypePolicy: name must be a string, got {name!r}.")
        self._name = name
        if name.startswith("mixed_"):
            self._compute, self._variable = name[len("mixed_") :], "float32"
            if self._compute not in dtypes.SHORT_FLOATS:
                raise ValueError(
                    f"DTypePolicy: expected mixed_float16 or mixed_bfloat16, got {name!r}."
                )
        else:
            self._compute = self._variable = dtypes.standardize(name)

    name = property(lambda self: self._name)
    compute_dtype = property(lambda self: self._compute)
    variable_dtype = property(lambda self: self._variable)
    quantization_mode = None

    @classmethod
    def of(cls, policy) -> DTypePolicy:
        """The policy that `policy` names: None (the default), a name, a dtype, a dict or itself."""
        if policy is None:
            from .. import config

            return config.dtype_policy()
        if isinstance(policy, DTypePolicy):
            return policy
        from . import quantized_policy

        if isinstance(policy, dict):
            kind = quantized_policy.KINDS.get(policy.get("class_name"), DTypePolicy)
            return kind.from_config(policy.get("config", policy))
        name = policy if isinstance(policy, str) else dtypes.standardize(policy)
        return quantized_policy.quantized(name) or DTypePolicy(name)

    def at(self, path: str) -> DTypePolicy:
        """The policy of the layer at `path`: this one, unless it is a `DTypePolicyMap`."""
        return self

    def get_config(self) -> dict:
        return {"name": self._name}

    @classmethod
    def from_config(cls, config: dict) -> DTypePolicy:
        return cls(config["name"])

    def __eq__(self, other):
        return type(other) is type(self) and other._name == self._name

    def __hash__(self):
        return hash(self._name)

    def __repr__(self):
        return f'<DTypePolicy "{self._name}">'


FloatDTypePolicy = DTypePolicy


def get(identifier) -> DTypePolicy:
    """The policy for None, a name, a dtype, a config dict or a policy."""
    return DTypePolicy.of(identifier)


def deserialize(config, custom_objects=None) -> DTypePolicy:
    """The policy that `serialize` described."""
    return DTypePolicy.of(config)


def serialize(dtype_policy) -> dict:
    """A dictionary that `deserialize` turns into the same policy."""
    from .. import registry

    return registry.serialize(dtype_policy)
