"""What `compile` is given, made ready for steps: a loss and metrics for every output."""

from __future__ import annotations

from typing import Any, NamedTuple

from .. import losses, metrics, tree
from ..arrays import dtypes
from .outputs import Outputs

ACCURACY = ("accuracy", "acc")
CROSSENTROPY = ("crossentropy", "ce")


def task_of(y_true, y_pred) -> str:
    """What targets and predictions of these shapes are: binary, sparse_categorical, categorical."""
    if y_pred.shape[-1] == 1:
        return "binary"
    sparse = len(y_true.shape) < len(y_pred.shape) or y_true.shape[-1] == 1
    return "sparse_categorical" if sparse else "categorical"


def object_name(thing) -> str:
    """The name of an object, or the snake_case name of a function or class."""
    name = getattr(thing, "name", None)
    if isinstance(name, str):
        return name
    return _snake_case(getattr(thing, "__name__", None) or type(thing).__name__)


def _snake_case(name: str) -> str:
    from ..registry import to_snake_case

    return to_snake_case(name)


def get_loss(identifier) -> losses.Loss | str:
    """A Loss from a name, a function, a config or a Loss; "crossentropy" waits for the shapes.

    Raises ValueError for an unknown name, TypeError for something that is no loss.
    """
    if isinstance(identifier, str) and identifier.lower() in CROSSENTROPY:
        return identifier
    found = losses.get(identifier)
    if isinstance(found, losses.Loss):
        return found
    if not callable(found):
        raise TypeError(
            "compile: loss must be the name of a loss, a function of (y_true, y_pred) or a Loss, "
            f"got {type(identifier).__name__}."
        )
    name = identifier if isinstance(identifier, str) else object_name(found)
    return losses.LossFunctionWrapper(found, name=name)


def get_metric(identifier) -> metrics.Metric | str:
    """A Metric from a name, a function, a config or a Metric; "accuracy" waits for the shapes.

    Raises ValueError for an unknown name, TypeError for something that is no metric.
    """
    if isinstance(identifier, str) and identifier.lower() in ACCURACY:
        return identifier
    found = metrics.get(identifier)
    if not isinstance(found, metrics.Metric):
        if not callable(found):
            raise TypeError(
                "compile: a metric must be the name of a metric, a function of (y_true, y_pred) "
                f"or a Metric, got {type(identifier).__name__}."
            )
        found = metrics.MeanMetricWrapper(found, name=object_name(found))
    if isinstance(identifier, str):
        found.name = identifier
    return found


def _named(argument: str, get, identifier):
    """What `get` gives, its complaint opened with the argument of `compile`."""
    try:
        return get(identifier)
    except ValueError as error:
        raise ValueError(f"compile: {argument}: {error}") from error


class LossTracker(metrics.Mean):
    """The mean of the losses of an epoch's batches, each weighted by its number of samples."""

    def record(self, value, samples: int) -> None:
        """Add the loss of one batch, a plain array of shape ()."""
        if value.shape != () or value.dtype != self.total.dtype:
            self.update_state(value, sample_weight=samples)
            return
        self.total.assign(self.total.value + value * samples)
        self.count.assign(self.count.value + samples)


class Term(NamedTuple):
    """One loss of the sum that is minimised."""

    index: int
    loss: losses.Loss
    weight: Any
    tracker: LossTracker | None


