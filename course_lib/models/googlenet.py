"""GoogLeNet for small images: MiniGoogLeNet and DeeperGoogLeNet.

Inception is Szegedy et al. 2014 (arXiv 1409.4842); MiniGoogLeNet is Zhang et al. 2016 (arXiv
1611.03530, appendix A), there called Inception (small). Both networks are built as in the article
深度学习与计算机视觉 (PB-11)-GoogLeNet (S5), with batch normalisation, which GoogLeNet lacks.
"""

from functools import partial

from course_lib import settings
from course_lib.backend import layers
from course_lib.models import parts
from course_lib.models.normalization import BatchNormalization
from course_lib.models.parts import scaled

ORDERS = ("bn-relu", "relu-bn")  # what follows a convolution; "relu" stands for the activation
ACTIVATIONS = {"relu": layers.ReLU, "elu": layers.ELU}

# MiniGoogLeNet: filters (1x1, 3x3) of each module, and of the convolution that halves the map.
MINI = {
    "i1a": (32, 32), "i1b": (32, 48), "down1": 80,
    "i2a": (112, 48), "i2b": (96, 64), "i2c": (80, 80), "i2d": (48, 96), "down2": 96,
    "i3a": (176, 160), "i3b": (176, 160),
}  # fmt: skip
MIDDLE = tuple(MINI[name] for name in ("i2a", "i2b", "i2c", "i2d"))

# Filters of each inception module of GoogLeNet (paper, table 1): 1x1, 3x3 reduce, 3x3, 5x5 reduce,
# 5x5, pool projection. DeeperGoogLeNet ends before 5a.
INCEPTIONS = {
    "i3a": (64, 96, 128, 16, 32, 32),
    "i3b": (128, 128, 192, 32, 96, 64),
    "i4a": (192, 96, 208, 16, 48, 64),
    "i4b": (160, 112, 224, 24, 64, 64),
    "i4c": (128, 128, 256, 24, 64, 64),
    "i4d": (112, 144, 288, 32, 64, 64),
    "i4e": (256, 160, 320, 32, 128, 128),
}


def conv_module(x, filters, kernel, *, name, order, activation, **options):
    """Convolution, batch normalisation and activation, the last two in the order of `order`.

    Shapes and `options` (strides, padding, l2) are those of `parts.convolution`.
    """
    x = parts.convolution(x, filters, kernel, name=name, **options)
    then = [
        BatchNormalization(name=f"{name}_bn"),
        ACTIVATIONS[activation](name=f"{name}_{activation}"),
    ]
    for layer in then if order == "bn-relu" else reversed(then):
        x = layer(x)
    return x


def inception(x, a, b3_reduce, b3, b5_reduce, b5, pool, *, conv, name):
    """The inception module with reduced dimensions (paper, figure 2b): four branches, joined.

    1x1 to `a` | 1x1 to `b3_reduce`, 3x3 to `b3` | 1x1 to `b5_reduce`, 5x5 to `b5` | 3x3 max-pool
    of stride 1, 1x1 to `pool`. x: (batch, height, width, channels). Returns (batch, height,
    width, a + b3 + b5 + pool).
    """
    one = conv(x, a, 1, name=f"{name}_conv1")
    three = conv(x, b3_reduce, 1, name=f"{name}_reduce3")
    three = conv(three, b3, 3, name=f"{name}_expand3")
    five = conv(x, b5_reduce, 1, name=f"{name}_reduce5")
    five = conv(five, b5, 5, name=f"{name}_expand5")
    pooled = layers.MaxPooling2D(3, strides=1, padding="same", name=f"{name}_pool")(x)
    pooled = conv(pooled, pool, 1, name=f"{name}_project")
    return layers.Concatenate(name=f"{name}_join")([one, three, five, pooled])


def mini_inception(x, a, b, *, conv, name):
    """MiniGoogLeNet's module: 1x1 to `a` beside 3x3 to `b`.

    x: (batch, height, width, channels). Returns (batch, height, width, a + b).
    """
    one = conv(x, a, 1, name=f"{name}_conv1")
    three = conv(x, b, 3, name=f"{name}_conv3")
    return layers.Concatenate(name=f"{name}_join")([one, three])


def only_3x3(x, a, b, *, conv, name):
    """A module with all its filters in one size: 3x3 to `a + b`. Shapes as `mini_inception`."""
    return conv(x, a + b, 3, name=f"{name}_conv3")


def only_1x1(x, a, b, *, conv, name):
    """A module that sees one place at a time: 1x1 to `a + b`. Shapes as `mini_inception`."""
    return conv(x, a + b, 1, name=f"{name}_conv1")


def reduced_3x3(x, a, b, *, conv, name):
    """`only_3x3` behind a bottleneck: 1x1 to half the channels of x, then 3x3 to `a + b`."""
    x = conv(x, scaled(x.shape[-1], 0.5), 1, name=f"{name}_reduce3")
    return conv(x, a + b, 3, name=f"{name}_expand3")


MODULES = {"mixed": mini_inception, "3x3": only_3x3, "1x1": only_1x1, "reduced": reduced_3x3}
HEADS = ("gap", "flatten")


