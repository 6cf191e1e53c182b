"""One step of training, testing or prediction, and what `compile` sets up for it."""

from __future__ import annotations

import inspect
import warnings
from functools import cache
from typing import Any

from .. import config, registry, tree
from ..arrays import Tape, as_array, devices, dtypes, get_mask, is_recorded, namespace, plain
from ..layers.tracking import STRUCTURE, parts, remembered, unique
from ..metrics import Metric
from ..optimizers.given import Given
from .compiling import CompileLoss, CompileMetrics, LossTracker
from .data import unpack
from .planned_step import PlannedStep


class Compiled:
    """What `compile` made: kept apart, for none of it is a part of the model."""

    __slots__ = (
        *("arguments", "captured", "loss", "loss_tracker", "metrics", "planned_step", "ready_for"),
    )

    def __init__(self, arguments: dict, output_names: list[str] | None):
        self.arguments = arguments
        given = (arguments["loss"], arguments["loss_weights"], output_names)
        self.loss = None if arguments["loss"] is None else CompileLoss(*given)
        given = (arguments["metrics"], arguments["weighted_metrics"])
        has_metrics = given != (None, None)
        self.metrics = CompileMetrics(*given, output_names, self.loss) if has_metrics else None
        self.loss_tracker = LossTracker(name="loss")
        self.planned_step: PlannedStep | None = None
        self.captured = None  # CapturedSteps, on a GPU.
        self.ready_for = -1  # The version of the layers' structure for which all is built.

    def all_metrics(self) -> list:
        """The mean loss, the compiled metrics, the means of single losses."""
        compiled = [] if self.metrics is None else [self.metrics]
        return [self.loss_tracker, *compiled, *([] if self.loss is None else self.loss.metrics)]