class CompileLoss:
    """The weighted sum of the losses of a model's outputs.

    Args:
        loss: a loss (name, function, config or Loss) for all outputs, a list of one for each, a
            dict by output, or nested like the outputs; None where an output has no loss. A dict
            may leave outputs out.
        loss_weights: factors of the losses, in the same ways; 1 by default.
        output_names: the model's names of its outputs, None if it has none.

    Names are looked up at once; shapes are known, and numbers of outputs compared, at the first
    batch. With several losses, each one's mean before weighting is a metric "<output>_loss".

    Raises TypeError, ValueError for unknown losses, and for what fits the outputs nowhere.
    """

    name = "compile_loss"

    def __init__(self, loss, loss_weights=None, output_names: list[str] | None = None):
        _check_weights(loss_weights)
        resolve = lambda one: None if one is None else _named("loss", get_loss, one)  # noqa: E731
        self._given = _map_identifiers(resolve, loss)
        self._weights, self._names = loss_weights, output_names
        self.outputs: Outputs | None = None
        self.terms: list[Term] = []
        self._wanted: list[int] = []
        self._single: Term | None = None

    @property
    def built(self) -> bool:
        """Whether the outputs have been seen."""
        return self.outputs is not None

    @property
    def metrics(self) -> list[metrics.Metric]:
        """The means of the single losses; none if there is one loss only."""
        return [term.tracker for term in self.terms if term.tracker is not None]

    @property
    def variables(self) -> list:
        """The variables of `metrics`."""
        return [variable for metric in self.metrics for variable in metric.variables]

    def build(self, y_true, y_pred) -> None:
        """Give each output its loss.  Only the shapes of the arguments are looked at."""
        outputs = Outputs(y_pred, self._names)
        chosen = [(i, one) for i, one in outputs.match(self._given, "loss") if one is not None]
        weights = {}
        if self._weights is not None:
            weights = dict(outputs.match(self._weights, "loss_weights"))
        wanted = [index for index, _ in chosen]
        targets = self._targets(outputs, y_true, wanted)
        predictions = tree.flatten(y_pred)
        terms = []
        for index, loss in chosen:
            if isinstance(loss, str):
                task = task_of(targets[index], predictions[index])
                loss = losses.LossFunctionWrapper(
                    losses.get(f"{task}_crossentropy"), name=f"{task}_crossentropy"
                )
            tracker = None
            if len(chosen) > 1:
                tracker = LossTracker(name=f"{outputs.loss_name(index, loss.name)}_loss")
            terms.append(Term(index, loss, weights.get(index), tracker))
        self.outputs, self.terms, self._wanted = outputs, terms, wanted
        self._single = terms[0] if outputs.paths == [()] and terms else None

    def __call__(self, y_true, y_pred, sample_weight=None):
        """The sum of the weighted losses, an array of shape (); None if no output has one.

        Raises ValueError if targets are missing or don't fit the outputs.
        """
        if self.outputs is None:
            self.build(y_true, y_pred)
        only = self._single
        if only is not None and not tree.is_nested(y_true) and not tree.is_nested(sample_weight):
            if y_true is None:
                self._raise_missing(self.outputs, only.index)
            return _scalar(only, only.loss(y_true, y_pred, sample_weight))
        targets = self._targets(self.outputs, y_true, self._wanted)
        predictions = tree.flatten(y_pred)
        weights = sample_weights(self.outputs, sample_weight)
        total = None
        for term in self.terms:
            i = term.index
            value = term.loss(targets[i], predictions[i], weights[i])
            if term.tracker is not None:
                term.tracker.record(_plain(value), predictions[i].shape[0])
            value = _scalar(term, value)
            total = value if total is None else total + value
        return total

    def _targets(self, outputs, y_true, wanted):
        if y_true is None and wanted:
            self._raise_missing(outputs, wanted[0])
        targets = outputs.align(y_true, "y", wanted)
        for index in wanted:
            if targets[index] is None:
                self._raise_missing(outputs, index)
        return targets

    def _raise_missing(self, outputs, index):
        raise ValueError(
            f"y: there are no targets for {outputs.label(index)}, but compile() was given a loss "
            "for it. Pass y, or data that yields (x, y); or compile with loss=None for this output."
        )


def _check_weights(loss_weights) -> None:
    for weight in tree.flatten(loss_weights):
        number = isinstance(weight, (int, float)) or hasattr(weight, "shape")
        if weight is not None and (not number or isinstance(weight, bool)):
            raise TypeError(
                "compile: loss_weights must be a number, or a list or dict of numbers, one for "
                f"each output; got {type(weight).__name__}."
            )


def _map_identifiers(get, given):
    """`get` of every identifier in a nested structure; a serialized object's dict is a leaf."""
    if isinstance(given, dict) and not {"class_name", "config"} <= set(given):
        return {key: _map_identifiers(get, part) for key, part in given.items()}
    if isinstance(given, (list, tuple)):
        parts = [_map_identifiers(get, part) for part in given]
        return type(given)(*parts) if hasattr(given, "_fields") else type(given)(parts)
    return get(given)


def _scalar(term: Term, value):
    """The loss times its weight; raises if it is not one number."""
    if value.shape != ():
        raise ValueError(
            f"compile: the loss {term.loss.name!r} gave an array of shape {tuple(value.shape)}, "
            "but training needs one number: give it reduction='sum_over_batch_size'."
        )
    return value if term.weight is None else value * term.weight


def _plain(value):
    from ..arrays import plain

    return plain(value)


def sample_weights(outputs: Outputs, sample_weight) -> list:
    """The sample weights of every output: one array counts for all of them."""
    flat = tree.flatten(sample_weight)
    if len(flat) == 1:
        return flat * outputs.count
    return outputs.align(sample_weight, "sample_weight", [])