def downsample(x, filters, *, conv, name):
    """3x3 convolution beside 3x3 max-pool, both of stride 2 and without padding.

    x: (batch, height, width, channels). Returns (batch, (height - 1) // 2, (width - 1) // 2,
    filters + channels).
    """
    learnt = conv(x, filters, 3, strides=2, padding="valid", name=f"{name}_conv3")
    pooled = layers.MaxPooling2D(3, strides=2, padding="valid", name=f"{name}_pool")(x)
    return layers.Concatenate(name=f"{name}_join")([learnt, pooled])


def minigooglenet(*, block=mini_inception, width=1.0, order="bn-relu", activation="relu", l2=0.0,
                  dropout=0.5, classes=10, input_shape=(32, 32, 3)):  # fmt: skip
    """MiniGoogLeNet as a Keras model from standardised images to class probabilities.

    block: a function (x, a, b, *, conv, name) -> x that stands for `mini_inception`;
        conv(x, filters, kernel, *, strides=1, padding="same", name) is `conv_module`.
    width: factor on all numbers of filters, rounded, at least one: for declared miniatures.
    order: "bn-relu", or "relu-bn" for the activation before BN. Another is a CourseError.
    activation: "relu" or "elu". Another is a CourseError.
    l2: weight decay on the kernels of convolutions and (our choice: S5 has none here, and both in
        its DeeperGoogLeNet) of the dense layer.
    dropout: rate of the dropout before the dense layer; 0 for none.
    """
    net = {"order": order, "activation": activation, "l2": l2, "input_shape": input_shape}
    inputs, x = _mini(block, MINI, width, **net)
    # On 32x32 pixels its global pooling is S5's average-pool of 7.
    return parts.classifier(inputs, x, classes, dropout=dropout, l2=l2, name="minigooglenet")


def minigooglenet_with(*, module="mixed", middle=MIDDLE, head="gap", width=1.0,
                       order="bn-relu", activation="relu", l2=0.0, dropout=0.5, classes=10,
                       input_shape=(32, 32, 3)):  # fmt: skip
    """MiniGoogLeNet with other modules, for controls of the course; the rest as there.

    module: one of MODULES: "mixed" is its own; "3x3" and "1x1" have all filters in one size;
        "reduced" is "3x3" that reads through a 1x1 convolution to half the channels.
    middle: filters (1x1, 3x3) of the four modules between the downsamplings.
    head: "gap", or "flatten" for a dense layer that reads every place of every map.
    An unknown module or head is a CourseError.
    """
    for what, known in ((module, MODULES), (head, HEADS)):
        if what not in known:
            raise settings.nearest(str(what), known, "module" if known is MODULES else "head")
    table = MINI | dict(zip(("i2a", "i2b", "i2c", "i2d"), middle, strict=True))
    net = {"order": order, "activation": activation, "l2": l2, "input_shape": input_shape}
    inputs, x = _mini(MODULES[module], table, width, **net)
    options = {"dropout": dropout, "l2": l2, "flat": head == "flatten"}
    return parts.classifier(inputs, x, classes, name="minigooglenet", **options)


def _mini(block, table, width, *, input_shape, **options):
    """(inputs, maps before the head) of a MiniGoogLeNet of these modules."""
    conv = _conv(**options)
    inputs = parts.images(input_shape)
    x = conv(inputs, scaled(96, width), 3, name="conv1")
    for name, filters in table.items():
        if name.startswith("down"):
            x = downsample(x, scaled(filters, width), conv=conv, name=name)
        else:
            x = block(x, *(scaled(f, width) for f in filters), conv=conv, name=name)
    return inputs, x


def deepergooglenet(*, block=inception, deep=True, width=1.0, order="bn-relu", activation="relu",
                    l2=5e-4, dropout=0.4, classes=200, input_shape=(64, 64, 3)):  # fmt: skip
    """DeeperGoogLeNet as a Keras model from images less their mean to class probabilities.

    block: a function (x, a, b3_reduce, b3, b5_reduce, b5, pool, *, conv, name) -> x that stands
        for `inception`; conv as in `minigooglenet`.
    deep: False leaves out the modules 4a to 4e, not the pooling after them.
    l2: weight decay on the kernels of convolutions and of the dense layer.
    width, order, activation, dropout: as in `minigooglenet`.
    """
    conv = _conv(order, activation, l2)

    def pooled(x, number):
        return layers.MaxPooling2D(3, strides=2, padding="same", name=f"pool{number}")(x)

    inputs = parts.images(input_shape)
    x = pooled(conv(inputs, scaled(64, width), 5, name="conv1"), 1)
    x = conv(x, scaled(64, width), 1, name="conv2_reduce")
    x = pooled(conv(x, scaled(192, width), 3, name="conv2"), 2)
    for stage in (3, 4):
        for name, filters in INCEPTIONS.items():
            if name.startswith(f"i{stage}") and (deep or stage == 3):
                x = block(x, *(scaled(f, width) for f in filters), conv=conv, name=name)
        x = pooled(x, stage)
    # On 64x64 pixels its global pooling is S5's average-pool of 4.
    return parts.classifier(inputs, x, classes, dropout=dropout, l2=l2, name="deepergooglenet")


def _conv(order, activation, l2):
    if order not in ORDERS:
        raise settings.nearest(str(order), ORDERS, "order")
    if activation not in ACTIVATIONS:
        raise settings.nearest(str(activation), ACTIVATIONS, "activation")
    return partial(conv_module, order=order, activation=activation, l2=l2)
