"""The layer graph against the source, tensor by tensor: counts alone miss a stride or a join in
the wrong place."""

from functools import partial

import numpy as np
import pytest

from course_lib import experiments
from course_lib.models import squeezenet

# (name, squeeze, expand, height and width, channels after it), from S1.
FIRES = [
    ("fire2", 16, 64, 8),
    ("fire3", 16, 64, 8),
    ("fire4", 32, 128, 8),
    ("fire5", 32, 128, 4),
    ("fire6", 48, 192, 4),
    ("fire7", 48, 192, 4),
    ("fire8", 64, 256, 4),
    ("fire9", 64, 256, 2),
]
# The pools, and what each reads.
POOLS = {"pool1": "conv1_relu", "pool4": "fire4_join", "pool8": "fire8_join"}

# The baseline and what leaves its graph as it is, BN aside.
SOURCE = [f"squeezenet/{name}" for name in ("plain", "he", "l2", "he-l2", "bn", "glorot-bn")]


def wanted() -> dict:
    """name -> (class, what it reads in order, output shape, settings) of the network of S1."""
    layers, before = {}, "images"

    def conv(name, source, filters, kernel, size, stride=1):
        settings = {"filters": filters, "kernel_size": [kernel] * 2, "strides": [stride] * 2}
        settings |= {"padding": "same", "use_bias": True, "activation": "linear"}
        settings |= {"groups": 1, "dilation_rate": [1, 1]}
        layers[name] = ("Conv2D", [source], (size, size, filters), settings)
        layers[f"{name}_relu"] = ("ReLU", [name], (size, size, filters), {"negative_slope": 0.0})
        return f"{name}_relu"

    def pool(number, source, size, channels):
        settings = {"pool_size": [3, 3], "strides": [2, 2], "padding": "same"}
        layers[f"pool{number}"] = ("MaxPooling2D", [source], (size, size, channels), settings)
        return f"pool{number}"

    layers["images"] = ("InputLayer", [], (32, 32, 3), {})
    before = conv("conv1", before, 96, 3, 16, stride=2)
    before = pool(1, before, 8, 96)
    for name, squeeze, expand, size in FIRES:
        squeezed = conv(f"{name}_squeeze", before, squeeze, 1, size)
        branches = [conv(f"{name}_expand{k}", squeezed, expand, k, size) for k in (1, 3)]
        before = f"{name}_join"
        layers[before] = ("Concatenate", branches, (size, size, 2 * expand), {"axis": -1})
        if name in ("fire4", "fire8"):
            before = pool(int(name[-1]), before, size // 2, 2 * expand)
    before = conv("conv10", before, 10, 1, 2)
    layers["gap"] = ("GlobalAveragePooling2D", [before], (10,), {"keepdims": False})
    dense = {"units": 10, "use_bias": True, "activation": "linear"}
    layers["logits"] = ("Dense", ["gap"], (10,), dense)
    layers["classes"] = ("Softmax", ["logits"], (10,), {})
    return layers


def faults(nodes) -> list[str]:
    """The layers that are not as `wanted`; BN between a convolution and its ReLU aside."""
    through = {n: node.inputs[0] for n, node in nodes.items() if node.kind == "BatchNormalization"}
    found = {n: node for n, node in nodes.items() if n not in through}
    wrong = [n for n in {**found, **wanted()} if (n in found) != (n in wanted())]
    for name, (kind, inputs, shape, settings) in wanted().items():
        node = found.get(name)
        if node and (
            (node.kind, [through.get(s, s) for s in node.inputs], node.shape)
            != (kind, inputs, shape)
            or any(node.config[key] != value for key, value in settings.items())
        ):
            wrong.append(name)
    return wrong


@pytest.mark.parametrize("id", SOURCE)
def test_layers_strides_joins_and_shapes_are_those_of_the_source(id, built, graph):
    assert faults(graph(built(id))) == []


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
        (swapped_join, (1, 4, 8), ["fire2_join"]),
        (squeezenet.fire, (1, 3, 8), ["pool4"]),
        (squeezenet.fire, (1, 4, 7), ["pool8"]),
        (stride_in_squeeze, (1, 8), ["pool4", "fire4_squeeze"]),
    ],
)
def test_a_stride_or_join_in_the_wrong_place_is_seen(graph, block, pools, first):
    model = squeezenet.squeezenet(block=block, pools=[[number, 2] for number in pools])
    assert model.count_params() == 729_144, "the count of parameters does not see it"
    assert set(first) <= set(faults(graph(model)))


@pytest.mark.parametrize("id", SOURCE)
def test_initialisers_regularisers_and_biases(id, built, graph):
    arguments = experiments.get(id).arguments
    initialiser = {"glorot_uniform": "GlorotUniform", "he_normal": "HeNormal"}
    for node in graph(built(id)).values():
        if node.kind not in ("Conv2D", "Dense"):
            continue
        own = node.kind == "Conv2D"  # the dense layer has neither He nor L2
        expected = initialiser[arguments["initializer"]] if own else "GlorotUniform"
        assert node.config["kernel_initializer"]["class_name"] == expected
        assert node.config["bias_initializer"]["class_name"] == "Zeros"
        l2 = node.config["kernel_regularizer"]
        if own and arguments["l2"]:
            assert l2["class_name"] == "L2" and l2["config"]["l2"] == pytest.approx(1e-4)
        else:
            assert l2 is None
        assert node.config["bias_regularizer"] is None
        assert node.config.get("activity_regularizer") is None


@pytest.mark.parametrize("id", SOURCE)
def test_every_convolution_has_its_batch_normalisation_or_none_has(id, built, graph, kinds):
    nodes = graph(built(id))
    bn = {name: node for name, node in nodes.items() if node.kind == "BatchNormalization"}
    assert kinds(built(id))["Conv2D"] == 26 and kinds(built(id))["ReLU"] == 26
    if not experiments.get(id).arguments["bn"]:
        assert not bn
        return
    assert {node.inputs[0] for node in bn.values()} == {
        name for name, node in nodes.items() if node.kind == "Conv2D"
    }
    for name, node in bn.items():
        assert nodes[name.replace("_bn", "_relu")].inputs == [name]
        wanted = {"momentum": 0.9, "epsilon": 1e-5, "center": True, "scale": True, "axis": -1}
        assert {k: node.config[k] for k in wanted} == pytest.approx(wanted)


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
    assert seen == [(squeeze, expand, name) for name, squeeze, expand, _ in FIRES]
    kernel = model.get_layer("fire2_only")
    assert kernel.kernel.shape == (3, 3, 96, 32)
    assert type(kernel.kernel_initializer).__name__ == "HeNormal"
    assert model.get_layer("fire2_only_bn") and model.output_shape == (None, 10)
    assert model.get_layer("pool8").output.shape[1:] == (2, 2, 128)


def test_other_sizes_and_numbers_of_classes_follow_from_arguments():
    model = squeezenet.squeezenet(classes=200, input_shape=(64, 64, 3))
    assert model.output_shape == (None, 200)
    assert model.get_layer("conv10").output.shape[1:] == (4, 4, 200)