class CompileMetrics(metrics.Metric):
    """The metrics of a model's outputs, as one metric whose result is a dict.

    Args:
        metrics: a list of metrics for the only output; a list with a metric or a list of metrics
            for each output; a dict by output; or nested like the outputs.
        weighted_metrics: the same, for metrics that sample weights count for.
        output_names: the model's names of its outputs, None if it has none.

    Names are looked up at once, "accuracy" and "acc" at the first batch, by its shapes.

    Raises TypeError, ValueError for unknown metrics, and for what fits the outputs nowhere.
    """

    def __init__(self, metrics=None, weighted_metrics=None, output_names=None):
        super().__init__(name="compile_metrics")
        given = {"metrics": metrics, "weighted_metrics": weighted_metrics}
        for argument, value in given.items():
            if value and not isinstance(value, (list, tuple, dict)):
                raise TypeError(
                    f"compile: {argument} must be a list, tuple or dict of metrics, got "
                    f"{type(value).__name__}."
                )
        self._given = {
            argument: _map_identifiers(
                lambda one, a=argument: None if one is None else _named(a, get_metric, one),
                value or [],
            )
            for argument, value in given.items()
        }
        self._names = output_names
        self.outputs: Outputs | None = None
        self._plain, self._weighted = [], []  # Pairs (index of the output, metric).
        self._single = False
        self._keys: list[tuple[str, Any]] = []

    @property
    def built(self) -> bool:
        """Whether the outputs have been seen."""
        return self.outputs is not None

    @property
    def metrics(self) -> list[metrics.Metric]:
        """All metrics, in the order of the outputs, the weighted ones last."""
        return [metric for _, metric in self._plain + self._weighted]

    @property
    def variables(self) -> list:
        """The variables of all metrics."""
        return [variable for metric in self.metrics for variable in metric.variables]

    def build(self, y_true, y_pred) -> None:
        """Give each output its metrics.  Only the shapes of the arguments are looked at."""
        outputs = Outputs(y_pred, self._names)
        targets, predictions = outputs.align(y_true, "y", []), tree.flatten(y_pred)
        for argument, given in self._given.items():
            pairs = []
            for index, metric in self._matched(outputs, given, argument):
                if isinstance(metric, str):
                    if targets[index] is None:
                        self._raise_missing(outputs, index, metric)
                    metric = _accuracy(metric, targets[index], predictions[index])
                pairs.append((index, metric))
            if argument == "metrics":
                self._plain = pairs
            else:
                self._weighted = pairs
        self._keys = list(_keys(outputs.prefixes(), self._plain, self._weighted))
        self._single = outputs.paths == [()]
        self.outputs = outputs

    @staticmethod
    def _matched(outputs, given, argument):
        if not given:
            return
        if outputs.count == 1:
            entries = {0: given}
        else:
            entries = dict(outputs.match(given, argument, is_entry=lambda _: True))
        for index in outputs.order():
            for metric in tree.flatten(entries.get(index)):
                if metric is not None:
                    yield index, metric

    def update_state(self, y_true, y_pred, sample_weight=None) -> None:
        """Add a batch.  Raises ValueError if targets are missing or don't fit the outputs."""
        if self.outputs is None:
            self.build(y_true, y_pred)
        outputs = self.outputs
        if self._single and not tree.is_nested(y_true) and not tree.is_nested(sample_weight):
            targets, predictions, weights = [y_true], [y_pred], [sample_weight]
        else:
            targets = outputs.align(y_true, "y", sorted({i for i, _ in self._plain}))
            predictions = tree.flatten(y_pred)
            weights = sample_weights(outputs, sample_weight)
        for i, metric in self._plain:
            if targets[i] is None:
                self._raise_missing(outputs, i, metric.name)
            metric.update_state(targets[i], predictions[i])
        for i, metric in self._weighted:
            if targets[i] is None:
                self._raise_missing(outputs, i, metric.name)
            metric.update_state(targets[i], predictions[i], weights[i])

    @staticmethod
    def _raise_missing(outputs, index, name):
        raise ValueError(
            f"y: there are no targets for {outputs.label(index)}, but compile() was given the "
            f"metric {name!r} for it. Pass y, or data that yields (x, y)."
        )

    def reset_state(self) -> None:
        """Forget all batches."""
        for metric in self.metrics:
            metric.reset_state()

    def result(self) -> dict[str, Any]:
        """The results by the names that logs and histories use."""
        return {key: metric.result() for key, metric in self._keys}


def _accuracy(name: str, y_true, y_pred) -> metrics.Metric:
    kind = {
        "binary": metrics.BinaryAccuracy,
        "sparse_categorical": metrics.SparseCategoricalAccuracy,
        "categorical": metrics.CategoricalAccuracy,
    }[task_of(y_true, y_pred)]
    return kind(name=name)


def _keys(prefixes, plain, weighted):
    """Pairs (name in the logs, metric): "<output>_<metric>", made unique as Keras does.

    A name used before gets a number; a weighted metric whose name an unweighted one has is called
    "weighted_<metric>".
    """
    used: dict[str, int] = {}
    for is_weighted, pairs in ((False, plain), (True, weighted)):
        for index, metric in pairs:
            prefix = f"{prefixes[index]}_" if prefixes[index] else ""
            key = prefix + metric.name
            if is_weighted and key in used:
                key = f"{prefix}weighted_{metric.name}"
            count = used.get(key, 0)
            used[key] = count + 1
            yield (f"{key}_{count}" if count else key), metric
