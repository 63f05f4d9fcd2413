"""The layer graphs of both GoogLeNets against the source (S5)."""

import numpy as np
import pytest

from course_lib.backend import layers
from course_lib.measure import counting
from course_lib.models import googlenet
from course_lib.settings import CourseError
from tests.unit.layer_graphs import Wanted, faults

MINI, DEEPER = googlenet.minigooglenet, googlenet.deepergooglenet

# S5: filters of each module.
MINI_MODULES = {
    "i1a": (32, 32), "i1b": (32, 48), "down1": (80,), "i2a": (112, 48), "i2b": (96, 64),
    "i2c": (80, 80), "i2d": (48, 96), "down2": (96,), "i3a": (176, 160), "i3b": (176, 160),
}  # fmt: skip
INCEPTIONS = {
    "i3a": (64, 96, 128, 16, 32, 32), "i3b": (128, 128, 192, 32, 96, 64),
    "i4a": (192, 96, 208, 16, 48, 64), "i4b": (160, 112, 224, 24, 64, 64),
    "i4c": (128, 128, 256, 24, 64, 64), "i4d": (112, 144, 288, 32, 64, 64),
    "i4e": (256, 160, 320, 32, 128, 128),
}  # fmt: skip


def start(size, order, activation, l2):
    """The network, and its conv-BN-ReLU or conv-ReLU-BN."""
    decay = {"kernel_regularizer": l2 or None}
    net = Wanted(size, conv=decay, dense=decay)

    def conv(name, source, *options):
        x = net.conv(name, source, *options)
        for step in order.split("-"):
            x = net.bn(name, x) if step == "bn" else net.active(name, x, activation)
        return x

    return net, conv


def wanted_mini(width=1, order="bn-relu", activation="relu", l2=0.0):
    net, conv = start(32, order, activation, l2)
    x = conv("conv1", "images", int(96 * width), 3)
    for name, filters in MINI_MODULES.items():
        if "down" in name:
            branches = [conv(f"{name}_conv3", x, int(filters[0] * width), 3, 2, "valid")]
            branches.append(net.pool(f"{name}_pool", x, 2, "valid"))
        else:
            pairs = zip((1, 3), filters, strict=True)
            branches = [conv(f"{name}_conv{k}", x, int(f * width), k) for k, f in pairs]
        x = net.join(f"{name}_join", branches)
    return net.head(x, 10, 0.5)


def wanted_deeper(
    deep=True, width=1, order="bn-relu", activation="relu", l2=5e-4, classes=200, size=64
):
    net, conv = start(size, order, activation, l2)
    x = net.pool("pool1", conv("conv1", "images", int(64 * width), 5), 2)
    x = conv("conv2_reduce", x, int(64 * width), 1)
    x = net.pool("pool2", conv("conv2", x, int(192 * width), 3), 2)
    for name, filters in INCEPTIONS.items():
        if "4" in name and not deep:
            break
        a, b, c, d, e, f = (int(filter * width) for filter in filters)
        three = conv(f"{name}_reduce3", x, b, 1)
        five = conv(f"{name}_reduce5", x, d, 1)
        branches = [
            conv(f"{name}_conv1", x, a, 1),
            conv(f"{name}_expand3", three, c, 3),
            conv(f"{name}_expand5", five, e, 5),
            conv(f"{name}_project", net.pool(f"{name}_pool", x, 1), f, 1),
        ]
        x = net.join(f"{name}_join", branches)
        if name == "i3b":
            x = net.pool("pool3", x, 2)
    return net.head(net.pool("pool4", x, 2), classes, 0.4)


