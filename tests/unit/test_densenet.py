"""The layer graph of DenseNet against the source (S3), tensor by tensor."""

from functools import cache

import numpy as np
import pytest

from course_lib.backend import keras, layers
from course_lib.measure import counting
from course_lib.models import densenet

CONV = {
    "strides": [1, 1],
    "padding": "same",
    "activation": "linear",
    "groups": 1,
    "dilation_rate": [1, 1],
    "kernel_initializer": "GlorotUniform",
    "kernel_regularizer": None,
    "bias_regularizer": None,
}
BN = {"momentum": 0.99, "center": True, "scale": True, "axis": -1}
DENSE = {"use_bias": True, "activation": "linear", "kernel_initializer": "GlorotUniform"}
DENSE |= {"kernel_regularizer": None, "bias_regularizer": None}


class Wanted(dict):
    """name -> (class, what it reads in order, output shape, settings), written layer by layer."""

    def conv(self, name, source, filters, kernel, bias=False):
        own = {"filters": filters, "kernel_size": [kernel] * 2, "use_bias": bias}
        self[name] = ("Conv2D", [source], (*self[source][2][:2], filters), CONV | own)
        return name

    def bn(self, name, source, epsilon=1.001e-5):
        settings = BN | {"epsilon": pytest.approx(epsilon)}
        self[name] = ("BatchNormalization", [source], self[source][2], settings)
        return name

    def relu(self, name, source):
        self[name] = ("ReLU", [source], self[source][2], {"negative_slope": 0.0})
        return name

    def bn_relu_conv(self, name, source, filters, kernel):
        x = self.relu(f"{name}_relu", self.bn(f"{name}_bn", source))
        return self.conv(name, x, filters, kernel)


def wanted(depths=(4, 8, 16), growth=32, stem=16, size=32, classes=10):
    """conv-ReLU-BN; blocks of dense layers, each block followed by a transition; BN-ReLU, GAP."""
    net = Wanted(images=("InputLayer", [], (size, size, 3), {}))
    x = net.relu("conv1_relu", net.conv("conv1", "images", stem, 3, bias=True))
    x, channels = net.bn("conv1_bn", x, epsilon=1e-3), stem
    for block, depth in enumerate(depths, start=1):
        for layer in range(1, depth + 1):
            name = f"block{block}layer{layer}"
            new = net.bn_relu_conv(f"{name}_conv1", x, 2 * growth, 1)
            new = net.bn_relu_conv(f"{name}_conv2", new, growth, 3)
            channels += growth
            net[f"{name}_join"] = ("Concatenate", [x, new], (size, size, channels), {"axis": -1})
            x = f"{name}_join"
        channels, size = channels // 2, size // 2
        x = net.bn_relu_conv(f"transition{block}_conv", x, channels, 1)
        pool = {"pool_size": [2, 2], "strides": [2, 2], "padding": "valid"}
        net[f"transition{block}_pool"] = ("AveragePooling2D", [x], (size, size, channels), pool)
        x = f"transition{block}_pool"
    x = net.relu("final_relu", net.bn("final_bn", x))
    net["gap"] = ("GlobalAveragePooling2D", [x], (channels,), {"keepdims": False})
    net["logits"] = ("Dense", ["gap"], (classes,), DENSE | {"units": classes})
    net["classes"] = ("Softmax", ["logits"], (classes,), {})
    return net


def plain(value):
    """An initialiser or regulariser as its class, all else as it is."""
    return value["class_name"] if isinstance(value, dict) else value


def faults(nodes, net) -> set[str]:
    """The layers that are not as wanted, missing or too many."""
    return set(nodes.keys() ^ net.keys()) | {
        name
        for name, (*place, settings) in net.items()
        if name in nodes
        and (
            [nodes[name].kind, nodes[name].inputs, nodes[name].shape] != place
            or any(plain(nodes[name].config[key]) != value for key, value in settings.items())
        )
    }


SMALL = {"blocks": [2, 4, 8], "growth": 12}


@cache
def default():
    return densenet.densenet()


@cache
def small():
    return densenet.densenet(**SMALL)


