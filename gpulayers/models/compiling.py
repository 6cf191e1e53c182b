"""What `compile` is given, made ready for steps: losses and metrics, each with its output."""

from __future__ import annotations

from typing import Any

from .. import tree
from ..metrics import Metric
from .identifiers import accuracy, crossentropy, get_loss, get_metric, resolve
from .loss_terms import LossTracker, Term, placed
from .outputs import Outputs


class CompileLoss:
    """The weighted sum of the losses of a model's outputs.

    Args:
        loss: a loss (name, function, config or Loss) for all outputs, a list of one for each, a
            dict by output, or nested like the outputs; None where an output has no loss. A dict
            may leave outputs out. Where the outputs have one array, a list of losses is their sum;
            where they have a list or dict, one loss is given all of it: (y_true, y_pred) are then
            such lists or dicts, and the library's own losses want arrays of one shape.
        loss_weights: factors of the losses, given in the same ways; 1 by default. As many as
            there are losses, or one for each output.
        output_names: the model's names of its outputs, None if it has none.

    Names are looked up at once; the outputs are known from the first batch on. With several
    losses, each one's mean before weighting is a metric "<output>_loss"; logs hold the last one of
    an output that has several, as Keras's do. (Keras 3.15 leaves all but the first loss of a
    model's only output out of the sum; here all count.)

    Raises TypeError or ValueError for unknown losses, and for what does not fit the outputs.
    """

    name = "compile_loss"

    def __init__(self, loss, loss_weights=None, output_names: list[str] | None = None):
        _check_weights(loss_weights)
        self._given = resolve("loss", get_loss, loss)
        self._weights, self._names = loss_weights, output_names
        self.outputs: Outputs | None = None
        self.terms: list[Term] = []
        self.wanted: list[int] = []  # Outputs that need targets.
        self.only: Term | None = None

    @property
    def built(self) -> bool:
        """Whether the outputs have been seen."""
        return self.outputs is not None

    @property
    def metrics(self) -> list[Metric]:
        """The means of the single losses; none if there is one loss only."""
        return [term.tracker for term in self.terms if term.tracker is not None]

    @property
    def variables(self) -> list:
        """The variables of `metrics`."""
        return [variable for metric in self.metrics for variable in metric.variables]

    def build(self, y_true, y_pred) -> None:
        """Give each output its loss.  Only the shapes of the arguments are looked at."""
        outputs = Outputs(y_pred, self._names)
        chosen = placed(outputs, self._given, self._weights)
        wanted = list(dict.fromkeys(index for part in chosen for index in tree.flatten(part.at)))
        targets, predictions = _targets(outputs, y_true, wanted), tree.flatten(y_pred)
        terms = []
        for at, path, loss, weight in chosen:
            if isinstance(loss, str):
                first = tree.flatten(at)[0]
                loss = crossentropy(loss, targets[first], predictions[first])
            tracker = None
            if len(chosen) > 1:
                tracker = LossTracker(name=f"{outputs.loss_name(at, path, loss.name)}_loss")
            terms.append(Term(at, loss, weight, tracker))
        self.outputs, self.terms, self.wanted = outputs, terms, wanted
        self.only = terms[0] if len(terms) == 1 and outputs.paths == [()] else None

    def __call__(self, y_true, y_pred, sample_weight=None):
        """The sum of the weighted losses, an array of shape (); None if no output has one.

        Raises ValueError if targets are missing or don't fit the outputs.
        """
        if self.outputs is None:
            self.build(y_true, y_pred)
        only = self.only
        if only is not None and not tree.is_nested(y_true) and not tree.is_nested(sample_weight):
            if y_true is None:
                _raise_missing(self.outputs, 0)
            return only.weighted(only.loss(y_true, y_pred, sample_weight))
        targets = _targets(self.outputs, y_true, self.wanted)
        predictions = tree.flatten(y_pred)
        weights = _sample_weights(self.outputs, sample_weight)
        total = None
        for term in self.terms:
            value = term.value(targets, predictions, weights)
            if term.tracker is not None:
                term.tracker.record(value, predictions[tree.flatten(term.at)[0]].shape[0])
            value = term.weighted(value)
            total = value if total is None else total + value
        return total


