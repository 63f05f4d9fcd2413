import numpy as np
import pytest

from course_lib.backend import keras, layers
from course_lib.measure import counting


def model_of(*chain, shape=(8, 8, 3)):
    x = inputs = keras.Input(shape, name="images")
    for layer in chain:
        x = layer(x)
    return keras.Model(inputs, x)


# Each count by hand: output positions x (kernel x input channels) x filters.
@pytest.mark.parametrize(
    "layer, macs",
    [
        (lambda: layers.Conv2D(5, 3, padding="same"), 8 * 8 * 9 * 3 * 5),
        (lambda: layers.Conv2D(5, 3, padding="valid"), 6 * 6 * 9 * 3 * 5),
        (lambda: layers.Conv2D(5, 3, strides=2, padding="same"), 4 * 4 * 9 * 3 * 5),
        (lambda: layers.Conv2D(5, 1, use_bias=False), 8 * 8 * 3 * 5),
        (lambda: layers.Conv2D(6, 3, padding="same", groups=3), 8 * 8 * 9 * 1 * 6),
        (lambda: layers.Dense(7), 8 * 8 * 3 * 7),
        (lambda: layers.DepthwiseConv2D(3, padding="same"), 8 * 8 * 9 * 3),
        (lambda: layers.SeparableConv2D(5, 3, padding="same"), 8 * 8 * (9 * 3 + 3 * 5)),
        (lambda: layers.BatchNormalization(), 0),
        (lambda: layers.MaxPooling2D(2), 0),
    ],
    ids=lambda value: "" if isinstance(value, int) else value().name,
)
def test_macs_of_one_layer(layer, macs):
    model = model_of(layer())
    assert counting.layer_macs(model.layers[-1]) == counting.macs(model) == macs


def test_macs_of_a_dense_layer_and_their_sum():
    model = model_of(layers.Conv2D(4, 3, padding="same"), layers.Flatten(), layers.Dense(10))
    assert counting.macs(model) == 8 * 8 * 9 * 3 * 4 + 8 * 8 * 4 * 10


@pytest.mark.parametrize("side, kernel, stride", [(2, 3, 1), (8, 3, 1), (8, 3, 2), (7, 5, 2)])
def test_the_taps_on_padding_are_those_that_see_nothing_of_a_map_of_ones(side, kernel, stride):
    layer = layers.Conv2D(1, kernel, strides=stride, padding="same", kernel_initializer="ones")
    model = model_of(layer, shape=(side, side, 1))
    seen = np.mean(model(np.ones((1, side, side, 1)))) / kernel**2
    assert counting.padding(layer) == pytest.approx(1 - seen, abs=1e-6)
    assert counting.padding(model.layers[0]) == 0, "an input has no taps"


def test_parameters_split_and_leave_out_the_state_of_dropout():
    model = model_of(layers.Conv2D(4, 3), layers.BatchNormalization(), layers.Dropout(0.5))
    assert counting.parameters(model) == counting.Parameters(112 + 16, 112 + 8, 8)
    frozen = model_of(layers.Conv2D(4, 3))
    frozen.trainable = False
    assert counting.parameters(frozen) == counting.Parameters(112, 0, 112)


def test_rows_are_the_layers_in_order_with_what_they_read(built):
    model = built("squeezenet/bn")
    rows = {row.name: row for row in counting.rows(model)}
    assert list(rows) == [layer.name for layer in model.layers]
    assert rows["images"] == counting.Row("images", "InputLayer", (), (32, 32, 3), 0, 0)
    assert rows["conv1"] == counting.Row(
        "conv1", "Conv2D", ("images",), (16, 16, 96), 3 * 9 * 96 + 96, 16 * 16 * 27 * 96
    )
    assert rows["fire2_join"].inputs == ("fire2_expand1_relu", "fire2_expand3_relu")
    assert sum(row.parameters for row in rows.values()) == counting.parameters(model).total
    assert sum(row.macs for row in rows.values()) == counting.macs(model)


def test_stages_sum_up_the_rows(built):
    model = built("squeezenet/plain")
    stages = {row.name: row for row in counting.stages(model)}
    fires = [f"fire{k}" for k in range(2, 10)]
    assert list(stages) == [
        "images", "conv1", "pool1", *fires[:3], "pool4", *fires[3:7], "pool8", fires[7],
        "conv10", "gap", "logits", "classes",
    ]  # fmt: skip
    # Fire 2 by hand: 96 -> 16 by 1x1, then 16 -> 64 by 1x1 and by 3x3, biases included.
    weights = 96 * 16 + 16 * 64 + 9 * 16 * 64
    assert stages["fire2"] == counting.Row(
        "fire2", "Concatenate", ("pool1",), (8, 8, 128), weights + 16 + 64 + 64, 64 * weights
    )
    assert sum(row.parameters for row in stages.values()) == 729_144
    assert sum(row.macs for row in stages.values()) == counting.macs(model)