def test_layers_joins_shapes_and_settings(graph):
    assert faults(graph(default()), wanted()) == set()


@pytest.mark.parametrize(
    "arguments, net",
    [
        (SMALL, {"depths": (2, 4, 8), "growth": 12}),
        ({"blocks": (1, 2), "growth": 5, "stem": 7}, {"depths": (1, 2), "growth": 5, "stem": 7}),
        (
            {"blocks": [1, 1, 1, 1], "classes": 100, "input_shape": [64, 64, 3]},
            {"depths": (1, 1, 1, 1), "classes": 100, "size": 64},
        ),
    ],
)
def test_other_depths_growths_sizes_and_classes_follow_from_arguments(arguments, net, graph):
    model = small() if arguments is SMALL else densenet.densenet(**arguments)
    assert faults(graph(model), wanted(**net)) == set()


def test_blocks_and_transitions_pass_on_what_the_source_says():
    """16 + 4 x 32 = 144, half 72; 72 + 8 x 32 = 328, half 164; 164 + 16 x 32 = 676, half 338."""
    shapes = {row.name: row.shape for row in counting.stages(default())}
    ends = ["conv1", "block1layer4", "transition1", "block2layer8", "transition2"]
    ends += ["block3layer16", "transition3", "gap"]
    assert [shapes[end] for end in ends] == [
        (32, 32, 16), (32, 32, 144), (16, 16, 72), (16, 16, 328), (8, 8, 164),
        (8, 8, 676), (4, 4, 338), (338,),
    ]  # fmt: skip


def test_a_layer_sees_all_before_it_in_its_block_and_nothing_across_blocks(graph):
    """S3's claims: the L-th layer reads k(L-1) + k0 channels; no links across blocks."""
    nodes = graph(default())
    for block, (depth, k0) in enumerate([(4, 16), (8, 72), (16, 164)], start=1):
        for layer in range(1, depth + 1):
            read = nodes[f"block{block}layer{layer}_conv1_bn"].shape[-1]
            assert read == 32 * (layer - 1) + k0
    for name, node in nodes.items():
        for source in node.inputs:
            if name.startswith("block") and source.startswith("block"):
                assert name.split("layer")[0] == source.split("layer")[0], "across blocks"


@pytest.mark.parametrize(
    "arguments, counts",
    [
        ({}, (1_382_814, 1_359_842, 238_948_148)),
        (SMALL, (74_090, 71_172, 14_633_738)),
    ],
)
def test_parameters_and_macs(arguments, counts):
    model = small() if arguments else default()
    found = counting.parameters(model)
    assert (found.total, found.trainable, counting.macs(model)) == counts


# Wrong networks: most have the right number of parameters and one thing in the wrong place.


def swapped(x, growth, *, conv, name):
    new = conv(conv(x, 2 * growth, 1, name=f"{name}_conv1"), growth, 3, name=f"{name}_conv2")
    return layers.Concatenate(name=f"{name}_join")([new, x])


def wide_bottleneck(x, growth, *, conv, name):
    """The paper's: four times the growth."""
    new = conv(conv(x, 4 * growth, 1, name=f"{name}_conv1"), growth, 3, name=f"{name}_conv2")
    return layers.Concatenate(name=f"{name}_join")([x, new])


def three_first(x, growth, *, conv, name):
    new = conv(conv(x, 2 * growth, 3, name=f"{name}_conv1"), growth, 1, name=f"{name}_conv2")
    return layers.Concatenate(name=f"{name}_join")([x, new])


@pytest.mark.parametrize(
    "block, same_count, seen",
    [
        (swapped, True, "block1layer1_join"),
        (wide_bottleneck, False, "block1layer1_conv1"),
        (three_first, False, "block2layer4_conv2"),
    ],
)
def test_a_wrong_layer_is_seen(block, same_count, seen, graph):
    model = densenet.densenet(block=block, **SMALL)
    assert (model.count_params() == 74_090) is same_count
    assert seen in faults(graph(model), wanted((2, 4, 8), 12))


