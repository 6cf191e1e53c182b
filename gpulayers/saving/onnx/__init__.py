"""Models as ONNX files: see `Model.export`."""

from __future__ import annotations

import numpy as np

from ..files import replacing
from .writer import MOST_WEIGHTS, NotCovered, Step, Value

OPSETS = {18: 8, 19: 9, 20: 9, 21: 10}  # Versions of ONNX's operations, and of its files.


def export(model, filepath, opset_version: int = 18) -> None:
    """Write a graph of layers to an ONNX file: see `Model.export`."""
    if opset_version not in OPSETS:
        known = ", ".join(map(str, OPSETS))
        raise ValueError(f"export: opset_version must be one of {known}, got {opset_version!r}.")
    try:
        import onnx
    except ImportError as error:
        raise ImportError(
            "export: ONNX files need the package onnx: pip install 'gpulayers[onnx]'"
        ) from error
    proto = _proto(onnx, model, opset_version)
    with replacing(filepath) as file:
        file.write(proto.SerializeToString())


def _proto(onnx, model, opset_version):
    from .graph import GraphWriter, graph_of

    try:
        graph = graph_of(model)
    except NotCovered as error:
        raise ValueError(f"export: {type(model).__name__} {model.name!r} {error}.") from None
    writer = GraphWriter([*model.input_names, *model.output_names])
    tensors = zip(model.input_names, graph.input_tensors, strict=True)
    inputs = [Value(t.shape, t.dtype, plain=name) for name, t in tensors]
    found = writer.graph(model, [Value(x.shape, x.dtype, x.plain) for x in inputs])
    outputs = _outputs(writer, model.output_names, found, model.input_names)
    size = sum(array.nbytes for array in writer.constants.values())
    if size > MOST_WEIGHTS:
        raise ValueError(
            f"export: an ONNX file holds at most 2 GB; the weights of {model.name!r} take {size} "
            "bytes."
        )
    made = onnx.helper.make_model(
        onnx.helper.make_graph(
            [_node(onnx, step) for step in _needed(writer.steps, outputs)],
            _identifier(model.name),
            [_info(onnx, x) for x in inputs],
            [_info(onnx, x) for x in outputs],
            [onnx.numpy_helper.from_array(a, name) for name, a in writer.constants.items()],
        ),
        opset_imports=[onnx.helper.make_opsetid("", opset_version)],
        producer_name="gpulayers",
        ir_version=OPSETS[opset_version],
    )
    try:
        onnx.checker.check_model(made, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ValueError(f"export: {model.name!r} makes no valid ONNX graph: {error}") from error
    return made


def _outputs(writer, names, values, inputs) -> list[Value]:
    """Values under the names of the model's outputs, or like them if inputs have these."""
    found = []
    for name, x in zip(names, values, strict=True):
        name = writer.unique(name) if name in inputs else name
        writer.steps.append(Step("Identity", [writer.plain(x)], [name], {}))
        found.append(Value(x.shape, x.dtype, plain=name))
    return found


def _needed(steps, outputs) -> list[Step]:
    """The steps that the outputs depend on."""
    wanted, kept = {x.plain for x in outputs}, []
    for step in reversed(steps):
        if wanted.intersection(step.outputs):
            wanted.update(step.inputs)
            kept.append(step)
    return kept[::-1]


def _node(onnx, step):
    name = step.outputs[0]
    return onnx.helper.make_node(
        step.operation, step.inputs, step.outputs, name=name, **step.attributes
    )


def _info(onnx, x):
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(x.dtype))
    sizes = [n if n is not None else "batch" if not i else None for i, n in enumerate(x.shape)]
    return onnx.helper.make_tensor_value_info(x.plain, kind, sizes)


def _identifier(name):
    return "".join(c if c.isalnum() else "_" for c in name) or "model"
