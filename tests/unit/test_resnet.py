"""The layer graph of both ResNets against the source (S4), tensor by tensor."""

from functools import cache

import numpy as np
import pytest

from course_lib.backend import keras, layers
from course_lib.measure import counting
from course_lib.models import resnet
from course_lib.settings import CourseError

V1, V2 = resnet.resnet_v1, resnet.resnet_v2

CONV = {
    "padding": "same",
    "use_bias": True,
    "activation": "linear",
    "groups": 1,
    "dilation_rate": [1, 1],
    "kernel_initializer": "HeNormal",
    "bias_initializer": "Zeros",
    "kernel_regularizer": 1e-4,
    "bias_regularizer": None,
    "activity_regularizer": None,
}
BN = {"momentum": 0.99, "epsilon": 1e-3, "center": True, "scale": True, "axis": -1}
BN |= {"gamma_regularizer": None, "beta_regularizer": None}
DENSE = {
    "use_bias": True,
    "activation": "linear",
    "kernel_initializer": "HeNormal",
    "bias_initializer": "Zeros",
    "kernel_regularizer": None,
    "bias_regularizer": None,
}


class Wanted(dict):
    """name -> (class, what it reads in order, output shape, settings), written layer by layer."""

    def conv(self, name, source, filters, kernel, size, stride=1):
        own = {"filters": filters, "kernel_size": [kernel] * 2, "strides": [stride] * 2}
        self[name] = ("Conv2D", [source], (size, size, filters), CONV | own)
        return name

    def bn(self, name, source):
        self[name] = ("BatchNormalization", [source], self[source][2], BN)
        return name

    def relu(self, name, source):
        self[name] = ("ReLU", [source], self[source][2], {"negative_slope": 0.0})
        return name

    def bn_relu(self, name, source):
        return self.relu(f"{name}_relu", self.bn(f"{name}_bn", source))

    def add(self, name, first, second):
        assert self[first][2] == self[second][2]
        self[name] = ("Add", [first, second], self[first][2], {})
        return name

    def head(self, source, classes):
        channels = self[source][2][-1]
        self["gap"] = ("GlobalAveragePooling2D", [source], (channels,), {"keepdims": False})
        self["logits"] = ("Dense", ["gap"], (classes,), DENSE | {"units": classes})
        self["classes"] = ("Softmax", ["logits"], (classes,), {})
        return self


def wanted_v1(n, residual=True, width=16, size=32, classes=10):
    """conv-BN-ReLU; per stage n blocks; a projection where a stage begins, but for the first."""
    net = Wanted(images=("InputLayer", [], (size, size, 3), {}))
    x = net.bn_relu("conv1", net.conv("conv1", "images", width, 3, size))
    for stage, filters in ((1, width), (2, 2 * width), (3, 4 * width)):
        for block in range(1, n + 1):
            name, first = f"stage{stage}block{block}", stage > 1 and block == 1
            stride = 2 if first else 1
            size //= stride
            y = net.conv(f"{name}_conv1", x, filters, 3, size, stride)
            y = net.conv(f"{name}_conv2", net.bn_relu(f"{name}_conv1", y), filters, 3, size)
            y = net.bn(f"{name}_conv2_bn", y)
            if residual and first:
                x = net.conv(f"{name}_projection", x, filters, 1, size, stride)
            if residual:
                y = net.add(f"{name}_add", x, y)
            x = net.relu(f"{name}_relu", y)
    return net.head(x, classes)


