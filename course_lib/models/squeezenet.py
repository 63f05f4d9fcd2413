"""SqueezeNet for small images (Iandola et al. 2016, arXiv 1602.07360).

The paper's network for ImageNet, fitted to 32x32 pictures as in the article 【Keras-SqueezeNet】
CIFAR-10 (S1): first convolution 3x3 instead of 7x7, a dense layer after global pooling.
"""

from functools import partial

from course_lib.backend import keras, layers

# (squeeze, expand) of fire2 to fire9 (paper, table 1).
FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))

# A max-pool stands after the layer of this number (paper, section 3.3: after conv1, fire4, fire8).
POOLS = (1, 4, 8)


def conv_relu(x, filters, kernel, *, strides=1, name, initializer, l2, bn, relu=True):
    """Convolution, then batch normalisation if `bn`, then ReLU if `relu`; padding same.

    x: (batch, height, width, channels). Returns (batch, height / strides, width / strides,
    filters), rounded up.
    """
    x = layers.Conv2D(
        filters,
        kernel,
        strides=strides,
        padding="same",
        kernel_initializer=initializer,
        kernel_regularizer=keras.regularizers.L2(l2) if l2 else None,
        name=name,
    )(x)
    if bn:
        x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if relu else x


def fire(x, squeeze, expand, *, conv, name):
    """The fire module (paper, section 3.2): squeeze by 1x1, expand by 1x1 beside 3x3.

    x: (batch, height, width, channels). Returns (batch, height, width, 2 * expand).
    """
    x = conv(x, squeeze, 1, name=f"{name}_squeeze")
    small = conv(x, expand, 1, name=f"{name}_expand1")
    large = conv(x, expand, 3, name=f"{name}_expand3")
    return layers.Concatenate(name=f"{name}_join")([small, large])


def squeezenet(
    *,
    block=fire,
    initializer="glorot_uniform",
    l2=0.0,
    bn=False,
    head_relu=True,
    classes=10,
    input_shape=(32, 32, 3),
):
    """SqueezeNet as a Keras model from standardised images to class probabilities.

    block: a function (x, squeeze, expand, *, conv, name) -> x that stands for `fire`; any block
        of the same signature may take its place, whatever number of channels it returns.
    initializer: of the convolutions' kernels; the dense layer keeps Keras' Glorot uniform.
    l2: weight decay on the convolutions' kernels, not on biases and not on the dense layer.
    bn: batch normalisation between each convolution and its ReLU.
    head_relu: ReLU after the last convolution, as the paper has it.
    """
    conv = partial(conv_relu, initializer=initializer, l2=l2, bn=bn)
    inputs = x = keras.Input(input_shape, name="images")
    x = conv(x, 96, 3, strides=2, name="conv1")
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="pool1")(x)
    for number, (squeeze, expand) in enumerate(FIRES, start=2):
        x = block(x, squeeze, expand, conv=conv, name=f"fire{number}")
        if number in POOLS:
            x = layers.MaxPooling2D(3, strides=2, padding="same", name=f"pool{number}")(x)
    x = conv(x, classes, 1, name="conv10", relu=head_relu)
    x = layers.GlobalAveragePooling2D(name="gap")(x)
    x = layers.Dense(classes, name="logits")(x)
    outputs = layers.Softmax(name="classes")(x)
    return keras.Model(inputs, outputs, name="squeezenet")