class CompileMetrics:
    """The metrics of a model's outputs, used like one metric whose result is a dict.

    Args:
        metrics: a list of metrics for the only output; a list with a metric or a list of metrics
            for each output; a dict by output; or nested like the outputs.
        weighted_metrics: the same, for metrics in which sample weights count.
        output_names: the model's names of its outputs, None if it has none.
        loss: what knows which outputs have targets, if not all have.

    Names are looked up at once; "accuracy" and "acc" at the first batch, by its shapes.

    Raises TypeError or ValueError for unknown metrics, and for what does not fit the outputs.
    """

    name = "compile_metrics"

    def __init__(self, metrics=None, weighted_metrics=None, output_names=None, loss=None):
        self._given, self._loss = {}, loss
        for argument, given in (("metrics", metrics), ("weighted_metrics", weighted_metrics)):
            if given and not isinstance(given, (list, tuple, dict)):
                raise TypeError(
                    f"compile: {argument} must be a list, tuple or dict of metrics, got {given!r}."
                )
            self._given[argument] = resolve(argument, get_metric, given)
        self._names = output_names
        self.outputs: Outputs | None = None
        self._unweighted: list[tuple[int, Metric]] = []  # Each with the index of its output.
        self._weighted: list[tuple[int, Metric]] = []
        self._by_key: dict[str, Metric] = {}

    @property
    def built(self) -> bool:
        """Whether the outputs have been seen."""
        return self.outputs is not None

    @property
    def metrics(self) -> list[Metric]:
        """All metrics, in the order of the outputs, the weighted ones last."""
        return [metric for _, metric in self._unweighted + self._weighted]

    @property
    def variables(self) -> list:
        """The variables of all metrics."""
        return [variable for metric in self.metrics for variable in metric.variables]

    def build(self, y_true, y_pred) -> None:
        """Give each output its metrics.  Only the shapes of the arguments are looked at."""
        outputs = Outputs(y_pred, self._names)
        targets, predictions = self._targets(outputs, y_true), tree.flatten(y_pred)
        found = {}
        for argument, given in self._given.items():
            pairs = found[argument] = []
            for i, metric in _matched(outputs, given, argument):
                if isinstance(metric, str):
                    if targets[i] is None:
                        _raise_missing(outputs, i, f"the metric {metric!r}")
                    metric = accuracy(metric, targets[i], predictions[i])
                pairs.append((i, metric))
        self._unweighted, self._weighted = found["metrics"], found["weighted_metrics"]
        self._by_key = dict(_keys(outputs.prefixes(), self._unweighted, self._weighted))
        self.outputs = outputs

    def update_state(self, y_true, y_pred, sample_weight=None) -> None:
        """Add a batch.  Raises ValueError if targets are missing or don't fit the outputs."""
        if self.outputs is None:
            self.build(y_true, y_pred)
        outputs = self.outputs
        targets, predictions = self._targets(outputs, y_true), tree.flatten(y_pred)
        for i, metric in self._unweighted:
            if targets[i] is None:
                _raise_missing(outputs, i, f"the metric {metric.name!r}")
            metric.update_state(targets[i], predictions[i])
        if self._weighted:
            weights = _sample_weights(outputs, sample_weight)
            for i, metric in self._weighted:
                if targets[i] is None:
                    _raise_missing(outputs, i, f"the metric {metric.name!r}")
                metric.update_state(targets[i], predictions[i], weights[i])

    def _targets(self, outputs, y_true):
        known = self._loss is not None and self._loss.built
        return outputs.align(y_true, "y", self._loss.wanted if known else [])

    def reset_state(self) -> None:
        """Forget all batches."""
        for metric in self.metrics:
            metric.reset_state()

    def result(self) -> dict[str, Any]:
        """The results by the names that logs and histories use."""
        return {key: metric.result() for key, metric in self._by_key.items()}


def _check_weights(loss_weights) -> None:
    for weight in tree.flatten(loss_weights):
        number = isinstance(weight, (int, float)) or hasattr(weight, "shape")
        if weight is not None and (not number or isinstance(weight, bool)):
            raise TypeError(
                "compile: loss_weights must be a number, or a list or dict with a number for each "
                f"output, got {weight!r}."
            )


def _targets(outputs: Outputs, y_true, wanted: list[int]) -> list:
    """The targets of every output, None where none is wanted."""
    if y_true is None and wanted:
        _raise_missing(outputs, wanted[0])
    targets = outputs.align(y_true, "y", wanted)
    for index in wanted:
        if targets[index] is None:
            _raise_missing(outputs, index)
    return targets


def _sample_weights(outputs: Outputs, sample_weight) -> list:
    """The sample weights of every output: one array counts for all of them."""
    flat = tree.flatten(sample_weight)
    if len(flat) == 1:
        return flat * outputs.count
    return outputs.align(sample_weight, "sample_weight", [])


def _raise_missing(outputs: Outputs, index: int, what: str = "a loss"):
    raise ValueError(
        f"y: there are no targets for {outputs.label(index)}, but compile() was given {what} for "
        "it. Pass y, or data that yields (x, y)."
    )


def _matched(outputs: Outputs, given, argument: str):
    """Pairs (index of an output, metric) in the order of reports."""
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


def _keys(prefixes: list, unweighted: list, weighted: list):
    """Pairs (name in the logs, metric): "<output>_<metric>" and "<metric>" for a single output.

    A name that is taken gets a number; but a weighted metric that has the name of another one
    becomes "weighted_<metric>" first.
    """
    taken: dict[str, int] = {}
    for pairs, second in ((unweighted, ""), (weighted, "weighted_")):
        for index, metric in pairs:
            prefix = f"{prefixes[index]}_" if prefixes[index] else ""
            key = prefix + metric.name
            if key in taken and second:
                key = prefix + second + metric.name
            count = taken.get(key, 0)
            taken[key] = count + 1
            yield (f"{key}_{count}" if count else key), metric