def wanted_v2(n, residual=True, width=16, size=32, classes=10):
    """conv-BN-ReLU; per stage n bottlenecks, the first with a projection; BN-ReLU at the end."""
    net = Wanted(images=("InputLayer", [], (size, size, 3), {}))
    x = net.bn_relu("conv1", net.conv("conv1", "images", width, 3, size))
    for stage, inner, outer in ((1, 1, 4), (2, 4, 8), (3, 8, 16)):
        inner, outer = inner * width, outer * width  # inside 16, 64, 128, outside 64, 128, 256
        for block in range(1, n + 1):
            name, stride = f"stage{stage}block{block}", 2 if stage > 1 and block == 1 else 1
            size //= stride
            before = x if (stage, block) == (1, 1) else net.bn_relu(f"{name}_conv1", x)
            y = net.conv(f"{name}_conv1", before, inner, 1, size, stride)
            y = net.conv(f"{name}_conv2", net.bn_relu(f"{name}_conv2", y), inner, 3, size)
            y = net.conv(f"{name}_conv3", net.bn_relu(f"{name}_conv3", y), outer, 1, size)
            if residual and block == 1:
                x = net.conv(f"{name}_projection", x, outer, 1, size, stride)
            x = net.add(f"{name}_add", x, y) if residual else y
    return net.head(net.bn_relu("final", x), classes)


def plain(value):
    """An initialiser as its class, L2 as its strength, all else as it is."""
    if not isinstance(value, dict):
        return value
    return pytest.approx(value["config"]["l2"]) if "L2" in value.values() else value["class_name"]


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


@pytest.mark.parametrize("arguments", [{}, {"residual": False}, {"width": 8}])
@pytest.mark.parametrize("builder, wanted, n", [(V1, wanted_v1, 3), (V2, wanted_v2, 2)])
def test_layers_strides_joins_shapes_and_settings(builder, wanted, n, arguments, graph):
    model = built(builder, depth=20, **arguments)
    assert faults(graph(model), wanted(n, **arguments)) == set()


def test_stages_pass_on_what_the_source_says():
    """Literally from S4: 16, 32, 64 filters, and 64, 128, 256; the map is halved twice."""
    for builder, n, channels in ((V1, 3, (16, 32, 64)), (V2, 2, (64, 128, 256))):
        stages = counting.stages(built(builder, depth=20))
        shapes = [row.shape for row in stages if row.name.endswith(f"block{n}")]
        assert shapes == [(32, 32, channels[0]), (16, 16, channels[1]), (8, 8, channels[2])]


# depth -> (total, trainable, multiply-accumulates); the totals and MMAC of S4.
COUNTS_V1 = {
    20: (274_442, 273_066, 40_813_184),
    32: (470_218, 467_946, 69_124_736),
    44: (665_994, 662_826, 97_436_288),
    56: (861_770, 857_706, 125_747_840),
    110: (1_742_762, 1_734_666, 253_149_824),
    164: (2_623_754, 2_611_626, 380_551_808),
}
COUNTS_V2 = {
    20: (574_090, 570_602, 66_243_072),
    56: (1_673_738, 1_663_338, 193_120_768),
    110: (3_323_210, 3_302_442, 383_437_312),
    164: (4_972_682, 4_941_546, 573_753_856),
    1001: (30_539_498, 30_347_658, 3_523_660_288),
}
PLAIN = {20: (271_786, 270_410, 40_551_040), 56: (859_114, 855_050, 125_485_696)}
NARROW = {20: (69_770, 69_082, 10_314_048), 56: (218_282, 216_250, 31_547_712)}
NARROW_PLAIN = {20: (69_082, 68_394, 10_248_512), 56: (217_594, 215_562, 31_482_176)}


def rows():
    for builder, arguments, table in (
        (V1, {}, COUNTS_V1),
        (V2, {}, COUNTS_V2),
        (V1, {"residual": False}, PLAIN),
        (V1, {"width": 8}, NARROW),
        (V1, {"residual": False, "width": 8}, NARROW_PLAIN),
    ):
        for depth, counts in table.items():
            marks = [pytest.mark.slow] if depth > 32 else []
            yield pytest.param(builder, arguments | {"depth": depth}, counts, marks=marks)


@pytest.mark.parametrize("builder, arguments, counts", list(rows()))
def test_parameters_and_macs(builder, arguments, counts):
    small = arguments["depth"] == 20
    model = built(builder, **arguments) if small else builder(**arguments)
    found = counting.parameters(model)
    assert (found.total, found.trainable, counting.macs(model)) == counts