@pytest.mark.parametrize(
    "builder, wanted, arguments",
    [
        (MINI, wanted_mini, {}),
        (MINI, wanted_mini, {"width": 0.25, "order": "relu-bn", "activation": "elu", "l2": 5e-4}),
        (DEEPER, wanted_deeper, {}),
        (DEEPER, wanted_deeper, {"deep": False, "width": 0.25, "classes": 20}),
        (DEEPER, wanted_deeper, {"deep": False, "order": "relu-bn"}),
        (DEEPER, wanted_deeper, {"deep": False, "activation": "elu", "l2": 2e-4}),
        (DEEPER, wanted_deeper, {"deep": False, "size": 128, "classes": 7, "l2": 0}),
    ],
)
def test_layers_strides_joins_shapes_and_settings(builder, wanted, arguments, graph):
    net, arguments = wanted(**arguments), dict(arguments)
    if size := arguments.pop("size", None):
        arguments["input_shape"] = (size, size, 3)
    assert faults(graph(builder(**arguments)), net) == set()


def test_modules_pass_on_what_the_source_says():
    """What stands before global pooling is S5's 7x7x336 and, pooled by 4, one value a channel."""
    mini = {row.name: row.shape for row in counting.stages(MINI())}
    assert mini["i1b"] == (32, 32, 80) and mini["down1"] == (15, 15, 160)
    assert mini["i2d"] == (15, 15, 144) and mini["i3b"] == (7, 7, 336)
    deeper = {row.name: row.shape for row in counting.stages(DEEPER())}
    assert deeper["conv2"] == (32, 32, 192) and deeper["i3a"] == (16, 16, 256)
    assert deeper["i4a"] == (8, 8, 512) and deeper["pool4"] == (4, 4, 832)


@pytest.mark.parametrize("builder", [MINI, DEEPER])
@pytest.mark.parametrize(
    "wrong", [{"order": "bn-rel"}, {"order": None}, {"activation": "ReLU "}, {"activation": "gelu"}]
)
def test_another_order_or_activation_is_named(builder, wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(CourseError, match=f"no {name} '{value}'; did you mean"):
        builder(**wrong)


def test_blocks_of_the_readers_own_take_the_place_of_the_modules():
    seen = []

    def mine(x, *filters, conv, name):
        seen.append((name, filters))
        return conv(x, sum(filters[:2]), 3, name=f"{name}_only")

    model = MINI(block=mine, activation="elu", l2=1e-3)
    assert seen == [(n, filters) for n, filters in MINI_MODULES.items() if "down" not in n]
    assert model.get_layer("i2a_only").kernel.shape == (3, 3, 160, 160)
    assert model.get_layer("i2a_only").kernel_regularizer.l2 == pytest.approx(1e-3)
    assert type(model.get_layer("i2a_only_elu")).__name__ == "ELU"
    seen.clear()
    assert DEEPER(block=mine).get_layer("pool4").output.shape[1:] == (4, 4, 256 + 160)
    assert seen == list(INCEPTIONS.items())


def test_the_modules_of_the_controls_read_and_pass_on_what_their_names_say():
    kernels = {  # of i2a, which reads 160 channels
        "mixed": [(1, 1, 160, 112), (3, 3, 160, 48)],
        "3x3": [(3, 3, 160, 160)],
        "1x1": [(1, 1, 160, 160)],
        "reduced": [(1, 1, 160, 80), (3, 3, 80, 160)],
    }
    for module, wanted in kernels.items():
        model = googlenet.minigooglenet_with(module=module)
        found = [x.kernel.shape for x in model.layers
                 if isinstance(x, layers.Conv2D) and x.name.startswith("i2a_")]  # fmt: skip
        assert found == wanted
    flat = googlenet.minigooglenet_with(head="flatten").get_layer("logits")
    assert flat.kernel.shape == (7 * 7 * 336, 10)
    own = googlenet.minigooglenet_with(middle=[[1, 2], [3, 4], [5, 6], [7, 8]])
    assert own.get_layer("i2d_join").output.shape[-1] == 15
    for wrong in ({"module": "5x5"}, {"head": "dense"}):
        with pytest.raises(CourseError, match="did you mean"):
            googlenet.minigooglenet_with(**wrong)


def test_no_width_is_too_small_and_halves_are_rounded():
    model = DEEPER(deep=False, width=0.001)
    assert {w.filters for w in model.layers if isinstance(w, layers.Conv2D)} == {1}
    assert MINI(width=0.14).get_layer("conv1").filters == 13  # of 13.44


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
