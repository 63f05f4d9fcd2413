"""The layer graph of DenseNet against the source (S3)."""

import pytest

from course_lib.backend import layers
from course_lib.measure import counting
from course_lib.models import densenet
from tests.unit.layer_graphs import Wanted, faults


def wanted(blocks=(4, 8, 16), growth=32, stem=16, size=32, classes=10):
    """conv-ReLU-BN; blocks of dense layers, each block followed by a transition; BN-ReLU, GAP."""
    net = Wanted(size, conv={"use_bias": False}, bn={"epsilon": 1.001e-5})

    def bn_relu_conv(name, source, filters, kernel):
        return net.conv(name, net.bn_relu(name, source), filters, kernel)

    x = net.active("conv1", net.conv("conv1", "images", stem, 3, use_bias=True))
    x = net.bn("conv1", x, epsilon=1e-3)
    for block, depth in enumerate(blocks, start=1):
        for layer in range(1, depth + 1):
            name = f"block{block}layer{layer}"
            new = bn_relu_conv(f"{name}_conv1", x, 2 * growth, 1)
            new = bn_relu_conv(f"{name}_conv2", new, growth, 3)
            x = net.join(f"{name}_join", [x, new])
        x = bn_relu_conv(f"transition{block}_conv", x, int(net.channels(x) / 2), 1)
        x = net.pool(f"transition{block}_pool", x, 2, "valid", 2, "AveragePooling2D")
    return net.head(net.bn_relu("final", x), classes)


@pytest.fixture(scope="module")
def model():
    return densenet.densenet()


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"blocks": (2, 4, 8), "growth": 12},
        {"blocks": (1, 2), "growth": 5, "stem": 8},  # 13 channels: half of them, rounded down
        {"blocks": (1, 1, 1, 1), "classes": 100, "size": 64},
    ],
    ids=str,
)
def test_layers_joins_shapes_and_settings(arguments, graph, model):
    net = wanted(**arguments)
    if size := arguments.pop("size", None):
        arguments["input_shape"] = (size, size, 3)
    built = densenet.densenet(**arguments) if arguments else model
    assert faults(graph(built), net) == set()


def test_blocks_and_transitions_pass_on_what_the_source_says(model):
    """16 + 4 x 32 = 144, half 72; 72 + 8 x 32 = 328, half 164; 164 + 16 x 32 = 676, half 338."""
    shapes = {row.name: row.shape for row in counting.stages(model)}
    ends = ["conv1", "block1layer4", "transition1", "block2layer8", "transition2"]
    ends += ["block3layer16", "transition3", "gap"]
    assert [shapes[end] for end in ends] == [
        (32, 32, 16), (32, 32, 144), (16, 16, 72), (16, 16, 328), (8, 8, 164),
        (8, 8, 676), (4, 4, 338), (338,),
    ]  # fmt: skip


def test_a_block_of_the_readers_own_takes_the_place_of_the_dense_layer():
    seen = []

    def added(x, growth, *, conv, name):
        """Addition in place of concatenation, as in a residual network."""
        seen.append((growth, name))
        new = conv(x, 2 * growth, 1, name=f"{name}_conv1")
        return layers.Add(name=f"{name}_add")([x, conv(new, x.shape[-1], 3, name=f"{name}_conv2")])

    model = densenet.densenet(block=added, blocks=[1, 2], growth=8)
    assert seen == [(8, "block1layer1"), (8, "block2layer1"), (8, "block2layer2")]
    assert model.get_layer("block2layer2_add").output.shape[1:] == (16, 16, 8)
