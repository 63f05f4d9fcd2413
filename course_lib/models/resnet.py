"""ResNet for small images, version 1 (He et al. 2015, arXiv 1512.03385) and 2 (1603.05027).

The networks of the article 23.6 CIFAR-10 ResNet (S4). The first paper's own nets for CIFAR-10
(section 4.2) have identity shortcuts only, padded with zeros where the channels double; here a
1x1 convolution without batch normalisation stands in those places. The second paper's bottlenecks
are a quarter as wide inside as outside; S4's are so in the first stage, and half as wide after it.
"""

from functools import partial

from course_lib import settings
from course_lib.backend import layers
from course_lib.models import parts
from course_lib.models.normalization import BatchNormalization


def bn_relu(x, *, name):
    """Batch normalisation, then ReLU; the shape stays."""
    return layers.ReLU(name=f"{name}_relu")(BatchNormalization(name=f"{name}_bn")(x))


def joined(x, y, *, conv, name, strides=1, shortcut="identity"):
    """x + y by the shortcut "identity"; "projection" brings x to the shape of y by a 1x1
    convolution first; "none" gives y alone."""
    if shortcut == "none":
        return y
    if shortcut == "projection":
        x = conv(x, y.shape[-1], 1, strides=strides, name=f"{name}_projection")
    return layers.Add(name=f"{name}_add")([x, y])


def basic(x, filters, *, conv, name, strides=1, shortcut="identity"):
    """The block of version 1 (2015, figure 2): two 3x3 convolutions, ReLU after the addition.

    x: (batch, height, width, channels). Returns (batch, height / strides, width / strides,
    filters), rounded up. `shortcut` as in `joined`.
    """
    y = bn_relu(conv(x, filters, 3, strides=strides, name=f"{name}_conv1"), name=f"{name}_conv1")
    y = conv(y, filters, 3, name=f"{name}_conv2")
    y = BatchNormalization(name=f"{name}_conv2_bn")(y)
    y = joined(x, y, conv=conv, name=name, strides=strides, shortcut=shortcut)
    return layers.ReLU(name=f"{name}_relu")(y)


def bottleneck(x, inner, outer, *, conv, name, strides=1, shortcut="identity", activate=True):
    """The block of version 2 (2016, figure 1b): BN and ReLU before each of 1x1, 3x3, 1x1.

    x: (batch, height, width, channels). Returns (batch, height / strides, width / strides,
    outer), rounded up. `shortcut` as in `joined`. activate: the first BN and ReLU, which y alone
    passes.
    """
    y = bn_relu(x, name=f"{name}_conv1") if activate else x
    y = conv(y, inner, 1, strides=strides, name=f"{name}_conv1")
    y = conv(bn_relu(y, name=f"{name}_conv2"), inner, 3, name=f"{name}_conv2")
    y = conv(bn_relu(y, name=f"{name}_conv3"), outer, 1, name=f"{name}_conv3")
    return joined(x, y, conv=conv, name=name, strides=strides, shortcut=shortcut)


def resnet_v1(*, depth=20, block=basic, residual=True, width=16, initializer="he_normal", l2=1e-4,
              classes=10, input_shape=(32, 32, 3)):  # fmt: skip
    """ResNet version 1 as a Keras model from standardised images to class probabilities.

    depth: 6n + 2 for n blocks in each of three stages; another is a CourseError.
    block: a function (x, filters, *, conv, name, strides, shortcut) -> x that stands for `basic`.
    residual: False leaves out shortcuts and projections: the plain network (2015, section 4.2).
    width: filters of the first stage; the second has twice, the third four times as many.
    initializer: of all kernels, the dense layer's too.
    l2: weight decay on the convolutions' kernels, not on biases and not on the dense layer.
    """
    conv = partial(parts.convolution, initializer=initializer, l2=l2)
    inputs = parts.images(input_shape)
    x = bn_relu(conv(inputs, width, 3, name="conv1"), name="conv1")
    for stage in range(3):
        for k in range(_blocks(depth, 6)):
            strides = 2 if stage and not k else 1
            shortcut = "none" if not residual else "projection" if strides == 2 else "identity"
            x = block(x, width * 2**stage, conv=conv, name=f"stage{stage + 1}block{k + 1}",
                      strides=strides, shortcut=shortcut)  # fmt: skip
    return parts.classifier(inputs, x, classes, initializer=initializer, name="resnet_v1")


def resnet_v2(*, depth=20, block=bottleneck, residual=True, width=16, initializer="he_normal",
              l2=1e-4, classes=10, input_shape=(32, 32, 3)):  # fmt: skip
    """ResNet version 2 as a Keras model from standardised images to class probabilities.

    depth: 9n + 2 for n blocks in each of three stages; another is a CourseError.
    block: a function (x, inner, outer, *, conv, name, strides, shortcut, activate) -> x that
        stands for `bottleneck`.
    width: filters of the first convolution; the three stages have 1, 4 and 8 times as many inside
        their blocks and 4, 8 and 16 times as many outside.
    residual, initializer, l2: as in `resnet_v1`.
    """
    conv = partial(parts.convolution, initializer=initializer, l2=l2)
    inputs = parts.images(input_shape)
    x = bn_relu(conv(inputs, width, 3, name="conv1"), name="conv1")
    for stage, (inner, outer) in enumerate(((1, 4), (4, 8), (8, 16))):
        for k in range(_blocks(depth, 9)):
            shortcut = "none" if not residual else "identity" if k else "projection"
            strides = 2 if stage and not k else 1
            # The very first block reads what is normalised and rectified already.
            x = block(x, width * inner, width * outer, conv=conv,
                      name=f"stage{stage + 1}block{k + 1}", strides=strides, shortcut=shortcut,
                      activate=bool(stage or k))  # fmt: skip
    x = bn_relu(x, name="final")
    return parts.classifier(inputs, x, classes, initializer=initializer, name="resnet_v2")


def _blocks(depth, step: int) -> int:
    """n of a network of step * n + 2 layers; a CourseError names the nearest depths that fit."""
    n, over = divmod(settings.whole_number(str(depth), "depth") - 2, step)
    if n >= 1 and not over:
        return n
    fit = " or ".join(str(step * m + 2) for m in (n, n + 1) if m >= 1) or step + 2
    raise settings.CourseError(f"depth must be {step}n + 2, which {depth} is not; take {fit}")
