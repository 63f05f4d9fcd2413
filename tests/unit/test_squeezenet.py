"""The layer graph of SqueezeNet against the sources (S1, S2 and the paper)."""

import tomllib
from dataclasses import dataclass, replace

import numpy as np
import pytest

from course_lib import experiments, settings
from course_lib.backend import keras
from course_lib.models import squeezenet
from course_lib.settings import CourseError
from tests.unit.layer_graphs import Wanted, faults

NUMBERS = range(2, 10)


@dataclass(frozen=True)
class Net:
    """A network of S1, as the article and the paper say it, not as our builder is asked for it."""

    initialiser: str = "HeNormal"
    l2: float | None = 1e-4
    bn: bool = True
    stride: int = 2
    pools: tuple = ((1, 2), (4, 2), (8, 2))  # number of the layer before it, stride
    dropout: bool = False
    conv10: bool = True
    last_relu: bool = True
    identities: tuple = ()  # the fire modules with an identity around them
    convolutions: tuple = ()  # and those with a convolution
    first: int = 96
    squeezes: tuple = (16, 16, 32, 32, 48, 48, 64, 64)
    ones: tuple = (64, 64, 128, 128, 192, 192, 256, 256)  # 1x1 expand filters
    threes: tuple = (64, 64, 128, 128, 192, 192, 256, 256)


paper = Net()
best = Net(stride=1, pools=((4, 2), (8, 2)), dropout=True)
half = replace(best, first=48)
# One for every kind of change; test_experiments counts all the others.
NETS = {
    "plain": Net("GlorotUniform", None, False),
    "he-linear-head": Net("HeNormal", None, False, last_relu=False),
    "no-conv10": Net(conv10=False),
    "stride-1-pool-1-4": replace(best, pools=((1, 1), (4, 1), (8, 2))),
    "complex-bypass": replace(best, identities=(3, 5, 7, 9), convolutions=(2, 4, 6, 8)),
    "ratio-0.75": replace(
        half,
        squeezes=(48, 48, 96, 96, 144, 144, 192, 192),
        ones=(32, 32, 64, 64, 96, 96, 128, 128),
        threes=(32, 32, 64, 64, 96, 96, 128, 128),
    ),
    "share-1": replace(
        half,
        squeezes=(32, 32, 64, 64, 96, 96, 128, 128),
        ones=(63, 63, 127, 127, 190, 190, 253, 253),
        threes=(1, 1, 1, 1, 2, 2, 3, 3),
    ),
    "miniature": replace(
        best,
        first=24,
        squeezes=(4, 4, 8, 8, 12, 12, 16, 16),
        ones=(16, 16, 32, 32, 48, 48, 64, 64),
        threes=(16, 16, 32, 32, 48, 48, 64, 64),
    ),
}


def wanted(said: Net) -> Wanted:
    """The dense layer has neither He's initialiser nor weight decay."""
    own = {"kernel_initializer": said.initialiser, "kernel_regularizer": said.l2}
    net, pools = Wanted(conv=own, bn={"momentum": 0.9, "epsilon": 1e-5}), dict(said.pools)

    def conv(name, source, filters, kernel, stride=1, relu=True):
        x = net.conv(name, source, filters, kernel, stride)
        x = net.bn(name, x) if said.bn else x
        return net.active(name, x) if relu else x

    def pool(number, x):
        return net.pool(f"pool{number}", x, pools[number]) if number in pools else x

    x = pool(1, conv("conv1", "images", said.first, 3, said.stride))
    for number, *filters in zip(NUMBERS, said.squeezes, said.ones, said.threes, strict=True):
        name, source, (squeeze, ones, threes) = f"fire{number}", x, filters
        x = conv(f"{name}_squeeze", source, squeeze, 1)
        branches = conv(f"{name}_expand1", x, ones, 1), conv(f"{name}_expand3", x, threes, 3)
        x = net.join(f"{name}_join", list(branches))
        if number in said.convolutions:
            source = conv(f"{name}_bypass", source, ones + threes, 1)
        if number in said.identities + said.convolutions:
            x = net.add(f"{name}_add", source, x)
        x = pool(number, x)
    x = net.layer("dropout", "Dropout", x, rate=0.5) if said.dropout else x
    x = conv("conv10", x, 10, 1, relu=said.last_relu) if said.conv10 else x
    return net.head(x)


@pytest.mark.parametrize("name", NETS)
def test_every_layer_is_that_of_the_source(name, built, graph):
    assert faults(graph(built(f"squeezenet/{name}")), wanted(NETS[name])) == set()


def test_sizes_of_the_maps_are_those_of_the_article(built):
    """After conv1, and of fire 2 to 4, 5 to 8 and 9."""
    for name, sizes in {"plain": (16, 8, 4, 2), "no-pool-1": (32, 32, 16, 8)}.items():
        layers = map(built(f"squeezenet/{name}").get_layer, ("conv1", "fire4_join", "fire8_join"))
        last = built(f"squeezenet/{name}").get_layer("fire9_join")
        assert tuple(layer.output.shape[1] for layer in (*layers, last)) == sizes


