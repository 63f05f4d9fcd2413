"""What families share: images in, a convolution, class probabilities out."""

from course_lib.backend import keras, layers


def images(shape):
    """The input of every network: (batch, height, width, channels), standardised."""
    return keras.Input(shape, name="images")


def scaled(filters: int, factor: float) -> int:
    """`filters` times `factor`, rounded, at least one: for declared miniatures."""
    return max(1, round(filters * factor))


def decay(l2: float):
    """Weight decay of that strength as Keras' regularizer; None for 0."""
    return keras.regularizers.L2(l2) if l2 else None


def convolution(
    x, filters, kernel, *, strides=1, padding="same", name, initializer="glorot_uniform", l2=0.0
):
    """Convolution with bias, its kernel drawn by `initializer` and decayed by `l2`.

    x: (batch, height, width, channels). Returns (batch, new height, new width, filters): with
    padding same height / strides, rounded up.
    """
    options = {"kernel_initializer": initializer, "kernel_regularizer": decay(l2)}
    return layers.Conv2D(filters, kernel, strides=strides, padding=padding, name=name, **options)(x)


def classifier(
    inputs, x, classes, *, name, dropout=0.0, initializer="glorot_uniform", l2=0.0, flat=False
):
    """The network `name` from `inputs` on: the mean of each map of x, dropout unless it is 0, and
    one dense layer, whose kernel `initializer` and `l2` are for.

    flat: the dense layer reads every place of every map, and not their means.
    """
    if flat:
        x = layers.Flatten(name="logits_flatten")(x)
    else:
        x = layers.GlobalAveragePooling2D(name="gap")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    options = {"kernel_initializer": initializer, "kernel_regularizer": decay(l2)}
    x = layers.Dense(classes, name="logits", **options)(x)
    return probabilities(inputs, x, name=name)


def probabilities(inputs, logits, *, name):
    """The network `name` from `inputs` to the softmax of `logits`."""
    # In float32 under mixed precision too: the loss takes the logarithm of small probabilities.
    outputs = layers.Softmax(name="classes", dtype="float32")(logits)
    return keras.Model(inputs, outputs, name=name)