def max_pooled(x, *, conv, name):
    x = conv(x, x.shape[-1] // 2, 1, name=f"{name}_conv")
    return layers.MaxPooling2D(2, name=f"{name}_pool")(x)


def pooled_first(x, *, conv, name):
    x = layers.AveragePooling2D(2, name=f"{name}_pool")(x)
    return conv(x, x.shape[-1] // 2, 1, name=f"{name}_conv")


def none_at_the_end(x, *, conv, name):
    return x if name == "transition3" else transition(x, conv=conv, name=name)


transition = densenet.transition


@pytest.mark.parametrize(
    "wrong, same_count, seen",
    [
        (max_pooled, True, {f"transition{b}_pool" for b in (1, 2, 3)}),
        (pooled_first, True, {"transition1_pool", "transition1_conv", "block2layer1_join"}),
        (none_at_the_end, False, {"transition3_pool", "transition3_conv", "final_bn"}),
    ],
)
def test_a_wrong_transition_is_seen(monkeypatch, wrong, same_count, seen, graph):
    monkeypatch.setattr(densenet, "transition", wrong)
    model = densenet.densenet(**SMALL)
    assert (model.count_params() == 74_090) is same_count
    assert seen <= faults(graph(model), wanted((2, 4, 8), 12))


def relu_bn_conv(x, filters, kernel, *, name):
    x = layers.ReLU(name=f"{name}_relu")(x)
    x = layers.BatchNormalization(epsilon=1.001e-5, name=f"{name}_bn")(x)
    return layers.Conv2D(filters, kernel, padding="same", use_bias=False, name=name)(x)


def test_relu_before_batch_normalisation_is_seen(monkeypatch, graph):
    monkeypatch.setattr(densenet, "bn_relu_conv", relu_bn_conv)
    model = densenet.densenet(**SMALL)
    assert model.count_params() == 74_090
    name = "block3layer8_conv2"
    assert {name, f"{name}_bn", f"{name}_relu"} <= faults(graph(model), wanted((2, 4, 8), 12))


def test_wrong_settings_are_seen(graph):
    changes = {
        "logits": {"kernel_regularizer": keras.regularizers.L2(1e-4)},
        "block1layer1_conv1": {"kernel_initializer": "he_normal"},
        "block1layer2_conv1": {"kernel_regularizer": keras.regularizers.L2(1e-4)},
        "block2layer3_conv2": {"use_bias": True},
        "transition3_conv": {"use_bias": True},
        "conv1": {"use_bias": False},
        "conv1_bn": {"epsilon": 1.001e-5},
        "block3layer8_conv2_bn": {"epsilon": 1e-3},
        "final_bn": {"momentum": 0.9},
    }

    def clone(layer):
        return type(layer).from_config(layer.get_config() | changes.get(layer.name, {}))

    wrong = keras.models.clone_model(small(), clone_function=clone)
    assert faults(graph(wrong), wanted((2, 4, 8), 12)) == set(changes)


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
    assert model.get_layer("block1layer1_conv1_bn").epsilon == pytest.approx(1.001e-5)


def test_output_is_a_probability_per_class_in_float32():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = densenet.densenet(blocks=(1, 1), growth=4)
    finally:
        keras.config.set_dtype_policy(policy)
    out = model(np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype("float32"))
    assert keras.backend.standardize_dtype(out.dtype) == "float32"
    out = keras.ops.convert_to_numpy(out)
    assert out.shape == (4, 10) and (out >= 0).all()
    np.testing.assert_allclose(out.sum(1), 1, rtol=1e-5)


@pytest.mark.slow
def test_one_step_of_training_moves_every_kernel():
    model = densenet.densenet(blocks=(1, 2), growth=4, input_shape=(16, 16, 3))
    kernels = [layer for layer in model.layers if hasattr(layer, "kernel")]
    before = [layer.kernel.numpy().copy() for layer in kernels]
    model.compile("sgd", "sparse_categorical_crossentropy")
    images = np.random.default_rng(0).normal(size=(8, 16, 16, 3)).astype("float32")
    model.fit(images, np.arange(8), verbose=0)
    after = [layer.kernel.numpy() for layer in kernels]
    pairs = zip(kernels, before, after, strict=True)
    assert [layer.name for layer, old, new in pairs if (old == new).all()] == []
