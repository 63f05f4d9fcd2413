"""The layer graph against the source, tensor by tensor: counts alone miss a stride or a join in
the wrong place."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest

from course_lib import experiments
from course_lib.backend import keras
from course_lib.measure import counting
from course_lib.models import squeezenet
from course_lib.settings import CourseError

NUMBERS = range(2, 10)


@dataclass(frozen=True)
class Net:
    """A network of S1, as the article and the paper say it, not as our builder is asked for it."""

    initialiser: str = "HeNormal"
    l2: float | None = 1e-4
    bn: bool = True
    sizes: tuple = (16, 8, 4, 2)  # height and width after conv1, and of fire 2-4, 5-8 and 9
    pools: tuple = (1, 4, 8)
    dropout: bool = False
    conv10: bool = True
    last_relu: bool = True
    identities: tuple = ()  # the fire modules with an identity around them
    convolutions: tuple = ()  # and those with a convolution
    first: int = 96
    squeezes: tuple = (16, 16, 32, 32, 48, 48, 64, 64)
    ones: tuple = (64, 64, 128, 128, 192, 192, 256, 256)  # 1x1 expand filters
    threes: tuple = (64, 64, 128, 128, 192, 192, 256, 256)

    def size(self, number: int) -> int:
        """Height and width of the layer of this number."""
        return self.sizes[(number > 1) + (number > 4) + (number > 8)]


bn = Net()
plain = Net("GlorotUniform", None, False)
dropout = replace(bn, dropout=True)
best = replace(dropout, sizes=(32, 32, 16, 8), pools=(4, 8))
half = replace(best, first=48, squeezes=(32, 32, 64, 64, 96, 96, 128, 128))
half = replace(half, ones=(32, 32, 64, 64, 96, 96, 128, 128))
half = replace(half, threes=half.ones)
simple = replace(best, identities=(3, 5, 7, 9))

NETS = {
    "plain": plain,
    "he-l2": Net(bn=False),
    "bn": bn,
    "no-conv10": replace(bn, conv10=False),
    "dropout": dropout,
    "no-pool-1-4": replace(dropout, sizes=(32, 32, 32, 16), pools=(8,)),
    "stride-1-pool-1-4": replace(dropout, sizes=(32, 32, 32, 16)),
    "stride-1-pool-1": replace(dropout, sizes=(32, 32, 16, 8)),
    "no-pool-1": best,
    "simple-bypass": simple,
    "complex-bypass": replace(simple, convolutions=(2, 4, 6, 8)),
    "he": replace(plain, initialiser="HeNormal"),
    "l2": replace(plain, l2=1e-4),
    "glorot-bn": replace(plain, bn=True),
    "he-bn": replace(bn, l2=None),
    "glorot-l2-bn": replace(bn, initialiser="GlorotUniform"),
    "plain-linear-head": replace(plain, last_relu=False),
    "he-linear-head": replace(plain, initialiser="HeNormal", last_relu=False),
    "stride-1": replace(dropout, sizes=(32, 16, 8, 4)),
    "no-pool-1-no-dropout": replace(best, dropout=False),
    "ratio-0.125": replace(half, squeezes=(8, 8, 16, 16, 24, 24, 32, 32)),
    "ratio-0.25": replace(half, squeezes=(16, 16, 32, 32, 48, 48, 64, 64)),
    "ratio-0.5": half,
    "ratio-0.75": replace(half, squeezes=(48, 48, 96, 96, 144, 144, 192, 192)),
    "ratio-1": replace(half, squeezes=(64, 64, 128, 128, 192, 192, 256, 256)),
    "share-1": replace(
        half, ones=(63, 63, 127, 127, 190, 190, 253, 253), threes=(1, 1, 1, 1, 2, 2, 3, 3)
    ),
    "share-25": replace(
        half, ones=(48, 48, 96, 96, 144, 144, 192, 192), threes=(16, 16, 32, 32, 48, 48, 64, 64)
    ),
    "share-75": replace(
        half, ones=(16, 16, 32, 32, 48, 48, 64, 64), threes=(48, 48, 96, 96, 144, 144, 192, 192)
    ),
    "share-99": replace(
        half, ones=(1, 1, 1, 1, 2, 2, 3, 3), threes=(63, 63, 127, 127, 190, 190, 253, 253)
    ),
    "miniature": replace(
        best,
        first=24,
        squeezes=(4, 4, 8, 8, 12, 12, 16, 16),
        ones=(16, 16, 32, 32, 48, 48, 64, 64),
        threes=(16, 16, 32, 32, 48, 48, 64, 64),
    ),
}


def wanted(net: Net) -> dict:
    """name -> (class, what it reads in order, output shape, settings) of a network."""
    layers = {"images": ("InputLayer", [], (32, 32, 3), {})}
    never = {"bias_regularizer": None, "activity_regularizer": None, "kernel_constraint": None}
    never |= {"use_bias": True, "activation": "linear", "bias_initializer": "Zeros"}

    def conv(name, source, filters, kernel, size, stride=1, relu=True):
        shape = (size, size, filters)
        settings = {"filters": filters, "kernel_size": [kernel] * 2, "strides": [stride] * 2}
        settings |= {"padding": "same", "groups": 1, "dilation_rate": [1, 1]}
        settings |= {"kernel_initializer": net.initialiser, "kernel_regularizer": net.l2}
        layers[name] = ("Conv2D", [source], shape, settings | never)
        if net.bn:
            settings = {"momentum": 0.9, "epsilon": 1e-5, "center": True, "scale": True, "axis": -1}
            layers[f"{name}_bn"] = ("BatchNormalization", [name], shape, settings)
            name = f"{name}_bn"
        if not relu:
            return name
        activation = f"{name.removesuffix('_bn')}_relu"
        layers[activation] = ("ReLU", [name], shape, {"negative_slope": 0.0, "max_value": None})
        return activation

    def pool(number, source, channels):
        if number not in net.pools:
            return source
        # Its stride follows from the sizes before and after it; without them, a pool is absent.
        stride = net.size(number) // net.size(number + 1)
        settings = {"pool_size": [3, 3], "strides": [stride] * 2, "padding": "same"}
        shape = (net.size(number + 1),) * 2 + (channels,)
        layers[f"pool{number}"] = ("MaxPooling2D", [source], shape, settings)
        return f"pool{number}"

    before = conv("conv1", "images", net.first, 3, net.size(1), stride=32 // net.size(1))
    before = pool(1, before, net.first)
    for number, squeeze, ones, threes in zip(
        NUMBERS, net.squeezes, net.ones, net.threes, strict=True
    ):
        name, size, source, channels = f"fire{number}", net.size(number), before, ones + threes
        squeezed = conv(f"{name}_squeeze", source, squeeze, 1, size)
        small = conv(f"{name}_expand1", squeezed, ones, 1, size)
        large = conv(f"{name}_expand3", squeezed, threes, 3, size)
        before, shape = f"{name}_join", (size, size, channels)
        layers[before] = ("Concatenate", [small, large], shape, {"axis": -1})
        if number in net.identities + net.convolutions:
            beside = source
            if number in net.convolutions:
                beside = conv(f"{name}_bypass", source, channels, 1, size)
            layers[f"{name}_add"] = ("Add", [beside, before], shape, {})
            before = f"{name}_add"
        before = pool(number, before, channels)
    size = net.size(9)
    if net.dropout:
        layers["dropout"] = ("Dropout", [before], (size, size, channels), {"rate": 0.5})
        before = "dropout"
    if net.conv10:
        before, channels = conv("conv10", before, 10, 1, size, relu=net.last_relu), 10
    layers["gap"] = ("GlobalAveragePooling2D", [before], (channels,), {"keepdims": False})
    # The dense layer has neither He's initialiser nor weight decay.
    dense = {"units": 10, "kernel_initializer": "GlorotUniform", "kernel_regularizer": None}
    layers["logits"] = ("Dense", ["gap"], (10,), dense | never)
    layers["classes"] = ("Softmax", ["logits"], (10,), {"axis": -1})
    return layers


def plainly(value):
    """An initialiser by its class, weight decay by its rate."""
    if isinstance(value, dict) and value["class_name"] == "L2":
        return pytest.approx(value["config"]["l2"])
    return value["class_name"] if isinstance(value, dict) else value


def faults(nodes, net: Net) -> set[str]:
    """The layers that are not as wanted."""
    right = wanted(net)
    wrong = right.keys() ^ nodes.keys()
    for name in right.keys() & nodes.keys():
        kind, inputs, shape, settings = right[name]
        node = nodes[name]
        if (node.kind, node.inputs, node.shape) != (kind, inputs, shape) or any(
            plainly(node.config.get(key)) != value for key, value in settings.items()
        ):
            wrong.add(name)
    return wrong


def test_every_experiment_of_the_family_is_here():
    family = [id for id in experiments.ids() if id.startswith("squeezenet/")]
    assert {id.split("/")[1] for id in family} == NETS.keys()


@pytest.mark.parametrize("name", NETS)
def test_every_layer_is_that_of_the_source(name, built, graph):
    nodes = graph(built(f"squeezenet/{name}"))
    assert faults(nodes, NETS[name]) == set()


def test_no_two_networks_are_the_same(built, graph):
    """The checker tells each of them from every other one."""
    for name in ("bn", "dropout", "no-pool-1", "simple-bypass", "stride-1-pool-1"):
        nodes = graph(built(f"squeezenet/{name}"))
        assert all(faults(nodes, net) for other, net in NETS.items() if other != name)


# Networks with the right number of parameters and one thing in the wrong place.


def swapped_join(x, squeeze, expand, *, conv, name):
    x = conv(x, squeeze, 1, name=f"{name}_squeeze")
    large = conv(x, expand, 3, name=f"{name}_expand3")
    small = conv(x, expand, 1, name=f"{name}_expand1")
    return squeezenet.layers.Concatenate(name=f"{name}_join")([large, small])


def stride_in_squeeze(x, squeeze, expand, *, conv, name):
    """Fire 4 halves its map on its own; the pool after it is taken out."""
    strided = partial(conv, strides=2) if name == "fire4" else conv
    x = strided(x, squeeze, 1, name=f"{name}_squeeze")
    branches = [conv(x, expand, k, name=f"{name}_expand{k}") for k in (1, 3)]
    return squeezenet.layers.Concatenate(name=f"{name}_join")(branches)


@pytest.mark.parametrize(
    "block, pools, first",
    [
        (swapped_join, (1, 4, 8), {"fire2_join"}),
        (squeezenet.fire, (1, 3, 8), {"pool3", "pool4"}),
        (squeezenet.fire, (1, 4, 7), {"pool7", "pool8"}),
        (stride_in_squeeze, (1, 8), {"pool4", "fire4_squeeze"}),
    ],
)
def test_a_stride_or_join_in_the_wrong_place_is_seen(graph, block, pools, first):
    model = squeezenet.squeezenet(block=block, pools=[[number, 2] for number in pools])
    assert model.count_params() == 729_144, "the count of parameters does not see it"
    assert first <= faults(graph(model), plain)


def bypassed(*around):
    """A fire module with an identity around it, where its number is among `around`."""

    def block(x, squeeze, expand, *, conv, name):
        y = squeezenet.fire(x, squeeze, expand, conv=conv, name=name)
        if int(name[-1]) not in around:
            return y
        return squeezenet.layers.Add(name=f"{name}_add")([x, y])

    return block


@pytest.mark.parametrize(
    "around, missed",
    [((3, 5, 7, 9), set()), ((3, 5, 7), {"fire9_add"}), ((5, 7, 9), {"fire3_add"})],
)
def test_a_bypass_around_the_wrong_module_is_seen(graph, around, missed):
    model = experiments.get("squeezenet/no-pool-1").build(block=bypassed(*around))
    assert model.count_params() == 741_088
    found = faults(graph(model), simple)
    assert missed <= found and bool(found) == bool(missed)


def test_a_bypass_from_before_the_pool_is_seen(graph, monkeypatch):
    """With pools of stride 1 an identity could start on either side of the pool."""
    net = replace(NETS["stride-1-pool-1-4"], identities=(3, 5, 7, 9))
    build = experiments.get("squeezenet/stride-1-pool-1-4").build
    assert faults(graph(build(bypass="simple")), net) == set()
    kept = {}

    def before_pool(x, squeeze, expand, *, conv, name):
        source = kept.get("fire4", x) if name == "fire5" else x
        y = squeezenet.fire(x, squeeze, expand, conv=conv, name=name)
        kept[name] = y
        if int(name[-1]) not in net.identities:
            return y
        return squeezenet.layers.Add(name=f"{name}_add")([source, y])

    assert faults(graph(build(block=before_pool)), net) == {"fire5_add"}


L2 = {"class_name": "L2", "config": {"l2": 1e-4}}
CHANGED = [
    ("logits", {"kernel_regularizer": L2}),
    ("logits", {"kernel_initializer": "he_normal"}),
    ("fire2_bypass", {"kernel_regularizer": None}),
    ("fire8_bypass", {"kernel_initializer": "glorot_uniform"}),
    ("fire6_expand3", {"kernel_regularizer": {"class_name": "L2", "config": {"l2": 5e-4}}}),
    ("fire9_expand1", {"bias_regularizer": L2}),
    ("fire4_bypass_bn", {"epsilon": 1e-3}),
    ("conv10_bn", {"momentum": 0.99}),
    ("dropout", {"rate": 0.4}),
    ("pool4", {"pool_size": 2}),
]


@pytest.mark.parametrize("name, change", CHANGED)
def test_a_changed_layer_of_the_complex_bypass_is_seen(name, change, built, graph):
    def copy(layer):
        config = layer.get_config() | (change if layer.name == name else {})
        return type(layer).from_config(config)

    model = keras.models.clone_model(built("squeezenet/complex-bypass"), clone_function=copy)
    assert model.count_params() == 1_087_456
    assert faults(graph(model), NETS["complex-bypass"]) == {name}


def test_computation_of_the_article_s_networks(built):
    """MMAC as the table of the experiments has them."""
    table = {"bn": 13.1, "no-pool-1-4": 588.5, "stride-1-pool-1-4": 588.5, "no-pool-1": 202.2}
    table |= {"stride-1-pool-1": 202.2, "simple-bypass": 202.2, "complex-bypass": 323.8}
    for name, mmac in table.items():
        assert round(counting.macs(built(f"squeezenet/{name}")) / 1e6, 1) == mmac, name


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


def test_an_unknown_bypass_names_the_right_ones():
    with pytest.raises(CourseError, match="no bypass 'complexe'; did you mean complex or"):
        squeezenet.squeezenet(bypass="complexe")


def test_squeeze_and_share_leave_at_least_one_filter_of_each_kind():
    model = squeezenet.squeezenet(width=0.02, squeeze_ratio=0.01, share=0.001)
    assert model.get_layer("fire2_squeeze").filters == 1
    assert model.get_layer("fire9_expand3").filters == 1
    assert model.get_layer("fire9_expand1").filters == 9
    model = squeezenet.squeezenet(width=0.02, share=1)
    assert model.get_layer("fire9_expand1").filters == 1


@pytest.mark.parametrize("build", [squeezenet.squeezenet, squeezenet.squeezenet_imagenet])
def test_probabilities_are_float32_under_mixed_precision(build):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build(input_shape=(32, 32, 3))
    finally:
        keras.config.set_dtype_policy(before)
    assert model.get_layer("logits").compute_dtype == "bfloat16"
    assert model.output.dtype == "float32"


# The networks for ImageNet.

# Height and width after conv1, its pool and the two others.
IMAGENET = {
    ("1.0", 224): (109, 54, 27, 13),
    ("1.0", 97): (46, 23, 11, 5),
    ("1.1", 224): (111, 55, 27, 13),
    ("1.1", 97): (48, 24, 12, 6),
}


@pytest.mark.parametrize("version, size", IMAGENET)
def test_imagenet_networks_have_the_published_layers(version, size, graph):
    model = squeezenet.squeezenet_imagenet(version=version, input_shape=(size, size, 3))
    assert model.count_params() == {"1.0": 1_248_424, "1.1": 1_235_496}[version]
    nodes = graph(model)
    filters, kernel = {"1.0": (96, 7), "1.1": (64, 3)}[version]
    conv1 = nodes["conv1"].config
    found = {key: conv1[key] for key in ("filters", "kernel_size", "strides", "padding")}
    assert found == {
        "filters": filters,
        "kernel_size": [kernel] * 2,
        "strides": [2, 2],
        "padding": "valid",
    }
    after = {"1.0": {1: "conv1_relu", 4: "fire4_join", 8: "fire8_join"}}
    after["1.1"] = {1: "conv1_relu", 3: "fire3_join", 5: "fire5_join"}
    pools = {name for name, node in nodes.items() if node.kind == "MaxPooling2D"}
    assert pools == {f"pool{number}" for number in after[version]}
    sides = [nodes["conv1"].shape[0]]
    for number, source in after[version].items():
        pool, pad = nodes[f"pool{number}"], nodes.get(f"pool{number}_pad")
        assert (pad or pool).inputs == [source] and (pad is None) == (sides[-1] % 2 == 1)
        if pad:
            assert pad.config["padding"] == [[0, 1], [0, 1]] and pool.inputs == [
                f"pool{number}_pad"
            ]
        assert pool.config["pool_size"] == [3, 3] and pool.config["strides"] == [2, 2]
        assert pool.config["padding"] == "valid"
        sides.append(pool.shape[0])
    assert tuple(sides) == IMAGENET[version, size]
    assert all(len({*node.shape[:-1]}) < 2 for node in nodes.values()), "maps stay square"
    for number, s, e in zip(NUMBERS, plain.squeezes, plain.ones, strict=True):
        kernels = {"squeeze": (1, s), "expand1": (1, e), "expand3": (3, e)}
        for part, (kernel, filters) in kernels.items():
            config = nodes[f"fire{number}_{part}"].config
            assert (config["kernel_size"], config["filters"]) == ([kernel] * 2, filters)
            assert config["strides"] == [1, 1] and config["padding"] == "same"
    path = ["classes", "logits", "conv10_relu", "conv10", "dropout", "fire9_join"]
    assert [nodes[name].inputs[0] for name in path[:-1]] == path[1:]
    assert nodes["dropout"].config["rate"] == 0.5 and nodes["conv10"].shape[-1] == 1000
    assert nodes["logits"].kind == "GlobalAveragePooling2D"


def test_initialisers_of_the_imagenet_networks(graph, kinds):
    model = squeezenet.squeezenet_imagenet(input_shape=(64, 64, 3))
    assert kinds(model)["Conv2D"] == kinds(model)["ReLU"] == 26
    for name, node in graph(model).items():
        if node.kind == "Conv2D":
            kernel = node.config["kernel_initializer"]
            expected = "RandomNormal" if name == "conv10" else "HeUniform"
            assert kernel["class_name"] == expected
            assert plainly(node.config["bias_initializer"]) == "Zeros"
            assert node.config["kernel_regularizer"] is None
    assert np.asarray(model.get_layer("conv10").kernel).std() == pytest.approx(0.01, rel=0.01)


def test_an_unknown_version_names_the_right_ones():
    with pytest.raises(CourseError, match="no version of SqueezeNet '1.2'; did you mean 1.0 or"):
        squeezenet.squeezenet_imagenet(version="1.2")


# What a network does.


def test_output_is_a_probability_per_class(built):
    images = np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype("float32")
    out = np.asarray(built("squeezenet/bn")(images))
    assert out.shape == (4, 10) and (out >= 0).all()
    np.testing.assert_allclose(out.sum(1), 1, rtol=1e-5)


def test_weight_decay_is_the_sum_over_the_convolutions_kernels(built):
    model = built("squeezenet/l2")
    kernels = [layer.kernel.numpy() for layer in model.layers if "Conv" in type(layer).__name__]
    expected = 1e-4 * sum((k.astype(float) ** 2).sum() for k in kernels)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-4)
    assert built("squeezenet/he").losses == []


def test_a_block_of_the_readers_own_takes_the_place_of_fire():
    seen = []

    def mine(x, squeeze, expand, *, conv, name):
        """Another number of channels than fire's, and an initialiser that reaches it."""
        seen.append((squeeze, expand, name))
        return conv(x, expand // 2, 3, name=f"{name}_only")

    model = experiments.get("squeezenet/bn").build(block=mine)
    numbers = zip(NUMBERS, bn.squeezes, bn.ones, strict=True)
    assert seen == [(squeeze, expand, f"fire{number}") for number, squeeze, expand in numbers]
    kernel = model.get_layer("fire2_only")
    assert kernel.kernel.shape == (3, 3, 96, 32)
    assert type(kernel.kernel_initializer).__name__ == "HeNormal"
    assert model.get_layer("fire2_only_bn") and model.output_shape == (None, 10)
    assert model.get_layer("pool8").output.shape[1:] == (2, 2, 128)


def test_other_sizes_and_numbers_of_classes_follow_from_arguments():
    model = squeezenet.squeezenet(classes=200, input_shape=(64, 64, 3))
    assert model.output_shape == (None, 200)
    assert model.get_layer("conv10").output.shape[1:] == (4, 4, 200)
