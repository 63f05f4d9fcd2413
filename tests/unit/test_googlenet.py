"""The layer graphs of both GoogLeNets against the source (S5), tensor by tensor."""

from functools import cache

import numpy as np
import pytest

from course_lib.backend import keras, layers
from course_lib.measure import counting
from course_lib.models import googlenet, parts
from course_lib.settings import CourseError

MINI, DEEPER = googlenet.minigooglenet, googlenet.deepergooglenet

CONV = {
    "use_bias": True,
    "activation": "linear",
    "groups": 1,
    "dilation_rate": [1, 1],
    "kernel_initializer": "GlorotUniform",
    "bias_initializer": "Zeros",
    "bias_regularizer": None,
}
BN = {"momentum": 0.99, "epsilon": 1e-3, "center": True, "scale": True, "axis": -1}
DENSE = {"use_bias": True, "activation": "linear", "kernel_initializer": "GlorotUniform"}
DENSE |= {"bias_regularizer": None}
ACTIVATIONS = {"relu": ("ReLU", {"negative_slope": 0.0}), "elu": ("ELU", {"alpha": 1.0})}

# S5: filters of each module and, after the name, the height and width of what it passes on.
MINI_MODULES = [
    ("i1a", 32, 32, 32), ("i1b", 32, 32, 48), ("down1", 15, 80),
    ("i2a", 15, 112, 48), ("i2b", 15, 96, 64), ("i2c", 15, 80, 80), ("i2d", 15, 48, 96),
    ("down2", 7, 96), ("i3a", 7, 176, 160), ("i3b", 7, 176, 160),
]  # fmt: skip
INCEPTIONS = [
    ("i3a", 16, 64, 96, 128, 16, 32, 32), ("i3b", 16, 128, 128, 192, 32, 96, 64),
    ("i4a", 8, 192, 96, 208, 16, 48, 64), ("i4b", 8, 160, 112, 224, 24, 64, 64),
    ("i4c", 8, 128, 128, 256, 24, 64, 64), ("i4d", 8, 112, 144, 288, 32, 64, 64),
    ("i4e", 8, 256, 160, 320, 32, 128, 128),
]  # fmt: skip


class Wanted(dict):
    """name -> (class, what it reads in order, output shape, settings), written layer by layer."""

    def __init__(self, size, order, activation, l2):
        super().__init__(images=("InputLayer", [], (size, size, 3), {}))
        self.order, self.activation, self.l2 = order.split("-"), activation, l2

    def layer(self, name, kind, source, size, channels, settings):
        self[name] = (kind, [source], (size, size, channels), settings)
        return name

    def conv(self, name, source, filters, kernel, size, stride=1, padding="same"):
        own = {"filters": filters, "kernel_size": [kernel] * 2, "strides": [stride] * 2}
        own |= {"padding": padding, "kernel_regularizer": self.l2}
        x = self.layer(name, "Conv2D", source, size, filters, CONV | own)
        for step in self.order:
            suffix = "bn" if step == "bn" else self.activation
            kind, settings = ("BatchNormalization", BN) if step == "bn" else ACTIVATIONS[suffix]
            x = self.layer(f"{name}_{suffix}", kind, x, size, filters, settings)
        return x

    def pool(self, name, source, size, stride, padding="same"):
        settings = {"pool_size": [3, 3], "strides": [stride] * 2, "padding": padding}
        channels = self[source][2][-1]
        return self.layer(name, "MaxPooling2D", source, size, channels, settings)

    def join(self, name, branches, size):
        channels = sum(self[branch][2][-1] for branch in branches)
        self[name] = ("Concatenate", branches, (size, size, channels), {"axis": -1})
        return name

    def head(self, source, dropout, classes):
        channels = self[source][2][-1]
        self["gap"] = ("GlobalAveragePooling2D", [source], (channels,), {"keepdims": False})
        self["dropout"] = ("Dropout", ["gap"], (channels,), {"rate": dropout})
        dense = DENSE | {"units": classes, "kernel_regularizer": self.l2}
        self["logits"] = ("Dense", ["dropout"], (classes,), dense)
        self["classes"] = ("Softmax", ["logits"], (classes,), {})
        return self


