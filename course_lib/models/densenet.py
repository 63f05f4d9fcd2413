"""DenseNet for small images (Huang et al. 2016, arXiv 1608.06993).

The network of the article Tensorflow2.x DenseNet (S3): DenseNet-BC but for a bottleneck twice as
wide as the growth (the paper: four times) and a transition after the last block too.
"""

from course_lib.backend import layers
from course_lib.models import parts
from course_lib.models.normalization import BatchNormalization


def bn_relu_conv(x, filters, kernel, *, name):
    """Batch normalisation, ReLU, convolution without bias; padding same.

    x: (batch, height, width, channels). Returns (batch, height, width, filters).
    """
    x = BatchNormalization(epsilon=1.001e-5, name=f"{name}_bn")(x)
    x = layers.ReLU(name=f"{name}_relu")(x)
    return layers.Conv2D(filters, kernel, padding="same", use_bias=False, name=name)(x)


def dense_layer(x, growth, *, conv, name):
    """One layer of a dense block (paper, section 3): what it computes is joined to what it read.

    x: (batch, height, width, channels). Returns (batch, height, width, channels + growth).
    """
    new = conv(x, 2 * growth, 1, name=f"{name}_conv1")
    new = conv(new, growth, 3, name=f"{name}_conv2")
    return layers.Concatenate(name=f"{name}_join")([x, new])


def transition(x, *, conv, name):
    """Half the channels, half the height and width, rounded down (paper, section 3)."""
    x = conv(x, x.shape[-1] // 2, 1, name=f"{name}_conv")
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
    inputs = parts.images(input_shape)
    x = layers.Conv2D(stem, 3, padding="same", name="conv1")(inputs)
    x = layers.ReLU(name="conv1_relu")(x)
    x = BatchNormalization(name="conv1_bn")(x)
    for b, depth in enumerate(blocks, start=1):
        for k in range(1, depth + 1):
            x = block(x, growth, conv=bn_relu_conv, name=f"block{b}layer{k}")
        x = transition(x, conv=bn_relu_conv, name=f"transition{b}")
    x = BatchNormalization(epsilon=1.001e-5, name="final_bn")(x)
    x = layers.ReLU(name="final_relu")(x)
    return parts.classifier(inputs, x, classes, name="densenet")