def test_dropout_works_in_training_alone(built):
    model = built("squeezenet/dropout")
    read = model.get_layer("fire9_join").output, model.get_layer("dropout").output
    both = keras.Model(model.input, read)
    images = np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype("float32")
    before, after = (np.asarray(t) for t in both(images, training=False))
    np.testing.assert_array_equal(before, after)
    before, after = (np.asarray(t) for t in both(images, training=True))
    kept = after[before > 0] > 0
    assert 0.4 < kept.mean() < 0.6


@pytest.mark.parametrize(
    "build, wrong",
    [(squeezenet.squeezenet, {"bypass": "complexe"}),
     (squeezenet.squeezenet_imagenet, {"version": "1.2"})],
)  # fmt: skip
def test_an_unknown_bypass_or_version_is_named(build, wrong):
    with pytest.raises(CourseError, match=f"'{next(iter(wrong.values()))}'; did you mean"):
        build(**wrong)


def test_squeeze_and_share_leave_at_least_one_filter_of_each_kind():
    model = squeezenet.squeezenet(width=0.02, squeeze_ratio=0.01, share=0.001)
    assert model.get_layer("fire2_squeeze").filters == 1
    assert model.get_layer("fire9_expand3").filters == 1
    assert model.get_layer("fire9_expand1").filters == 9
    model = squeezenet.squeezenet(width=0.02, share=1)
    assert model.get_layer("fire9_expand1").filters == 1


def test_a_block_of_the_readers_own_takes_the_place_of_fire():
    seen = []

    def mine(x, squeeze, expand, *, conv, name):
        """Another number of channels than fire's, and an initialiser that reaches it."""
        seen.append((squeeze, expand, name))
        return conv(x, expand // 2, 3, name=f"{name}_only")

    model = experiments.get("squeezenet/bn").build(block=mine)
    numbers = zip(NUMBERS, paper.squeezes, paper.ones, strict=True)
    assert seen == [(squeeze, expand, f"fire{number}") for number, squeeze, expand in numbers]
    kernel = model.get_layer("fire2_only")
    assert kernel.kernel.shape == (3, 3, 96, 32)
    assert type(kernel.kernel_initializer).__name__ == "HeNormal"
    assert model.get_layer("fire2_only_bn") and model.output_shape == (None, 10)
    assert model.get_layer("pool8").output.shape[1:] == (2, 2, 128)


# --- the networks for ImageNet --------------------------------------------------------------------

# Filters and kernel of conv1, the layers with a pool after them, and the height and width after
# conv1, its pool and the two others.
IMAGENET = {
    ("1.0", 224): (96, 7, (1, 4, 8), (109, 54, 27, 13)),
    ("1.1", 97): (64, 3, (1, 3, 5), (48, 24, 12, 6)),
}


@pytest.mark.parametrize("version, size", IMAGENET)
def test_imagenet_networks_have_the_published_layers(version, size, graph):
    first, kernel, pools, sides = IMAGENET[version, size]
    net = Wanted(size, conv={"kernel_initializer": "HeUniform"})

    def conv(name, source, *options, **own):
        return net.active(name, net.conv(name, source, *options, **own))

    def pool(number, x):
        """The last window may reach one row and column beyond a map of even size."""
        side, channels = net[x][2][1:]
        if number in pools and side % 2 == 0:
            shape = (side + 1, side + 1, channels)
            x = net.layer(f"pool{number}_pad", "ZeroPadding2D", x, shape, padding=[[0, 1]] * 2)
        return net.pool(f"pool{number}", x, 2, "valid") if number in pools else x

    x = pool(1, conv("conv1", "images", first, kernel, 2, "valid"))
    for number, squeeze, expand in zip(NUMBERS, paper.squeezes, paper.ones, strict=True):
        x = conv(f"fire{number}_squeeze", x, squeeze, 1)
        branches = [conv(f"fire{number}_expand{k}", x, expand, k) for k in (1, 3)]
        x = pool(number, net.join(f"fire{number}_join", branches))
    x = net.layer("dropout", "Dropout", x, rate=0.5)
    x = conv("conv10", x, 1000, 1, kernel_initializer="RandomNormal")
    net.layer("logits", "GlobalAveragePooling2D", x, (1000,), keepdims=False)
    net.layer("classes", "Softmax", "logits")
    model = squeezenet.squeezenet_imagenet(version=version, input_shape=(size, size, 3))
    assert faults(graph(model), net) == set()
    found = [model.get_layer(n).output.shape[1] for n in ("conv1", *(f"pool{k}" for k in pools))]
    assert tuple(found) == sides
    articles = tomllib.loads((settings.ROOT / "tests" / "articles.toml").read_text("utf-8"))
    assert model.count_params() == articles["imagenet"][version]
    assert np.asarray(model.get_layer("conv10").kernel).std() == pytest.approx(0.01, rel=0.01)
