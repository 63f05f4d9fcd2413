"""The layer graph of both ResNets against the source (S4)."""

import pytest

from course_lib.measure import counting
from course_lib.models import resnet
from course_lib.settings import CourseError
from tests.unit.layer_graphs import Wanted, faults

V1, V2 = resnet.resnet_v1, resnet.resnet_v2


def start(width, size):
    he = {"kernel_initializer": "HeNormal"}
    net = Wanted(size, conv=he | {"kernel_regularizer": 1e-4}, dense=he)
    return net, net.bn_relu("conv1", net.conv("conv1", "images", width, 3))


def wanted_v1(n, residual=True, width=16, size=32, classes=10):
    """conv-BN-ReLU; per stage n blocks; a projection where a stage begins, but for the first."""
    net, x = start(width, size)
    for stage, filters in ((1, width), (2, 2 * width), (3, 4 * width)):
        for block in range(1, n + 1):
            name, first = f"stage{stage}block{block}", stage > 1 and block == 1
            stride = 2 if first else 1
            y = net.conv(f"{name}_conv1", x, filters, 3, stride)
            y = net.conv(f"{name}_conv2", net.bn_relu(f"{name}_conv1", y), filters, 3)
            y = net.bn(f"{name}_conv2", y)
            if residual and first:
                x = net.conv(f"{name}_projection", x, filters, 1, stride)
            x = net.active(name, net.add(f"{name}_add", x, y) if residual else y)
    return net.head(x, classes)


def wanted_v2(n, residual=True, width=16, size=32, classes=10):
    """conv-BN-ReLU; per stage n bottlenecks, the first with a projection; BN-ReLU at the end."""
    net, x = start(width, size)
    for stage, inner, outer in ((1, 1, 4), (2, 4, 8), (3, 8, 16)):
        inner, outer = inner * width, outer * width  # inside 16, 64, 128, outside 64, 128, 256
        for block in range(1, n + 1):
            name, stride = f"stage{stage}block{block}", 2 if stage > 1 and block == 1 else 1
            before = x if (stage, block) == (1, 1) else net.bn_relu(f"{name}_conv1", x)
            y = net.conv(f"{name}_conv1", before, inner, 1, stride)
            y = net.conv(f"{name}_conv2", net.bn_relu(f"{name}_conv2", y), inner, 3)
            y = net.conv(f"{name}_conv3", net.bn_relu(f"{name}_conv3", y), outer, 1)
            if residual and block == 1:
                x = net.conv(f"{name}_projection", x, outer, 1, stride)
            x = net.add(f"{name}_add", x, y) if residual else y
    return net.head(net.bn_relu("final", x), classes)


@pytest.mark.parametrize(
    "arguments", [{}, {"residual": False}, {"width": 8}, {"size": 64, "classes": 200}], ids=str
)
@pytest.mark.parametrize("builder, wanted, step", [(V1, wanted_v1, 6), (V2, wanted_v2, 9)])
def test_layers_strides_joins_shapes_and_settings(builder, wanted, step, arguments, graph):
    net, arguments = wanted(2, **arguments), dict(arguments)
    if size := arguments.pop("size", None):
        arguments["input_shape"] = (size, size, 3)
    assert faults(graph(builder(depth=2 * step + 2, **arguments)), net) == set()


def test_stages_pass_on_what_the_source_says():
    """Literally from S4: 16, 32, 64 filters, and 64, 128, 256; the map is halved twice."""
    for builder, depth, channels in ((V1, 8, (16, 32, 64)), (V2, 11, (64, 128, 256))):
        stages = {row.name: row.shape for row in counting.stages(builder(depth=depth))}
        shapes = [stages[f"stage{k}block1"] for k in (1, 2, 3)]
        assert shapes == [(32, 32, channels[0]), (16, 16, channels[1]), (8, 8, channels[2])]


@pytest.mark.parametrize(
    "builder, depth, fit",
    [
        (V1, 21, "20 or 26"),
        (V1, 56.5, "whole number"),
        (V1, 2, "take 8"),
        (V1, -4, "whole number"),
        (V2, 21, "20 or 29"),
        (V2, 1, "take 11"),
        (V2, "deep", "whole number"),
    ],
)
def test_another_depth_names_those_that_fit(builder, depth, fit):
    with pytest.raises(CourseError, match=fit):
        builder(depth=depth)


def test_blocks_of_the_readers_own_are_told_place_stride_and_shortcut():
    seen = []

    def mine(x, filters, *, conv, name, strides, shortcut):
        seen.append((filters, name, strides, shortcut))
        return conv(x, filters + 1, 5, strides=strides, name=f"{name}_only")

    def mine2(x, inner, outer, *, conv, name, strides, shortcut, activate):
        seen.append((inner, outer, name, strides, shortcut, activate))
        return conv(x, outer, 1, strides=strides, name=f"{name}_only")

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
