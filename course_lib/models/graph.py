"""The normal form of a network and its hash: what binds a record to the network it came from.

Keras' own description of a layer changes with its version, its backend and the class that stands
for batch normalisation. This one holds what the course sets: of every layer its kind, the
arguments named here, the dtype in which it computes under mixed precision, what it reads and the
shape that it passes on. Names are left out: they may be bettered. So is what no layer says of
itself, such as the order in which layers draw their first weights.

Hours of recording rest on this form. A kind may be added; what stands here for another must stay.
"""

import hashlib
import json

from course_lib.settings import CourseError

_WEIGHTED = ("use_bias", "activation", "kernel_initializer", "bias_initializer",
             "kernel_regularizer", "bias_regularizer", "kernel_constraint")  # fmt: skip
_CONVOLUTION = ("kernel_size", "strides", "padding", "dilation_rate", "groups", *_WEIGHTED)
_POOLING = ("pool_size", "strides", "padding")
ARGUMENTS = {
    "InputLayer": (),
    "Conv2D": ("filters", *_CONVOLUTION),
    "DepthwiseConv2D": ("kernel_size", "strides", "padding", "dilation_rate", "depth_multiplier",
                        "use_bias", "activation", "depthwise_initializer", "bias_initializer",
                        "depthwise_regularizer", "bias_regularizer", "depthwise_constraint"),
    "Dense": ("units", *_WEIGHTED),
    "BatchNormalization": ("axis", "momentum", "epsilon", "scale", "center",
                           "beta_initializer", "gamma_initializer"),
    "ReLU": ("max_value", "negative_slope", "threshold"),
    "ELU": ("alpha",),
    "Softmax": ("axis",),
    "MaxPooling2D": _POOLING,
    "AveragePooling2D": _POOLING,
    "GlobalAveragePooling2D": ("keepdims",),
    "ZeroPadding2D": ("padding",),
    "Dropout": ("rate", "noise_shape"),
    "Concatenate": ("axis",),
    "Add": (),
    "Flatten": (),
}  # fmt: skip


def normal_form(model) -> list[dict]:
    """One entry per layer of a functional Keras model, in the order of its graph; JSON values.

    `reads` are places in this list. A CourseError for a kind of layer that ARGUMENTS lacks.
    """
    place = {layer.name: k for k, layer in enumerate(model.layers)}
    form = []
    for layer in model.layers:
        kind = type(layer).__name__
        if kind not in ARGUMENTS:
            raise CourseError(
                f"a layer {kind} has no normal form: add it to course_lib/models/graph.py"
            )
        config = layer.get_config()
        read = layer.input if isinstance(layer.input, list) else [layer.input]
        sources = [_layer_before(tensor, place) for tensor in read]
        form.append(
            {
                "kind": kind,
                # Keras before 3.14 leaves the alpha of an ELU out of its configuration.
                "arguments": {
                    name: _plain(config.get(name, getattr(layer, name, None)))
                    for name in ARGUMENTS[kind]
                },
                "computes": layer.compute_dtype,
                "reads": [place[name] for name in sources if name != layer.name],
                "shape": list(layer.output.shape[1:]),
            }
        )
    return form


def _layer_before(tensor, place: dict) -> str:
    """The layer that `tensor` comes from. Keras 3.6 puts casts between layers, which are none."""
    operation = tensor._keras_history.operation
    while operation.name not in place:
        operation = operation.input._keras_history.operation
    return operation.name


def _plain(value):
    """A value of a layer's configuration without what varies: [class, its settings] for what
    Keras serialises, without seeds and what is not set; numbers to nine digits."""
    if isinstance(value, dict) and "class_name" in value:
        given = {k: v for k, v in value["config"].items() if k != "seed" and v is not None}
        return [value["class_name"], {k: _plain(v) for k, v in sorted(given.items())}]
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (bool, str)) or value is None:
        return value
    return float(f"{value:.9g}")


def digest(form: list[dict]) -> str:
    """SHA-256 of a normal form."""
    return hashlib.sha256(json.dumps(form, sort_keys=True).encode()).hexdigest()


def of(experiment) -> str:
    """The hash of an experiment's network as it is built today."""
    # In float32, layers that stay in it under mixed precision would not show.
    return digest(normal_form(experiment.build(precision="mixed_bfloat16")))