@pytest.mark.parametrize("table, step", [(COUNTS_V1, 6), (COUNTS_V2, 9)])
def test_each_further_block_costs_the_same(table, step):
    """So that the row of 1001 layers, which S4 leaves open, follows from the others."""
    (d0, first), *others = table.items()
    d1, second = others[0]
    for depth, counts in others:
        share = (depth - d0) / (d1 - d0)
        assert (depth - 2) % step == 0
        assert counts == pytest.approx(
            [a + share * (b - a) for a, b in zip(first, second, strict=True)], abs=1e-3
        )


# Wrong networks: most have the right number of parameters and one thing in the wrong place.


def stride_in_the_second(x, filters, *, conv, name, strides, shortcut):
    y = resnet.bn_relu(conv(x, filters, 3, name=f"{name}_conv1"), name=f"{name}_conv1")
    y = conv(y, filters, 3, strides=strides, name=f"{name}_conv2")
    y = layers.BatchNormalization(name=f"{name}_conv2_bn")(y)
    y = resnet.joined(x, y, conv=conv, name=name, strides=strides, shortcut=shortcut)
    return layers.ReLU(name=f"{name}_relu")(y)


def late_stride(x, filters, *, name, strides, **more):
    """The stride moves to the second block of a stage (as a plain network)."""
    strides = 2 if name in ("stage2block2", "stage3block2") else 1
    return resnet.basic(x, filters, name=name, strides=strides, **more)


def relu_before_adding(x, filters, *, conv, name, strides, shortcut):
    y = resnet.bn_relu(
        conv(x, filters, 3, strides=strides, name=f"{name}_conv1"), name=f"{name}_conv1"
    )
    y = conv(y, filters, 3, name=f"{name}_conv2")
    y = layers.BatchNormalization(name=f"{name}_conv2_bn")(y)
    y = layers.ReLU(name=f"{name}_relu")(y)
    return resnet.joined(x, y, conv=conv, name=name, strides=strides, shortcut=shortcut)


def stride_in_the_3x3(x, inner, outer, *, conv, name, strides, shortcut, activate):
    """Where torchvision has it, in the middle of the bottleneck."""
    y = resnet.bn_relu(x, name=f"{name}_conv1") if activate else x
    y = resnet.bn_relu(conv(y, inner, 1, name=f"{name}_conv1"), name=f"{name}_conv2")
    y = conv(y, inner, 3, strides=strides, name=f"{name}_conv2")
    y = conv(resnet.bn_relu(y, name=f"{name}_conv3"), outer, 1, name=f"{name}_conv3")
    return resnet.joined(x, y, conv=conv, name=name, strides=strides, shortcut=shortcut)


def projection_of_the_activated(x, inner, outer, *, conv, name, strides, shortcut, activate):
    """The shortcut reads what BN and ReLU made of x."""
    y = z = resnet.bn_relu(x, name=f"{name}_conv1") if activate else x
    y = conv(y, inner, 1, strides=strides, name=f"{name}_conv1")
    y = conv(resnet.bn_relu(y, name=f"{name}_conv2"), inner, 3, name=f"{name}_conv2")
    y = conv(resnet.bn_relu(y, name=f"{name}_conv3"), outer, 1, name=f"{name}_conv3")
    before = z if shortcut == "projection" else x
    return resnet.joined(before, y, conv=conv, name=name, strides=strides, shortcut=shortcut)


def always_activated(*arguments, activate, **more):
    return resnet.bottleneck(*arguments, activate=True, **more)


