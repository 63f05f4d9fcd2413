"""SqueezeNet (Iandola et al. 2016, arXiv 1602.07360), for small images and for ImageNet.

`squeezenet` is the paper's network fitted to 32x32 pictures as in the article 【Keras-SqueezeNet】
CIFAR-10 (S1): first convolution 3x3 instead of 7x7, a dense layer after global pooling.
`squeezenet_imagenet` is the network as published.
"""

from functools import partial

from course_lib import settings
from course_lib.backend import keras, layers
from course_lib.models import parts
from course_lib.models.normalization import BatchNormalization
from course_lib.models.parts import scaled

# (squeeze, expand) of fire2 to fire9 (paper, table 1).
FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))

# Around which fire modules a bypass stands (paper, section 6): an identity where a module passes on
# as many channels as it reads, a convolution where it does not.
BYPASSES = {"none": {}, "simple": dict.fromkeys((3, 5, 7, 9), "identity")}
BYPASSES["complex"] = BYPASSES["simple"] | dict.fromkeys((2, 4, 6, 8), "convolution")

# Of the ImageNet networks: filters and kernel of conv1, and the layers with a max-pool after them.
# 1.0 is the paper's; 1.1, by the same authors in 2016, pools earlier and is 2.4 times cheaper.
IMAGENET = {"1.0": (96, 7, (1, 4, 8)), "1.1": (64, 3, (1, 3, 5))}


def conv_relu(x, filters, kernel, *, name, bn=False, relu=True, **options):
    """Convolution, then batch normalisation if `bn`, then ReLU if `relu`.

    Shapes and `options` (strides, padding, initializer, l2) are those of `parts.convolution`.
    """
    x = parts.convolution(x, filters, kernel, name=name, **options)
    if bn:
        x = BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if relu else x


def fire(x, squeeze, expand, *, conv, name, share=0.5):
    """The fire module (paper, section 3.2): squeeze by 1x1, expand by 1x1 beside 3x3.

    x: (batch, height, width, channels). Returns (batch, height, width, 2 * expand).
    share: how much of the 2 * expand filters is 3x3, rounded; at least one of each kind stays.
    """
    threes = min(max(round(share * 2 * expand), 1), 2 * expand - 1)
    x = conv(x, squeeze, 1, name=f"{name}_squeeze")
    small = conv(x, 2 * expand - threes, 1, name=f"{name}_expand1")
    large = conv(x, threes, 3, name=f"{name}_expand3")
    return layers.Concatenate(name=f"{name}_join")([small, large])


def plain_3x3(x, squeeze, expand, *, conv, name):
    """In the place of `fire`: one 3x3 convolution to as many channels; `squeeze` plays no part."""
    return conv(x, 2 * expand, 3, name=f"{name}_conv")


def separable(x, squeeze, expand, *, conv, name):
    """In the place of `fire`: MobileNet's block (Howard et al. 2017, arXiv 1704.04861, section 3).

    A 3x3 filter for each channel, BN, ReLU; then `conv`, 1x1 over all channels, to 2 * expand.
    No weight decay on the few weights of the first, as MobileNet has it; `squeeze` plays no part.
    """
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"{name}_depthwise")(x)
    x = BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_depthwise_bn")(x)
    x = layers.ReLU(name=f"{name}_depthwise_relu")(x)
    return conv(x, 2 * expand, 1, name=f"{name}_pointwise")


