"""Parameters and multiply-accumulates of a built Keras model, layer by layer."""

from dataclasses import dataclass, replace
from math import prod

import numpy as np

from course_lib.experiments import Parameters


@dataclass(frozen=True)
class Row:
    """One layer of a table: `shape` without the batch, `inputs` the names of what it reads."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    parameters: int
    macs: int


def parameters(model) -> Parameters:
    """Parameters of a Keras model or layer; the state of dropout's seeds does not count."""
    trainable = sum(prod(w.shape) for w in model.trainable_weights)
    fixed = sum(prod(w.shape) for w in model.non_trainable_weights)
    return Parameters(trainable + fixed, trainable, fixed)


def layer_macs(layer) -> int:
    """Multiply-accumulates of one layer for one image; 0 for all but convolution and dense."""
    kind = type(layer).__name__
    if kind in ("Conv2D", "DepthwiseConv2D"):  # every weight is used once at every place
        return prod(layer.output.shape[1:3]) * prod(layer.kernel.shape)
    if kind == "SeparableConv2D":
        weights = prod(layer.depthwise_kernel.shape) + prod(layer.pointwise_kernel.shape)
        return prod(layer.output.shape[1:3]) * weights
    if kind == "Dense":
        return prod(layer.kernel.shape) * prod(layer.output.shape[1:-1])
    return 0


def macs(model) -> int:
    """Multiply-accumulates of one image's forward pass: convolutions and dense layers only."""
    return sum(layer_macs(layer) for layer in model.layers)


def padding(layer) -> float:
    """Share of a convolution's taps that fall on padding, over all places of its map; 0 for a layer
    that is no convolution."""
    if not hasattr(layer, "kernel_size"):
        return 0.0
    inside = 1.0
    for axis, kernel in enumerate(layer.kernel_size):
        before, after = layer.input.shape[1 + axis], layer.output.shape[1 + axis]
        stride = layer.strides[axis]
        # Of an odd number of added rows the larger part stands behind.
        added = max((after - 1) * stride + kernel - before, 0)
        start = np.arange(after) * stride - added // 2
        at = start[:, None] + np.arange(kernel)
        inside *= ((at >= 0) & (at < before)).mean()
    return 1 - float(inside)


def rows(model) -> list[Row]:
    """The layer table of a functional Keras model, in the order of its graph."""
    table = []
    for layer in model.layers:
        before = layer.input if isinstance(layer.input, list) else [layer.input]
        sources = tuple(t._keras_history.operation.name for t in before)
        table.append(
            Row(
                layer.name,
                type(layer).__name__,
                tuple(s for s in sources if s != layer.name),
                tuple(layer.output.shape[1:]),
                parameters(layer).total,
                layer_macs(layer),
            )
        )
    return table


def stages(model) -> list[Row]:
    """The layer table summed up by stage: layers `fire2_squeeze`, `fire2_join`, … are one row.

    `shape` is what the stage passes on, `kind` that of its last layer.
    """
    table = {}
    for row in rows(model):
        stage = row.name.split("_")[0]
        first = table.get(stage, row)
        table[stage] = replace(
            row,
            name=stage,
            inputs=first.inputs,
            parameters=row.parameters + (first.parameters if stage in table else 0),
            macs=row.macs + (first.macs if stage in table else 0),
        )
    return list(table.values())