def wanted_mini(width=1, order="bn-relu", activation="relu", l2=None):
    net = Wanted(32, order, activation, l2)
    x = net.conv("conv1", "images", int(96 * width), 3, 32)
    for name, size, *filters in MINI_MODULES:
        filters = [int(f * width) for f in filters]
        if "down" in name:
            branches = [net.conv(f"{name}_conv3", x, *filters, 3, size, 2, "valid")]
            branches.append(net.pool(f"{name}_pool", x, size, 2, "valid"))
        else:
            branches = [
                net.conv(f"{name}_conv{kernel}", x, f, kernel, size)
                for kernel, f in zip((1, 3), filters, strict=True)
            ]
        x = net.join(f"{name}_join", branches, size)
    return net.head(x, 0.5, 10)


def wanted_deeper(
    deep=True, width=1, order="bn-relu", activation="relu", l2=5e-4, classes=200, size=64
):
    net = Wanted(size, order, activation, l2 and pytest.approx(l2))
    part = size // 64  # sides below are those of 64x64 pictures
    x = net.conv("conv1", "images", int(64 * width), 5, size)
    x = net.pool("pool1", x, size // 2, 2)
    x = net.conv("conv2_reduce", x, int(64 * width), 1, size // 2)
    x = net.conv("conv2", x, int(192 * width), 3, size // 2)
    x = net.pool("pool2", x, size // 4, 2)
    for name, side, *filters in INCEPTIONS if deep else INCEPTIONS[:2]:
        a, b, c, d, e, f = (int(filter * width) for filter in filters)
        side *= part
        three = net.conv(f"{name}_reduce3", x, b, 1, side)
        five = net.conv(f"{name}_reduce5", x, d, 1, side)
        pooled = net.pool(f"{name}_pool", x, side, 1)
        branches = [
            net.conv(f"{name}_conv1", x, a, 1, side),
            net.conv(f"{name}_expand3", three, c, 3, side),
            net.conv(f"{name}_expand5", five, e, 5, side),
            net.conv(f"{name}_project", pooled, f, 1, side),
        ]
        x = net.join(f"{name}_join", branches, side)
        if name == "i3b":
            x = net.pool("pool3", x, 8 * part, 2)
    return net.head(net.pool("pool4", x, 4 * part, 2), 0.4, classes)


def plain(value):
    """An initialiser as its class, L2 as its strength, all else as it is."""
    if not isinstance(value, dict):
        return value
    return value["config"]["l2"] if value["class_name"] == "L2" else value["class_name"]


def faults(nodes, wanted) -> set[str]:
    """The layers that are not as wanted, missing or too many."""
    return set(nodes.keys() ^ wanted.keys()) | {
        name
        for name, (*place, settings) in wanted.items()
        if name in nodes
        and (
            [nodes[name].kind, nodes[name].inputs, nodes[name].shape] != place
            or any(plain(nodes[name].config[key]) != value for key, value in settings.items())
        )
    }


@cache
def built(builder, **arguments):
    return builder(**arguments)


@pytest.mark.parametrize(
    "builder, arguments, wanted",
    [
        (MINI, {}, wanted_mini()),
        (MINI, {"width": 0.25}, wanted_mini(width=0.25)),
        (
            MINI,
            {"order": "relu-bn", "activation": "elu", "l2": 5e-4},
            wanted_mini(order="relu-bn", activation="elu", l2=pytest.approx(5e-4)),
        ),
        (DEEPER, {}, wanted_deeper()),
        (DEEPER, {"deep": False}, wanted_deeper(deep=False)),
        (
            DEEPER,
            {"deep": False, "width": 0.25, "classes": 20},
            wanted_deeper(deep=False, width=0.25, classes=20),
        ),
        (
            DEEPER,
            {"deep": False, "order": "relu-bn"},
            wanted_deeper(deep=False, order="relu-bn"),
        ),
        (
            DEEPER,
            {"deep": False, "activation": "elu"},
            wanted_deeper(deep=False, activation="elu"),
        ),
        (
            DEEPER,
            {"deep": False, "input_shape": (128, 128, 3), "classes": 7, "l2": 0},
            wanted_deeper(deep=False, size=128, classes=7, l2=None),
        ),
    ],
)
def test_layers_strides_joins_shapes_and_settings(builder, arguments, wanted, graph):
    assert faults(graph(built(builder, **arguments)), wanted) == set()


def test_modules_pass_on_what_the_source_says():
    """What stands before global pooling is S5's 7x7x336 and, pooled by 4, one value a channel."""
    mini = {row.name: row.shape for row in counting.stages(built(MINI))}
    assert mini["i1b"] == (32, 32, 80) and mini["down1"] == (15, 15, 160)
    assert mini["i2d"] == (15, 15, 144) and mini["i3b"] == (7, 7, 336)
    deeper = {row.name: row.shape for row in counting.stages(built(DEEPER))}
    assert deeper["conv2"] == (32, 32, 192) and deeper["i3a"] == (16, 16, 256)
    assert deeper["i4a"] == (8, 8, 512) and deeper["pool4"] == (4, 4, 832)
    shallow = counting.stages(built(DEEPER, deep=False))
    assert {row.name: row.shape for row in shallow}["pool4"] == (4, 4, 480)


@pytest.mark.parametrize(
    "builder, arguments, counts",
    [
        (MINI, {}, (1_656_250, 1_652_826, 234_597_920)),
        (MINI, {"width": 0.25}, (106_246, 105_390, 15_160_664)),
        (DEEPER, {}, (3_667_976, 3_657_992, 457_984_512)),
        (DEEPER, {"deep": False}, (773_752, 771_096, 278_361_856)),
        (
            DEEPER,
            {"deep": False, "width": 0.25, "classes": 20},
            (46_912, 46_248, 21_080_416),
        ),
    ],
)
def test_parameters_and_macs(builder, arguments, counts):
    model = built(builder, **arguments)
    found = counting.parameters(model)
    assert (found.total, found.trainable, counting.macs(model)) == counts


# Wrong networks: most have the right number of parameters and one thing in the wrong place.


def swapped(x, a, b, *, conv, name):
    one, three = conv(x, a, 1, name=f"{name}_conv1"), conv(x, b, 3, name=f"{name}_conv3")
    return layers.Concatenate(name=f"{name}_join")([three, one])


def one_before_three(x, a, b, *, conv, name):
    """The 3x3 branch reads the 1x1 branch."""
    one = conv(x, a, 1, name=f"{name}_conv1")
    three = conv(one, b, 3, name=f"{name}_conv3")
    return layers.Concatenate(name=f"{name}_join")([one, three])


@pytest.mark.parametrize(
    "block, same_count, seen",
    [(swapped, True, "i1a_join"), (one_before_three, False, "i2c_conv3")],
)
def test_a_wrong_module_of_minigooglenet_is_seen(block, same_count, seen, graph):
    model = MINI(block=block)
    assert (model.count_params() == 1_656_250) is same_count
    assert seen in faults(graph(model), wanted_mini())


def padded(x, filters, *, conv, name):
    """16x16 and 8x8 maps instead of 15x15 and 7x7."""
    learnt = conv(x, filters, 3, strides=2, name=f"{name}_conv3")
    pooled = layers.MaxPooling2D(3, strides=2, padding="same", name=f"{name}_pool")(x)
    return layers.Concatenate(name=f"{name}_join")([learnt, pooled])


def small_pool(x, filters, *, conv, name):
    learnt = conv(x, filters, 3, strides=2, padding="valid", name=f"{name}_conv3")
    pooled = layers.MaxPooling2D(2, strides=2, name=f"{name}_pool")(x[:, 1:, 1:])
    return layers.Concatenate(name=f"{name}_join")([learnt, pooled])


@pytest.mark.parametrize("wrong, seen", [(padded, "i3b_conv1"), (small_pool, "down1_pool")])
def test_a_wrong_downsampling_is_seen(monkeypatch, wrong, seen, graph):
    monkeypatch.setattr(googlenet, "downsample", wrong)
    model = MINI()
    assert model.count_params() == 1_656_250
    assert seen in faults(graph(model), wanted_mini())


def branches(x, filters, conv, name):
    a, b3_reduce, b3, b5_reduce, b5, pool = filters
    three = conv(x, b3_reduce, 1, name=f"{name}_reduce3")
    five = conv(x, b5_reduce, 1, name=f"{name}_reduce5")
    pooled = layers.MaxPooling2D(3, strides=1, padding="same", name=f"{name}_pool")(x)
    return [
        conv(x, a, 1, name=f"{name}_conv1"),
        conv(three, b3, 3, name=f"{name}_expand3"),
        conv(five, b5, 5, name=f"{name}_expand5"),
        conv(pooled, pool, 1, name=f"{name}_project"),
    ]


def in_another_order(x, *filters, conv, name):
    one, three, five, pooled = branches(x, filters, conv, name)
    return layers.Concatenate(name=f"{name}_join")([one, five, three, pooled])


def pooled_last(x, a, b3_reduce, b3, b5_reduce, b5, pool, *, conv, name):
    """The fourth branch projects before it pools."""
    three = conv(x, b3_reduce, 1, name=f"{name}_reduce3")
    five = conv(x, b5_reduce, 1, name=f"{name}_reduce5")
    projected = conv(x, pool, 1, name=f"{name}_project")
    joined = [
        conv(x, a, 1, name=f"{name}_conv1"),
        conv(three, b3, 3, name=f"{name}_expand3"),
        conv(five, b5, 5, name=f"{name}_expand5"),
        layers.MaxPooling2D(3, strides=1, padding="same", name=f"{name}_pool")(projected),
    ]
    return layers.Concatenate(name=f"{name}_join")(joined)


def without_pooling(x, *filters, conv, name):
    """The fourth branch is a second 1x1."""
    joined = branches(x, filters, conv, name)[:3]
    joined.append(conv(x, filters[-1], 1, name=f"{name}_lone"))
    return layers.Concatenate(name=f"{name}_join")(joined)


@pytest.mark.parametrize(
    "block, seen",
    [
        (in_another_order, {"i3a_join"}),
        (pooled_last, {"i3a_pool", "i3a_project", "i3a_join"}),
        (without_pooling, {"i3b_lone", "i3b_pool"}),
    ],
)
def test_a_wrong_inception_module_is_seen(block, seen, graph):
    model = DEEPER(block=block, deep=False)
    assert model.count_params() == 773_752
    assert seen <= faults(graph(model), wanted_deeper(deep=False))


def test_swapped_orders_and_activations_are_seen(graph):
    """Neither changes a count."""
    for arguments in ({"order": "relu-bn"}, {"activation": "elu"}):
        model = built(DEEPER, deep=False, **arguments)
        assert model.count_params() == 773_752
        assert "i3a_join" in faults(graph(model), wanted_deeper(deep=False))


def test_wrong_settings_are_seen(graph):
    changes = {
        "logits": {"kernel_regularizer": None},
        "i3a_reduce5": {"kernel_regularizer": None},
        "conv1": {"kernel_regularizer": keras.regularizers.L2(2e-4)},
        "conv2": {"bias_regularizer": keras.regularizers.L2(5e-4)},
        "i3b_project": {"kernel_initializer": "he_normal"},
        "i3b_project_bn": {"epsilon": 1e-5},
        "i3b_conv1_bn": {"momentum": 0.9},
        "pool2": {"pool_size": (2, 2)},
        "dropout": {"rate": 0.5},
    }

    def clone(layer):
        return type(layer).from_config(layer.get_config() | changes.get(layer.name, {}))

    wrong = keras.models.clone_model(built(DEEPER, deep=False), clone_function=clone)
    assert wrong.count_params() == 773_752
    assert faults(graph(wrong), wanted_deeper(deep=False)) == set(changes)


@pytest.mark.parametrize("builder", [MINI, DEEPER])
@pytest.mark.parametrize(
    "wrong, says",
    [
        ({"order": "bn-rel"}, "no order 'bn-rel'; did you mean bn-relu or relu-bn?"),
        ({"order": None}, "no order 'None'; did you mean"),
        ({"activation": "ReLU "}, "no activation 'ReLU '; did you mean relu or elu?"),
        ({"activation": "gelu"}, "no activation 'gelu'; did you mean"),
    ],
)
def test_another_order_or_activation_names_those_there_are(builder, wrong, says):
    with pytest.raises(CourseError) as caught:
        builder(**wrong)
    assert str(caught.value).startswith(says) and "\n" not in str(caught.value)


def test_blocks_of_the_readers_own_take_the_place_of_the_modules():
    seen = []

    def mine(x, a, b, *, conv, name):
        seen.append((name, a, b))
        return conv(x, a + b, 3, name=f"{name}_only")

    def mine6(x, a, b3_reduce, b3, b5_reduce, b5, pool, *, conv, name):
        seen.append((name, a, b3_reduce, b3, b5_reduce, b5, pool))
        return conv(x, a, 1, name=f"{name}_only")

    model = MINI(block=mine, activation="elu", l2=1e-3)
    assert seen == [(n, a, b) for n, _, a, *rest in MINI_MODULES for b in rest]
    assert model.get_layer("i2a_only").kernel.shape == (3, 3, 160, 160)
    assert model.get_layer("i2a_only").kernel_regularizer.l2 == pytest.approx(1e-3)
    assert type(model.get_layer("i2a_only_elu")).__name__ == "ELU"
    seen.clear()
    assert DEEPER(block=mine6).get_layer("pool4").output.shape[1:] == (4, 4, 256)
    assert seen == [(name, *filters) for name, _, *filters in INCEPTIONS]


def test_no_width_is_too_small_and_halves_are_rounded():
    model = DEEPER(deep=False, width=0.001)
    assert {w.filters for w in model.layers if isinstance(w, layers.Conv2D)} == {1}
    assert parts.scaled(96, 0.14) == 13 and parts.scaled(96, 0.141) == 14


def test_without_dropout_the_dense_layer_reads_the_pooled_channels(graph):
    assert graph(MINI(dropout=0, width=0.1))["logits"].inputs == ["gap"]


def test_weight_decay_is_the_sum_over_all_kernels():
    model = built(DEEPER, deep=False)
    kernels = [layer.kernel for layer in model.layers if hasattr(layer, "kernel")]
    expected = 5e-4 * sum((kernel.numpy().astype(float) ** 2).sum() for kernel in kernels)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-4)
    assert built(MINI).losses == []


def test_two_of_the_five_patterns_that_the_source_reads_are_false():
    """S5's patterns: 1x1 at most as many as either reduction; reductions below what follows them;
    3x3 above 5x5; pool projection below 1x1; counts that never fall with depth."""
    table = np.array(list(googlenet.INCEPTIONS.values()))
    one, reduce3, three, reduce5, five, pool = table.T
    assert not ((one <= reduce3) & (one <= reduce5)).any(), "false in every module"
    assert (reduce3 < three).all() and (reduce5 < five).all() and (three > five).all()
    assert (pool < one).all(), "equality nowhere"
    falls = (np.diff(table, axis=0) < 0).any(axis=0)
    branches = [falls[:1].any(), falls[1:3].any(), falls[3:5].any(), falls[5:].any()]
    assert branches == [True, True, True, False], "counts fall with depth in three branches"


@pytest.mark.parametrize("builder", [MINI, DEEPER])
def test_output_is_a_probability_per_class_in_float32(builder):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = builder(width=0.1, classes=12, input_shape=[32, 32, 3])
    finally:
        keras.config.set_dtype_policy(policy)
    out = model(np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype("float32"))
    assert keras.backend.standardize_dtype(out.dtype) == "float32"
    out = keras.ops.convert_to_numpy(out)
    assert out.shape == (4, 12) and (out >= 0).all()
    np.testing.assert_allclose(out.sum(1), 1, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "builder, arguments",
    [(MINI, {"order": "relu-bn"}), (DEEPER, {"activation": "elu", "l2": 0.0, "deep": False})],
)
def test_one_step_of_training_moves_every_kernel(builder, arguments):
    model = builder(width=0.25, dropout=0, classes=10, input_shape=(32, 32, 3), **arguments)
    kernels = [layer for layer in model.layers if hasattr(layer, "kernel")]
    before = [layer.kernel.numpy().copy() for layer in kernels]
    model.compile("sgd", "sparse_categorical_crossentropy")
    images = np.random.default_rng(0).normal(size=(8, 32, 32, 3)).astype("float32")
    model.fit(images, np.arange(8), verbose=0)
    after = [layer.kernel.numpy() for layer in kernels]
    pairs = zip(kernels, before, after, strict=True)
    assert [layer.name for layer, old, new in pairs if (old == new).all()] == []
