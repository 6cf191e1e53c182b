"""What must exist before the first step: weights, losses, metrics, the optimizer's variables."""

from __future__ import annotations

from functools import wraps

from .. import tree
from ..arrays import Abstract, devices, dtypes, infer
from ..layers.tracking import STRUCTURE
from .data import Batches, kind_of, unpack
from .steps import Steps


def prepare(model: Steps, batches: Batches, step: str) -> None:
    """Make everything that `model` needs for batches like these, before callbacks see it.

    Args:
        model: a model, compiled unless `step` is "predict_step".
        batches: the first one is looked at, if something is missing; none is used up.
        step: the step that will take them: "train_step", "test_step" or "predict_step".
    """
    made = model._compiled if step != "predict_step" else None
    if made is not None and made.ready_for == STRUCTURE[0]:
        return
    parts = [] if made is None else [made.loss, made.metrics]
    parts = [part for part in parts if part is not None and not part.built]
    if parts or not all(layer.built for layer in model._flatten_layers()):
        x, y, _ = unpack(batches.first())
        try:
            y_pred = outputs_like(model, x)
        except Exception:
            # A step of one's own may have no use for a `call`: then it builds what it needs.
            if getattr(type(model), step) is getattr(Steps, step):
                raise
        else:
            for part in parts:
                part.build(y, y_pred)
        batches.device = device_of(model)
    if made is not None:
        if model.optimizer is not None and not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        made.ready_for = STRUCTURE[0]


def outputs_like(model, x):
    """What `model` gives for inputs like `x`: shapes, if they can be told without data.

    New weights live where `x` does, if that is a GPU, else on the default device.
    """
    home = home_of(model, x)

    def abstract(leaf):
        return None if leaf is None else Abstract(leaf.shape, dtypes.name(leaf.dtype))

    def there(leaf):
        return None if leaf is None else devices.put(leaf, home)

    with devices.scope(home):
        try:
            return infer(
                lambda inputs: model(inputs, training=False), tree.map_structure(abstract, x)
            )
        except Exception:  # A `call` that looks at values; its mistakes are raised here.
            return model(x if model.weights else tree.map_structure(there, x), training=False)


def on_its_device(method):
    """A method of a model that takes data: run with the model's GPU as the current one."""

    @wraps(method)
    def call(self, *args, **kwargs):
        x = args[0] if args else kwargs.get("x")
        with devices.on(home_of(self, x)):
            return method(self, *args, **kwargs)

    return call


def home_of(model, x) -> devices.Home:
    """Where `model` lives; before it has weights, where data like `x` will make it live."""
    weights = model.weights
    if weights:
        return weights[0].home
    kind = kind_of(x)
    return devices.default() if kind is devices.CPU else kind


def device_of(model) -> str | None:
    """Where batches must be for `model`; None while it has no weights that live somewhere."""
    weights = model.weights
    name = devices.name(weights[0].home) if weights else ""
    return name if name.startswith(("cpu", "gpu")) else None
