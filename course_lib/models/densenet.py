"""DenseNet for small images (Huang et al. 2016, arXiv 1608.06993).

The network of the article Tensorflow2.x DenseNet (S3): DenseNet-BC but for a bottleneck twice as
wide as the growth (the paper: four times) and a transition after the last block too. What it is
not, a sum or a plain stack in the same places, is there to be compared with.
"""

from functools import partial

from course_lib import settings
from course_lib.backend import layers
from course_lib.models import parts
from course_lib.models.normalization import BatchNormalization

ORDERS = ("bn-relu-conv", "conv-bn-relu")  # the second is Inception's


def bn_relu(x, *, name):
    """Batch normalisation, then ReLU; the shape stays."""
    x = BatchNormalization(epsilon=1.001e-5, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def bn_relu_conv(x, filters, kernel, *, name, order="bn-relu-conv", initializer="glorot_uniform",
                 l2=0.0):  # fmt: skip
    """Batch normalisation, ReLU, convolution without bias; padding same.

    x: (batch, height, width, channels). Returns (batch, height, width, filters).
    order: "conv-bn-relu" puts the convolution first. initializer, l2: of its kernel.
    """
    x = bn_relu(x, name=name) if order == "bn-relu-conv" else x
    options = {"kernel_initializer": initializer, "kernel_regularizer": parts.decay(l2)}
    conv = layers.Conv2D(filters, kernel, padding="same", use_bias=False, name=name, **options)
    return conv(x) if order == "bn-relu-conv" else bn_relu(conv(x), name=name)


def dense_layer(x, growth, *, conv, name, bottleneck=2):
    """One layer of a dense block (paper, section 3): what it computes is joined to what it read.

    x: (batch, height, width, channels). Returns (batch, height, width, channels + growth).
    bottleneck: filters of the 1x1 convolution, as a multiple of the growth.
    """
    new = conv(x, bottleneck * growth, 1, name=f"{name}_conv1")
    new = conv(new, growth, 3, name=f"{name}_conv2")
    return layers.Concatenate(name=f"{name}_join")([x, new])


def added_layer(x, growth, *, conv, name, bottleneck=2):
    """The same two convolutions, added to what they read, as in a residual network.

    x and what is returned: (batch, height, width, channels).
    """
    new = plain_layer(x, growth, conv=conv, name=name, bottleneck=bottleneck)
    return layers.Add(name=f"{name}_add")([x, new])


def plain_layer(x, growth, *, conv, name, bottleneck=2):
    """The same two convolutions alone: a plain stack. Shapes as in `added_layer`."""
    new = conv(x, bottleneck * growth, 1, name=f"{name}_conv1")
    return conv(new, x.shape[-1], 3, name=f"{name}_conv2")


JOINS = {"concatenate": dense_layer, "add": added_layer, "none": plain_layer}


def transition(x, *, conv, name, compression=0.5):
    """`compression` times the channels, half the height and width, rounded down (paper, section
    3)."""
    x = conv(x, int(compression * x.shape[-1]), 1, name=f"{name}_conv")
    return layers.AveragePooling2D(2, name=f"{name}_pool")(x)


def densenet(
    *,
    block=dense_layer,
    blocks=(4, 8, 16),
    growth=32,
    stem=16,
    classes=10,
    input_shape=(32, 32, 3),
):
    """DenseNet as a Keras model from standardised images to class probabilities.

    block: a function (x, growth, *, conv, name) -> x that stands for `dense_layer`;
        conv(x, filters, kernel, *, name) is `bn_relu_conv`.
    blocks: layers in each dense block; after every one, the last too, stands a transition.
    growth: channels that a layer adds, so that the L-th of a block reads growth * (L - 1) more
        than the first.
    stem: filters of the first convolution.
    """
    return variant(block=block, blocks=blocks, growth=growth, stem=stem, classes=classes,
                   input_shape=input_shape)  # fmt: skip


def variant(*, block=None, blocks=(4, 8, 16), growth=32, stem=16, join="concatenate",
            order="bn-relu-conv", compression=0.5, initializer="glorot_uniform", l2=0.0,
            classes=10, input_shape=(32, 32, 3)):  # fmt: skip
    """A network in DenseNet's frame, for comparisons. What is not named here is as in `densenet`.

    join: "concatenate"; "add" or "none" keep the channels as they are, so that the growth decides
        the width of the bottleneck alone. `block`, where one is given, stands for it.
    order: "conv-bn-relu" activates before the join, as Inception does, and not after it.
    compression: of the channels by a transition.
    initializer: of all kernels. l2: weight decay on the convolutions' kernels.
    Another join or order is a CourseError.
    """
    if join not in JOINS:
        raise settings.nearest(str(join), JOINS, "join")
    if order not in ORDERS:
        raise settings.nearest(str(order), ORDERS, "order")
    block, options = block or JOINS[join], {"initializer": initializer, "l2": l2}
    conv = partial(bn_relu_conv, order=order, **options)
    inputs = parts.images(input_shape)
    x = parts.convolution(inputs, stem, 3, name="conv1", **options)
    x = layers.ReLU(name="conv1_relu")(x)
    x = BatchNormalization(name="conv1_bn")(x)
    for b, depth in enumerate(blocks, start=1):
        for k in range(1, depth + 1):
            x = block(x, growth, conv=conv, name=f"block{b}layer{k}")
        x = transition(x, conv=conv, name=f"transition{b}", compression=compression)
    x = bn_relu(x, name="final")
    return parts.classifier(inputs, x, classes, initializer=initializer, name="densenet")
