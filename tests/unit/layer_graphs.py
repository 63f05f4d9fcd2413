"""A network as its source says it, layer by layer, to hold a built one against.

Counts alone miss a stride, a join or a ReLU in the wrong place.
"""

import pytest

# What Keras has unless it is told otherwise, and what no network of the course asks for.
WEIGHTED = {"use_bias": True, "activation": "linear", "kernel_initializer": "GlorotUniform",
            "bias_initializer": "Zeros", "kernel_regularizer": None,
            "bias_regularizer": None}  # fmt: skip
CONV = WEIGHTED | {"padding": "same", "groups": 1, "dilation_rate": [1, 1]}
BN = {"momentum": 0.99, "epsilon": 1e-3, "center": True, "scale": True, "axis": -1,
      "gamma_regularizer": None, "beta_regularizer": None}  # fmt: skip
KINDS = {
    "relu": ("ReLU", {"negative_slope": 0.0, "max_value": None}),
    "elu": ("ELU", {"alpha": 1.0}),
}


class Wanted(dict):
    """name -> (class, what it reads in order, output shape, settings).

    conv, bn, dense: what all layers of that kind have in this network, beside the defaults. Every
    method adds layers and returns the name of the last.
    """

    def __init__(self, size=32, *, conv=(), bn=(), dense=()):
        super().__init__(images=("InputLayer", [], (size, size, 3), {}))
        self.own = CONV | dict(conv), BN | dict(bn), WEIGHTED | dict(dense)

    def channels(self, name) -> int:
        return self[name][2][-1]

    def layer(self, name, kind, sources, shape=None, **settings):
        sources = [sources] if isinstance(sources, str) else sources
        self[name] = (kind, sources, shape or self[sources[0]][2], settings)
        return name

    def _window(self, source, kernel, stride, padding, channels):
        size = self[source][2][0]
        size = -(-size // stride) if padding == "same" else (size - kernel) // stride + 1
        return size, size, channels

    def conv(self, name, source, filters, kernel, stride=1, padding="same", **own):
        shape = self._window(source, kernel, stride, padding, filters)
        own |= {"filters": filters, "kernel_size": [kernel] * 2, "strides": [stride] * 2}
        return self.layer(name, "Conv2D", source, shape, **self.own[0] | {"padding": padding} | own)

    def bn(self, name, source, **own):
        return self.layer(f"{name}_bn", "BatchNormalization", source, **self.own[1] | own)

    def active(self, name, source, kind="relu"):
        return self.layer(f"{name}_{kind}", KINDS[kind][0], source, **KINDS[kind][1])

    def bn_relu(self, name, source):
        return self.active(name, self.bn(name, source))

    def pool(self, name, source, stride, padding="same", size=3, kind="MaxPooling2D"):
        shape = self._window(source, size, stride, padding, self.channels(source))
        own = {"pool_size": [size] * 2, "strides": [stride] * 2, "padding": padding}
        return self.layer(name, kind, source, shape, **own)

    def join(self, name, sources):
        shape = *self[sources[0]][2][:2], sum(map(self.channels, sources))
        return self.layer(name, "Concatenate", sources, shape, axis=-1)

    def add(self, name, first, second):
        assert self[first][2] == self[second][2]
        return self.layer(name, "Add", [first, second])

    def head(self, source, classes=10, dropout=None):
        x = self.layer("gap", "GlobalAveragePooling2D", source, (self.channels(source),))
        x = self.layer("dropout", "Dropout", x, rate=dropout) if dropout else x
        self.layer("logits", "Dense", x, (classes,), units=classes, **self.own[2])
        self.layer("classes", "Softmax", "logits", axis=-1)
        return self


def plain(value):
    """An initialiser as its class, L2 as its strength, all else as it is."""
    if isinstance(value, dict):
        return value["config"]["l2"] if value["class_name"] == "L2" else value["class_name"]
    return value


def faults(nodes, wanted) -> set[str]:
    """The layers that are not as wanted, missing or too many."""
    return set(nodes.keys() ^ wanted.keys()) | {
        name
        for name, (*place, settings) in wanted.items()
        if name in nodes
        and (
            [nodes[name].kind, nodes[name].inputs, nodes[name].shape] != place
            or any(plain(nodes[name].config[k]) != _near(v) for k, v in settings.items())
        )
    }


def _near(value):
    """Numbers as Keras keeps them, in float32."""
    return pytest.approx(value) if isinstance(value, float) else value
