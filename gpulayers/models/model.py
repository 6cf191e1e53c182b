"""Models: layers that can be trained, saved and summarised."""

from __future__ import annotations

from functools import partial

from .. import naming, registry, tree
from ..arrays import Abstract, KerasTensor, dtypes, infer
from ..layers.building import known
from ..layers.input_layer import InputLayer
from ..layers.layer import Layer
from .graph import Graph, operation_of, sizes_fit
from .graph_plan import links_of_graph
from .inference_plan import Plans, plan_of
from .input_dtypes import InputDtypes
from .operations import name_of
from .state_tree import StateTree
from .trainer import Trainer


class Model(Trainer, StateTree, InputDtypes, Layer):
    """A graph of layers, or a layer of one's own, with `fit`, `evaluate` and `predict`.

    `Model(inputs, outputs)` is the function from some `Input`s to what layers made of them: each is
    a KerasTensor or a nested structure of them.  A subclass creates layers in `__init__` and
    computes in `call(inputs, training=None)`.

    Args:
        inputs, outputs: KerasTensors.
        trainable, name, dtype: as for any layer.

    Raises ValueError if the outputs do not depend on the inputs alone, TypeError for other values.
    """

    _graph: Graph | None = None
    _takes_text = True  # Its layers say what they take.

    def __new__(cls, *args, **kwargs):
        if cls is Model and _is_functional(args, kwargs):
            from .functional import Functional

            return Layer.__new__(Functional, *args, **kwargs)
        return super().__new__(cls, *args, **kwargs)

    def __init__(self, *args, **kwargs):
        if not _is_functional(args, kwargs):
            if args:
                raise TypeError(
                    f"{type(self).__name__}: expected Model(inputs, outputs) or keyword arguments, "
                    f"got {len(args)} positional ones."
                )
            super().__init__(**kwargs)
            return
        inputs, outputs = (*args, *(kwargs.pop(k) for k in ("inputs", "outputs") if k in kwargs))[
            :2
        ]
        name = args[2] if len(args) > 2 else kwargs.pop("name", None)
        super().__init__(name=name or naming.auto_name("functional"), **kwargs)
        self._set_graph(inputs, outputs)

    # A model that is a graph.

    def _set_graph(self, inputs, outputs):
        for what, value in (("inputs", inputs), ("outputs", outputs)):
            for x in tree.flatten(value):
                if not isinstance(x, KerasTensor):
                    raise TypeError(
                        f"Model: {what} must be KerasTensors (from Input and layers called on it), "
                        f"got {type(x).__name__}."
                    )
        if len({id(x) for x in tree.flatten(inputs)}) < len(tree.flatten(inputs)):
            raise ValueError("Model: an input is given twice.")
        graph = Graph(inputs, outputs, f"Model {self.name!r}")
        if not all(isinstance(t.node.operation, InputLayer) for t in graph.input_tensors):
            graph = _with_fresh_inputs(graph)
        self._graph = graph
        self._members = [op for op in graph.operations() if isinstance(op, Layer)]
        self._built = True
        self._build_shapes = {"inputs": tree.map_structure(lambda t: t.shape, graph.inputs)}

    @property
    def inputs(self) -> list[KerasTensor]:
        """The input KerasTensors, as a list."""
        return self._need_graph("inputs").input_tensors

    @property
    def outputs(self) -> list[KerasTensor]:
        """The output KerasTensors, as a list."""
        return self._need_graph("outputs").output_tensors

    @property
    def input(self):
        """The input KerasTensors in the structure in which they were given."""
        return self._need_graph("input").inputs

    @property
    def output(self):
        """The output KerasTensors in the structure in which they were given."""
        return self._need_graph("output").outputs

    @property
    def input_shape(self):
        """The shape of the only input, or a list of those of all."""
        return _shapes(self.inputs)

    @property
    def output_shape(self):
        """The shape of the only output, or a list of those of all."""
        return _shapes(self.outputs)

    @property
    def input_names(self) -> list[str]:
        return [t.node.operation.name for t in self.inputs]

    @property
    def output_names(self) -> list[str]:
        """The names of the layers that give the outputs, made unique."""
        names, seen = [], {}
        for tensor in self.outputs:
            operation = operation_of(tensor.node)
            name = operation.name or name_of(operation.operation)
            count = seen.get(name, 0)
            seen[name] = count + 1
            names.append(name if not count else f"{name}_{count}")
        return names

    @property
    def operations(self) -> list:
        """The layers and functions of the graph, in the order in which they run."""
        return self._need_graph("operations").operations()

    def _need_graph(self, what) -> Graph:
        if self._graph is None:
            raise AttributeError(
                f"{type(self).__name__} {self.name!r} has no {what}: it is not a graph of layers."
            )
        return self._graph

    def call(self, inputs, training=None, mask=None):
        """The outputs of the graph.  Subclasses that are no graph define their own."""
        if self._graph is None:
            raise NotImplementedError(
                f"{type(self).__name__} {self.name!r}: define `call`, or make the model by "
                "Model(inputs, outputs)."
            )
        from .functional import arranged

        return self._graph.run(arranged(self, inputs, mask))

    def _connect(self, arrays, args, kwargs):
        """As in Keras, KerasTensors come in the structure of `output`: also one alone in a list."""
        made = super()._connect(arrays, args, kwargs)
        alone = self._graph is not None and self._graph.results is not self._graph.outputs
        return type(self.output)([made]) if alone and not tree.is_nested(made) else made

    def _has_inputs(self) -> bool:
        return self._graph is not None

    def _graph_inputs(self):
        if self._graph is None or original(type(self).call) is not Model.call:
            return None
        return self._graph.inputs

    # A model that is a layer of one's own.

    def build(self, input_shape=None):
        """Create all weights, by running `call` on shapes alone.

        Args:
            input_shape: the shape of the inputs, batch included, or a structure of shapes.
        """
        if self._graph is not None or input_shape is None:
            return
        arrays = tree.map_shape_structure(lambda s: Abstract(s, self.compute_dtype), input_shape)
        try:
            infer(self.call, arrays)
        except Exception as error:
            error.add_note(f"while building {self.name!r} for inputs of shape {input_shape}")
            raise

    def get_build_config(self) -> dict | None:
        """The shapes of the arguments that this model was built with."""
        config = super().get_build_config()
        if config and "shapes_dict" in config and self._builds_by_its_call():
            shapes = config["shapes_dict"].items()
            return {"shapes_dict": {f"{name}_shape": shape for name, shape in shapes}}
        return config

    def build_from_config(self, config: dict):
        """Build with the shapes that `get_build_config` gave."""
        if not config.get("shapes_dict") or not self._builds_by_its_call():
            super().build_from_config(config)
            return
        shapes = tree.map_shape_structure(tuple, config["shapes_dict"])
        shapes = {name.removesuffix("_shape"): shape for name, shape in shapes.items()}
        arrays = tree.map_shape_structure(lambda s: Abstract(s, self.compute_dtype), shapes)
        with self._open():
            infer(lambda: self.call(**arrays))
        self._build_shapes, self.built = shapes, True

    def _builds_by_its_call(self) -> bool:
        return original(type(self).build) is original(Model.build)

    def _build_for(self, shapes):
        if self._builds_by_its_call():
            self._build_shapes = self._build_shapes or known(shapes)
            self.built = True  # Inner layers build themselves when `call` comes to them.
        else:
            super()._build_for(shapes)

    # Parts.

    @property
    def layers(self) -> list[Layer]:
        """The layers directly inside this model."""
        return self._layers

    @layers.setter
    def layers(self, _):
        raise AttributeError("Model.layers lists what the model has: it cannot be set.")

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of that name, or at that place in `layers`.

        Raises ValueError, listing the names there are, if there is none.
        """
        layers = self.layers
        if (name is None) == (index is None):
            raise ValueError("get_layer: give either a name or an index.")
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ValueError(f"get_layer: index {index} of a model of {len(layers)} layers.")
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        raise ValueError(
            f"get_layer: no layer {name!r}; there are {', '.join(repr(x.name) for x in layers)}."
        )

    def summary(
        self,
        line_length: int | None = None,
        positions: list[float] | None = None,
        print_fn=None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: list[str] | None = None,
    ) -> None:
        """Print a table of the layers, the shapes of their outputs and their numbers of weights.

        Args:
            line_length: width in characters; that of the terminal by default.
            positions: where columns end, as parts of the width or in characters.
            print_fn: called with the text instead of `print`.
            expand_nested: also show the layers of inner models.
            show_trainable: also show whether each layer is trainable.
            layer_range: names of the first and last layer to show.
        """
        from .summary import summarize

        summarize(
            self, line_length, positions, print_fn, expand_nested, show_trainable, layer_range
        )

    def get_compile_config(self) -> dict | None:
        """What `compile` was given, for files; None before."""
        return super().get_compile_config() if self.compiled else None

    def quantize(
        self, mode: str | None = None, config=None, filters=None, type_check: bool = True
    ) -> None:
        """Keep the weights of all layers that allow it in few bits.

        Args:
            mode: "int8", "int4" or "float8": see `quantize` of `Dense`.
            config: options instead of a mode: see `gpulayers.quantizers`.
            filters: quantize only layers of these names: a regular expression, a list of them, or
                a function of a layer.
            type_check: leave out layers of classes derived from those of this library.

        Layers that cannot be quantized are named in warnings.  Raises ValueError for another mode,
        TypeError for other filters, NotImplementedError for "gptq" and "awq".
        """
        from .quantizing import quantize

        quantize(self, mode, config, filters, type_check)

    # Files.

    def save(self, filepath, overwrite: bool = True, zipped: bool | None = None, **kwargs) -> None:
        """Write the whole model to a `.keras` file: see `gpulayers.saving.save_model`."""
        from ..saving import save_model

        save_model(self, filepath, overwrite=overwrite, zipped=zipped, **kwargs)

    def save_weights(self, filepath, overwrite: bool = True, **kwargs) -> None:
        """Write all weights to a `.weights.h5` file: see `gpulayers.saving.save_weights`."""
        from ..saving import save_weights

        save_weights(self, filepath, overwrite=overwrite, **kwargs)

    def load_weights(self, filepath, skip_mismatch: bool = False, **kwargs) -> None:
        """Read all weights from a file: see `gpulayers.saving.load_weights`."""
        from ..saving import load_weights

        load_weights(self, filepath, skip_mismatch=skip_mismatch, **kwargs)

    def export(self, filepath, format: str = "onnx", verbose=None, **options) -> None:
        """Write the model, as it predicts, to a file that other programs run: an ONNX file.

        The model must be a graph (Sequential or functional) in float32, of: Dense, EinsumDense,
        Embedding; convolutions of all kinds, pooling, UpSampling, Resizing; normalizations;
        activations; SimpleRNN, LSTM, GRU, RNN of their cells, Bidirectional, TimeDistributed;
        MultiHeadAttention, GroupQueryAttention, Attention, AdditiveAttention; layers that merge,
        reshape, pad, crop; Dropout, noise and augmentation, which are for training; Rescaling,
        Normalization, Discretization, CategoryEncoding; inner models; and common functions of
        arrays, operators and slices.

        Args:
            filepath: of the file, which is replaced once all is written.
            format: "onnx", which needs the package of that name.
            verbose: True to print a line when done.
            options: opset_version, the version of ONNX's operations: 18 (the default) to 21.

        Inputs and outputs have the model's names, and any batch size.  Raises ValueError for other
        formats and options, and, naming the layer, its place and why, for what is not covered:
        functions and layers of one's own, stateful layers.  ImportError without onnx.

        Masks (Masking, Embedding(mask_zero=True), `mask=`) are kept: recurrent layers skip the
        steps of each sample that do not count, wherever these are; attention, pooling and layers
        that merge leave them out.
        """
        if format != "onnx":
            raise ValueError(f"export: format must be 'onnx', got {format!r}.")
        unknown = sorted(set(options) - {"opset_version"})
        if unknown:
            raise ValueError(f"export: unknown options {', '.join(unknown)}; opset_version is one.")
        from ..saving.onnx import export

        export(self, filepath, **options)
        if verbose:
            print(f"Wrote {self.name!r} to {filepath}.")

    @classmethod
    def from_config(cls, config: dict, custom_objects=None):
        """A model from what `get_config` gave.

        Args:
            config: of a graph of layers, or the arguments of a class of one's own.
            custom_objects: name -> class or function, looked at first.
        """
        if "layers" in config and "output_layers" in config:
            from .functional import from_graph_config

            return from_graph_config(cls, config, custom_objects)
        with registry.custom_object_scope(custom_objects):
            return super().from_config(config)

    def to_json(self, **kwargs) -> str:
        """The model without its weights as JSON: `models.model_from_json` reads it."""
        import json

        return json.dumps(registry.serialize(self), **kwargs)

    def _rounded(self, x):
        """Outputs as the layers inside gave them: the last one may be of float32."""
        return x

    # Speed.

    def _takes_as_it_is(self, x) -> bool:
        """Whether this is a graph of one input, for arrays like `x`, and one output."""
        graph = self._graph
        if graph is None or len(graph.input_tensors) != 1 or tree.is_nested(graph.results):
            return False
        if type(self).call is not Model.call or len(x.shape) != len(graph.input_tensors[0].shape):
            return False
        tensor = graph.input_tensors[0]
        return sizes_fit(x, tensor) and dtypes.name(x.dtype) == tensor.dtype

    def _plan_graph(self) -> Graph | None:
        """The graph that calls of this model run; None for a model with a `call` of its own."""
        if self._graph is None or type(self).call is not Model.call:
            return None
        return self._graph if type(self).__call__ is Layer.__call__ else None

    def _plan_for(self, x):
        """The plan of inference for inputs like `x`; None if there is none, or not yet."""
        if type(self._plan) is not Plans and self._plan_graph() is None:
            return None
        return self._plans().of(self, x)

    def _plans(self) -> Plans:
        plans = self._plan
        if type(plans) is not Plans:
            plans = self.__dict__["_plan"] = Plans()
        return plans

    def _inference_plan(self, x, training=None):
        plan = self._plan_for(x)
        if plan is None:
            return super()._inference_plan(x) if type(self._plan) is not Plans else None
        return partial(plan.run, training=training) if plan.in_context else plan.run

    def _inference_step(self, x):
        plan = None if self._plan_graph() is None else plan_of(self, x)
        return None if plan is None or plan.in_context else plan.run

    def _training_links(self, x):
        return links_of_graph(self._graph, x) if self._takes_as_it_is(x) else None


def _with_fresh_inputs(graph: Graph) -> Graph:
    """The same graph between Inputs of its own: for inputs that other layers have made."""
    from ..layers.input_layer import Input

    def fresh(t):
        if isinstance(t.node.operation, InputLayer):
            return t
        return Input(batch_shape=t.shape, dtype=t.dtype, name=t.name)

    inputs = tree.map_structure(fresh, graph.inputs)
    return Graph(inputs, graph.run(tree.flatten(inputs)))


def original(function):
    return getattr(function, "__wrapped__", function)


def _is_functional(args, kwargs) -> bool:
    return (
        len(args) >= 2
        or (len(args) == 1 and "outputs" in kwargs)
        or ("inputs" in kwargs and "outputs" in kwargs)
    )


def _shapes(tensors):
    shapes = [tensor.shape for tensor in tensors]
    return shapes[0] if len(shapes) == 1 else shapes