class Steps:
    """What a model learns by in one step: loss, metrics, optimizer; each step may be overridden."""

    compiled = False
    optimizer = None
    loss = None
    run_eagerly = False
    jit_compile = False
    steps_per_execution = 1
    stop_training = stop_evaluating = stop_predicting = False
    _compiled: Compiled | None = None

    def compile(
        self,
        optimizer="rmsprop",
        loss=None,
        loss_weights=None,
        metrics=None,
        weighted_metrics=None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Set what `fit` and `evaluate` work with.

        Args:
            optimizer: its name, config or instance.
            loss: a loss for all outputs, or a list, dict or nested structure of one for each: names
                ("mse"), functions of (y_true, y_pred), `Loss` instances; None for an output
                without a loss. "crossentropy" picks one by the shapes.
            loss_weights: factors of the losses, one number or given like the losses.
            metrics: a list of metrics (names, functions, `Metric` instances) for a single output;
                a list of such lists, or a dict, for several. "accuracy" picks one by the shapes.
            weighted_metrics: the same, for metrics in which sample and class weights count.
            run_eagerly: accepted for Keras's sake; wins over `jit_compile`.
            jit_compile: True lets a model on a GPU capture its steps, one for each shape of
                batches, and make them without Python: what layers do to their own attributes, and
                print, happens once then. Steps that cannot be captured run as usual, with a
                warning. "auto" and False capture nothing.
            steps_per_execution: batches between two calls of the callbacks' batch methods.
            auto_scale_loss: scale the loss under the policy "mixed_float16", so that small
                gradients do not vanish (`LossScaleOptimizer`).

        Raises ValueError or TypeError for unknown names, and for what is no loss or metric.
        """
        if not hasattr(steps_per_execution, "__index__") or steps_per_execution < 1:
            raise ValueError(
                "compile: steps_per_execution must be a positive integer, got "
                f"{steps_per_execution!r}."
            )
        if run_eagerly and jit_compile is True:
            warnings.warn("compile: run_eagerly=True wins over jit_compile=True.", stacklevel=2)
        optimizer = self._made_optimizer(optimizer, auto_scale_loss)
        arguments = {
            "optimizer": optimizer,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
            "run_eagerly": run_eagerly,
            "steps_per_execution": int(steps_per_execution),
            "jit_compile": jit_compile,
        }
        self.__dict__.update(  # Past the layer's __setattr__: the model's structure is the same.
            _compiled=Compiled(arguments, getattr(self, "output_names", None)),
            optimizer=optimizer,
            loss=loss,
            run_eagerly=run_eagerly,
            jit_compile=jit_compile is True and not run_eagerly,
            steps_per_execution=int(steps_per_execution),
            stop_training=False,
            compiled=True,
        )

    def _made_optimizer(self, optimizer, auto_scale_loss):
        try:
            optimizer = registry.get("optimizers", optimizer)
        except ValueError as error:
            raise ValueError(f"compile: optimizer: {error}") from error
        except TypeError as error:
            raise TypeError(f"compile: optimizer: {error}") from error
        if not (optimizer is None or hasattr(optimizer, "apply")):
            raise TypeError(
                "compile: optimizer must be the name of an optimizer or an Optimizer, got "
                f"{type(optimizer).__name__}."
            )
        if auto_scale_loss and optimizer is not None and self.dtype_policy.name == "mixed_float16":
            from ..optimizers import LossScaleOptimizer

            if not isinstance(optimizer, LossScaleOptimizer):
                optimizer = LossScaleOptimizer(optimizer, name="loss_scale_optimizer")
        return optimizer

    def get_compile_config(self) -> dict[str, Any]:
        """The arguments of `compile` as a file holds them; {} before it was called."""
        return registry.serialize(self._compiled.arguments) if self._compiled else {}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile with what `get_compile_config` gave.

        A model with its own `compile` is left as it is, with a warning: it must define this
        method too.
        """
        if type(self).compile is not Steps.compile:
            warnings.warn(
                f"{type(self).__name__} has its own compile(), so it was not compiled while it "
                "was loaded. Define get_compile_config() and compile_from_config(config) too, or "
                "call compile() after loading.",
                stacklevel=2,
            )
            return
        self.compile(**registry.deserialize(config))
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

    # Metrics.

    @property
    def metrics(self) -> list[Metric]:
        """The mean loss, the compiled metrics, single losses, and metrics of the layers."""
        compiled = self._compiled.all_metrics() if self._compiled else []
        return unique([*compiled, *_metrics_of_layers(self)])

    @property
    def metrics_variables(self) -> list:
        """The variables of all `metrics`."""
        return [variable for metric in self.metrics for variable in metric.variables]

    @property
    def metrics_names(self) -> list[str]:
        """The names of `metrics`."""
        return [metric.name for metric in self.metrics]

    def reset_metrics(self) -> None:
        """Forget what all metrics have seen: to be called between epochs."""
        for metric in self.metrics:
            metric.reset_state()

    def get_metrics_result(self) -> dict[str, Any]:
        """The present results of all metrics by name: arrays of shape (), not yet numbers."""
        results = {}
        for metric in self.metrics:
            result = metric.result()
            if isinstance(result, dict):
                results.update(result)
            else:
                results[metric.name] = result
        return results

    def compute_metrics(self, x, y, y_pred, sample_weight=None) -> dict[str, Any]:
        """Update the compiled metrics with a batch and give the results of all metrics.

        To be overridden for metrics of your own: call `super().compute_metrics(...)`, update
        yours, and add their results. Predictions may be recorded ones.
        """
        self._update_metrics(x, y, y_pred, sample_weight)
        return self.get_metrics_result()

    def _update_metrics(self, x, y, y_pred, sample_weight) -> None:
        if self._compiled and self._compiled.metrics is not None:
            if is_recorded(y_pred) and get_mask(y_pred) is None:
                y_pred = plain(y_pred)  # Once, rather than in each metric.
            self._compiled.metrics.update_state(y, y_pred, sample_weight)

    # Losses.

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss of a batch: the compiled losses plus `self.losses` (regularizers, `add_loss`).

        To be overridden for losses that need more than targets and predictions.

        Args:
            x, y, sample_weight: the batch; arrays or structures of them, or None.
            y_pred: the model's outputs.
            training: False in `evaluate`.

        Returns an array of shape (). Raises ValueError if there is no loss at all, or targets are
        missing.
        """
        total = None
        if self._compiled and self._compiled.loss is not None:
            total = self._compiled.loss(y, y_pred, sample_weight)
        for loss in self.losses:
            loss = _number(loss)
            total = loss if total is None else total + loss
        if total is None:
            raise ValueError(
                f"{self.name}: there is no loss to compute. Give compile() a loss, add one with "
                "add_loss(), or override compute_loss()."
            )
        return total

    def _loss_of(self, x, y, y_pred, sample_weight, training):
        """`compute_loss`, also of a class whose own version has no argument `training`."""
        if _takes_training(type(self).compute_loss):
            return self.compute_loss(x, y, y_pred, sample_weight, training=training)
        return self.compute_loss(x, y, y_pred, sample_weight)

    # Steps.

    def train_step(self, data) -> dict[str, Any]:
        """Learn from one batch and give the logs.

        To be overridden for another way of learning:

            with gpulayers.Tape() as tape:
                y_pred = self(x, training=True)
                loss = self.compute_loss(x=x, y=y, y_pred=y_pred)
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply(gradients, self.trainable_variables)
            return self.compute_metrics(x, y, y_pred)

        Args:
            data: x, (x,) where it is a list or tuple, (x, y) or (x, y, sample_weight).
        """
        return self._learn(data, self.compute_metrics)

    def _learn(self, data, update):
        """`train_step`, with `update` for the metrics; gives what that gives."""
        x, y, sample_weight = unpack(data)
        optimizer, variables = self.optimizer, self.trainable_variables
        made = self._planned(x, y, sample_weight, variables)
        if made is None:
            made = self._recorded(x, y, sample_weight)
            variables = self.trainable_variables  # A step may have made some.
        y_pred, loss, gradients = made
        self._compiled.loss_tracker.record(loss, _samples(x))
        # Before the weights change: what is wrong with y or a metric leaves them as they were.
        logs = update(x, y, y_pred, sample_weight)
        if not variables:
            warnings.warn(f"{self.name} has no trainable weights: nothing to learn.", stacklevel=2)
        elif optimizer is None:
            raise ValueError(f"{self.name}: training needs an optimizer, compile() was given None.")
        else:
            optimizer.apply(Given(gradients), variables)
        return logs

    def _recorded(self, x, y, sample_weight):
        """Outputs, loss, and gradients for the trainable variables of one batch."""
        with Tape() as tape:
            y_pred = self(x, training=True)
            loss = self._loss_of(x, y, y_pred, sample_weight, True)
            target = loss if self.optimizer is None else self.optimizer.scale_loss(loss)
        variables = self.trainable_variables
        recorded = is_recorded(target)
        gradients = tape.gradient(target, variables) if recorded else [None] * len(variables)
        return y_pred, loss, gradients

    def _planned(self, x, y, sample_weight, variables):
        """The same for arrays where the model has a short way; else None."""
        step = self._compiled.planned_step
        if step is None or step.version != STRUCTURE[0]:
            step = self._compiled.planned_step = PlannedStep(self, x)
        return step(x, y, sample_weight, variables)

    def test_step(self, data) -> dict[str, Any]:
        """Loss and metrics of one batch; gives the logs.  To be overridden like `train_step`."""
        return self._examine(data, self.compute_metrics)

    def _examine(self, data, update):
        """`test_step`, with `update` for the metrics; gives what that gives."""
        x, y, sample_weight = unpack(data)
        y_pred = self(x, training=False)
        loss = self._loss_of(x, y, y_pred, sample_weight, False)
        self._compiled.loss_tracker.record(loss, _samples(x))
        return update(x, y, y_pred, sample_weight)

    def predict_step(self, data):
        """The model's outputs for one batch.  To be overridden like `train_step`."""
        return self(unpack(data)[0], training=False)

    def make_train_function(self, force: bool = False):
        """The function of a batch that `fit` calls: `train_step`, undone if it raises.

        Undone is what a forward pass changes (moving statistics, seeds); the optimizer comes last.
        """
        return self._captured("train", self._undone_if_it_raises(self.train_step))

    def _silent_function(self, verb: str):
        """`make_train_function` ("train") or the like without logs; None if a subclass has its own.

        The results of the metrics are not computed then: whoever wants to see them asks for them.
        """
        ways = (f"{verb}_step", f"make_{verb}_function", "compute_metrics", "get_metrics_result")
        if any(getattr(type(self), way) is not getattr(Steps, way) for way in ways):
            return None
        if verb == "test":
            step = lambda data: self._examine(data, self._update_metrics)
        else:
            step = self._undone_if_it_raises(lambda data: self._learn(data, self._update_metrics))
        return self._captured(verb, step, silent=True)

    def _captured(self, verb: str, step, silent: bool = False):
        """`step` as a CUDA graph, where `compile` was asked for one and the model is on a GPU."""
        weights = self.weights if self.jit_compile else ()
        if not weights or not devices.is_cupy(weights[0]._value):
            return step
        if self._compiled.captured is None:
            from .captured_steps import CapturedSteps

            self._compiled.captured = CapturedSteps(self)
        return self._compiled.captured.function(verb, step, silent)

    def _undone_if_it_raises(self, step):
        def run(data):
            before = [(variable, variable.value) for variable in _changed_by_calls(self)]
            try:
                return step(data)
            except BaseException:
                for variable, value in before:
                    variable.replace(value)
                raise

        return run

    def make_test_function(self, force: bool = False):
        """The function of a batch that `evaluate` calls: `test_step`."""
        return self._captured("test", self.test_step)

    def make_predict_function(self, force: bool = False):
        """The function of a batch that `predict` calls: `predict_step`."""
        return self._captured("predict", self.predict_step)


@remembered
def _metrics_of_layers(model) -> list[Metric]:
    found = []
    for layer in model._flatten_layers():
        if layer is model or not isinstance(layer, Steps):  # A model inside has its own loss.
            found += parts(layer, Metric)
    return found


@remembered
def _changed_by_calls(model) -> list:
    """The variables that a forward pass may change: moving statistics, seeds, some kernels."""
    layers = model._flatten_layers()
    found = [variable for layer in layers for variable in getattr(layer, "_overwritten", ())]
    return found + [variable for variable in model.variables if not variable.created_trainable]


@cache
def _takes_training(function) -> bool:
    return "training" in inspect.signature(function).parameters


def _number(loss):
    """An added loss as a float array of shape ()."""
    loss = as_array(loss)
    xp = namespace(loss)
    if not dtypes.is_floating(loss):
        loss = xp.astype(loss, dtypes.of(xp, config.floatx()))
    return loss if loss.shape == () else xp.sum(loss)


def _samples(x) -> int:
    """The number of samples in a batch of inputs."""
    if not tree.is_nested(x):
        return x.shape[0]
    return next(leaf for leaf in tree.leaves(x) if leaf is not None).shape[0]