def squeezenet(
    *, block=fire, initializer="glorot_uniform", l2=0.0, bn=False, head_relu=True, conv10=True,
    dropout=0.0, stride=2, pools=((1, 2), (4, 2), (8, 2)), bypass="none", squeeze_ratio=0.0,
    share=0.5, width=1.0, classes=10, input_shape=(32, 32, 3),
):  # fmt: skip
    """SqueezeNet as a Keras model from standardised images to class probabilities.

    block: a function (x, squeeze, expand, *, conv, name) -> x that stands for `fire`; any block
        of the same signature may take its place, whatever number of channels it returns.
    initializer: of the convolutions' kernels; the dense layer keeps Keras' Glorot uniform.
    l2: weight decay on the convolutions' kernels, not on biases and not on the dense layer.
    bn: batch normalisation between each convolution and its ReLU.
    head_relu: ReLU after the last convolution, as the paper has it.
    conv10: the last convolution; without it the dense layer reads all channels of fire9.
    dropout: rate of the dropout after fire9; 0 for none.
    stride: of conv1.
    pools: (number of the layer before it, stride) of each max-pool, 3x3, padding same; a pool
        that is not named is absent (paper, section 3.3: after conv1, fire4 and fire8).
    bypass: "none", "simple" (the identity is added around fire 3, 5, 7, 9) or "complex" (besides,
        a 1x1 convolution around fire 2, 4, 6, 8); paper, section 6. Another is a CourseError.
    squeeze_ratio: squeeze filters for each expand filter (paper, section 5.1), rounded, at least
        one; 0 takes the numbers of table 1.
    share: of 3x3 filters among the expand filters (section 5.2); a block other than `fire` is
        given it as a keyword when it is not a half.
    width: factor on the filters of conv1, squeeze and expand, rounded.
    """
    if bypass not in BYPASSES:
        raise settings.nearest(str(bypass), BYPASSES, "bypass")
    if share != 0.5:
        block = partial(block, share=share)
    conv = partial(conv_relu, initializer=initializer, l2=l2, bn=bn)
    strides = dict(pools)

    def pool(x, number):
        if number not in strides:
            return x
        name = f"pool{number}"
        return layers.MaxPooling2D(3, strides=strides[number], padding="same", name=name)(x)

    inputs = x = parts.images(input_shape)
    x = conv(x, scaled(96, width), 3, strides=stride, name="conv1")
    x = pool(x, 1)
    for number, (squeeze, expand) in enumerate(FIRES, start=2):
        name, before = f"fire{number}", x
        expand = scaled(expand, width)
        squeeze = scaled(*((2 * expand, squeeze_ratio) if squeeze_ratio else (squeeze, width)))
        x = block(x, squeeze, expand, conv=conv, name=name)
        if kind := BYPASSES[bypass].get(number):
            if kind == "convolution":
                before = conv(before, x.shape[-1], 1, name=f"{name}_bypass")
            x = layers.Add(name=f"{name}_add")([before, x])
        x = pool(x, number)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    if conv10:
        x = conv(x, classes, 1, name="conv10", relu=head_relu)
    return parts.classifier(inputs, x, classes, name="squeezenet")


# Networks whose usual block is another one; all arguments are those of `squeezenet`.
of_plain_3x3 = partial(squeezenet, block=plain_3x3)
of_separable = partial(squeezenet, block=separable)


def squeezenet_imagenet(*, version="1.0", classes=1000, input_shape=(224, 224, 3)):
    """SqueezeNet 1.0 or 1.1 as a Keras model from images as torchvision's to class probabilities.

    The logits are the output of the layer `logits`, never negative because of the paper's last
    ReLU. Sizes follow torchvision's networks, whose weights `pretrained.load_torchvision` puts in.
    Another version is a CourseError.
    """
    if version not in IMAGENET:
        raise settings.nearest(str(version), IMAGENET, "version of SqueezeNet")
    filters, kernel, pools = IMAGENET[version]
    conv = partial(conv_relu, initializer="he_uniform")
    inputs = x = parts.images(input_shape)
    x = conv(x, filters, kernel, strides=2, padding="valid", name="conv1")
    x = _pool_ceil(x, "pool1")
    for number, (squeeze, expand) in enumerate(FIRES, start=2):
        x = fire(x, squeeze, expand, conv=conv, name=f"fire{number}")
        if number in pools:
            x = _pool_ceil(x, f"pool{number}")
    x = layers.Dropout(0.5, name="dropout")(x)
    x = conv(x, classes, 1, name="conv10", initializer=keras.initializers.RandomNormal(0, 0.01))
    x = layers.GlobalAveragePooling2D(name="logits")(x)
    return parts.probabilities(inputs, x, name=f"squeezenet-{version}")


def _pool_ceil(x, name):
    """3x3 max-pool of stride 2 whose last window may reach beyond the map, as Caffe rounds sizes.

    A window does in a map of even size: one row or column more. Zeros there change no maximum,
    because x comes from a ReLU. Where a size is open they stand in any map: in one of odd size no
    window reaches them.
    """
    beyond = [(0, 1 if size is None else 1 - size % 2) for size in x.shape[1:3]]
    if any(after for _, after in beyond):
        x = layers.ZeroPadding2D(beyond, name=f"{name}_pad")(x)
    return layers.MaxPooling2D(3, strides=2, name=name)(x)
