"""A small network of our own, for what is asked of data and of curves: seconds an epoch."""

from course_lib.backend import layers
from course_lib.models import parts
from course_lib.models.normalization import BatchNormalization


def conv_relu(x, filters, *, initializer, bn, l2, name):
    """3x3 convolution, batch normalisation if asked for, ReLU.

    x: (batch, height, width, channels). Returns (batch, height, width, filters).
    """
    x = parts.convolution(x, filters, 3, name=name, initializer=initializer, l2=l2)
    if bn:
        x = BatchNormalization(name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def small_cnn(
    *,
    block=conv_relu,
    filters=(16, 32, 64),
    bn=False,
    dropout=0.0,
    initializer="he_normal",
    l2=0.0,
    classes=10,
    input_shape=(32, 32, 3),
):
    """One block a resolution, each but the last followed by a 2x2 max-pool, then `classifier`.

    block: a function (x, filters, *, initializer, bn, l2, name) -> x in the place of `conv_relu`.
    filters: of the blocks in turn.
    """
    x = inputs = parts.images(input_shape)
    for k, count in enumerate(filters, start=1):
        if k > 1:
            x = layers.MaxPooling2D(2, name=f"pool{k - 1}")(x)
        x = block(x, count, initializer=initializer, bn=bn, l2=l2, name=f"conv{k}")
    return parts.classifier(inputs, x, classes, name="small_cnn", dropout=dropout)