def quarter_inside(x, inner, outer, **more):
    """The natural reading of S4, and the paper's: 16, 32, 64 inside."""
    return resnet.bottleneck(x, outer // 4, outer, **more)


@pytest.mark.parametrize(
    "builder, arguments, same_count, seen",
    [
        (V1, {"block": stride_in_the_second}, True, {"stage2block1_conv1", "stage3block1_conv2"}),
        (V1, {"block": late_stride, "residual": False}, True, {"stage2block1_conv1"}),
        (V1, {"block": relu_before_adding}, True, {"stage1block1_add", "stage1block1_relu"}),
        (V2, {"block": stride_in_the_3x3}, True, {"stage2block1_conv1", "stage2block1_conv2"}),
        (V2, {"block": projection_of_the_activated}, True, {"stage2block1_projection"}),
        (V2, {"block": always_activated}, False, {"stage1block1_conv1_bn", "stage1block1_conv1"}),
        (V2, {"block": quarter_inside}, False, {"stage2block1_conv1", "stage3block2_conv2"}),
    ],
    ids=lambda value: value["block"].__name__ if isinstance(value, dict) else "",
)
def test_a_wrong_block_is_seen(builder, arguments, same_count, seen, graph):
    residual = arguments.get("residual", True)
    depth, wanted = (14, wanted_v1) if builder is V1 else (20, wanted_v2)
    model = builder(depth=depth, **arguments)
    right = built(builder, depth=depth, residual=residual)
    assert (model.count_params() == right.count_params()) is same_count
    assert seen <= faults(graph(model), wanted(2, residual))


def test_a_wrong_join_is_seen(monkeypatch, graph):
    def swapped(x, y, *, conv, name, strides=1, shortcut="identity"):
        if shortcut == "projection":
            x = conv(x, y.shape[-1], 1, strides=strides, name=f"{name}_projection")
        return layers.Add(name=f"{name}_add")([y, x])

    def normalised(x, y, *, conv, name, strides=1, shortcut="identity"):
        if shortcut == "projection":
            x = conv(x, y.shape[-1], 1, strides=strides, name=f"{name}_projection")
            x = layers.BatchNormalization(name=f"{name}_projection_bn")(x)
        return layers.Add(name=f"{name}_add")([x, y])

    monkeypatch.setattr(resnet, "joined", swapped)
    names = {f"stage{s}block{b}_add" for s in (1, 2, 3) for b in (1, 2)}
    assert faults(graph(V1(depth=14)), wanted_v1(2)) == names
    monkeypatch.setattr(resnet, "joined", normalised)
    wrong = {f"stage{s}block1_{what}" for s in (2, 3) for what in ("projection_bn", "add")}
    assert faults(graph(V1(depth=14)), wanted_v1(2)) == wrong


L2 = keras.regularizers.L2


@pytest.mark.parametrize(
    "changes",
    [
        {"logits": {"kernel_regularizer": L2(1e-4)}},
        {
            "logits": {"kernel_initializer": "glorot_uniform"},
            "conv1": {"kernel_regularizer": None},
            "conv1_bn": {"momentum": 0.9},
            "stage2block1_projection": {"kernel_initializer": "glorot_uniform"},
            "stage3block1_projection": {"kernel_regularizer": None},
            "stage1block1_conv2": {"kernel_regularizer": L2(2e-4)},
            "stage2block1_conv2": {"bias_regularizer": L2(1e-4)},
            "stage3block1_conv2_bn": {"epsilon": 1e-5},
        },
    ],
    ids=["dense", "all"],
)
def test_wrong_settings_are_seen(changes, graph):
    def clone(layer):
        return type(layer).from_config(layer.get_config() | changes.get(layer.name, {}))

    right = built(V1, depth=8)
    wrong = keras.models.clone_model(right, clone_function=clone)
    assert wrong.count_params() == right.count_params()
    assert faults(graph(right), wanted_v1(1)) == set()
    assert faults(graph(wrong), wanted_v1(1)) == set(changes)


@pytest.mark.parametrize(
    "builder, depth, fit",
    [
        (V1, 21, "6n + 2, which 21 is not; take 20 or 26"),
        (V1, 56.5, "whole number"),
        (V1, 1001, "take 998 or 1004"),
        (V1, 2, "take 8"),
        (V1, 7, "take 8"),
        (V1, -4, "whole number"),
        (V2, 21, "9n + 2, which 21 is not; take 20 or 29"),
        (V2, 1, "take 11"),
        (V2, "deep", "whole number"),
    ],
)
def test_another_depth_names_those_that_fit(builder, depth, fit):
    with pytest.raises(CourseError) as caught:
        builder(depth=depth)
    assert str(caught.value).endswith(fit) or fit in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_depths_that_an_error_names_do_fit():
    for builder, depths in ((V1, (8, 14)), (V2, (11, 20))):
        for depth in depths:
            assert builder(depth=depth, width=1).output_shape == (None, 10)


def test_a_block_of_the_readers_own_takes_the_place_of_either():
    seen = []

    def mine(x, filters, *, conv, name, strides, shortcut):
        seen.append((filters, name, strides, shortcut))
        return conv(x, filters + 1, 5, strides=strides, name=f"{name}_only")

    def mine2(x, inner, outer, *, conv, name, strides, shortcut, activate):
        seen.append((inner, outer, name, strides, shortcut, activate))
        return conv(x, outer, 3, strides=strides, name=f"{name}_only")

    model = V1(depth=14, block=mine, initializer="glorot_uniform", l2=0.0)
    assert seen == [
        (16, "stage1block1", 1, "identity"), (16, "stage1block2", 1, "identity"),
        (32, "stage2block1", 2, "projection"), (32, "stage2block2", 1, "identity"),
        (64, "stage3block1", 2, "projection"), (64, "stage3block2", 1, "identity"),
    ]  # fmt: skip
    only = model.get_layer("stage3block2_only")
    assert only.kernel.shape == (5, 5, 65, 65) and only.kernel_regularizer is None
    for layer in (only, model.get_layer("logits")):
        assert type(layer.kernel_initializer).__name__ == "GlorotUniform"

    seen.clear()
    V2(depth=11, block=mine2, residual=False)
    assert seen == [
        (16, 64, "stage1block1", 1, "none", False),
        (64, 128, "stage2block1", 2, "none", True),
        (128, 256, "stage3block1", 2, "none", True),
    ]


@pytest.mark.parametrize("builder", [V1, V2])
def test_weight_decay_is_the_sum_over_the_convolutions_kernels(builder):
    model = built(builder, depth=20)
    kernels = [layer.kernel for layer in model.layers if isinstance(layer, layers.Conv2D)]
    arrays = [kernel.numpy().astype(float) for kernel in kernels]
    expected = 1e-4 * sum((array**2).sum() for array in arrays)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("builder, wanted", [(V1, wanted_v1), (V2, wanted_v2)])
def test_other_sizes_and_numbers_of_classes_follow_from_arguments(builder, wanted, graph):
    model = builder(depth=8 if builder is V1 else 11, classes=200, input_shape=[64, 64, 3])
    assert faults(graph(model), wanted(1, size=64, classes=200)) == set()


@pytest.mark.parametrize("builder, depth", [(V1, 8), (V2, 11)])
def test_output_is_a_probability_per_class_in_float32(builder, depth):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = builder(depth=depth)
    finally:
        keras.config.set_dtype_policy(policy)
    out = model(np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype("float32"))
    assert keras.backend.standardize_dtype(out.dtype) == "float32"
    out = keras.ops.convert_to_numpy(out)
    assert out.shape == (4, 10) and (out >= 0).all()
    np.testing.assert_allclose(out.sum(1), 1, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("residual", [True, False], ids=["residual", "plain"])
@pytest.mark.parametrize("builder, depth", [(V1, 8), (V2, 11)])
def test_one_step_of_training_moves_every_kernel(builder, depth, residual):
    model = builder(depth=depth, residual=residual, width=4, l2=0.0, input_shape=(16, 16, 3))
    kernels = [layer for layer in model.layers if hasattr(layer, "kernel")]
    before = [layer.kernel.numpy().copy() for layer in kernels]
    model.compile("sgd", "sparse_categorical_crossentropy")
    images = np.random.default_rng(0).normal(size=(8, 16, 16, 3)).astype("float32")
    model.fit(images, np.arange(8), verbose=0)
    after = [layer.kernel.numpy() for layer in kernels]
    pairs = zip(kernels, before, after, strict=True)
    assert [layer.name for layer, old, new in pairs if (old == new).all()] == []
