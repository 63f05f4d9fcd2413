"""What holds for every network of the course, whatever its layers."""

from functools import partial
from importlib import import_module

import numpy as np
import pytest

from course_lib import experiments
from course_lib.backend import keras
from course_lib.models import densenet, googlenet, resnet, squeezenet

SMALL = {
    "squeezenet": partial(squeezenet.squeezenet, width=0.1, bn=True, initializer="he_normal"),
    "squeezenet-imagenet": partial(squeezenet.squeezenet_imagenet, classes=10),
    "minigooglenet": partial(googlenet.minigooglenet, width=0.1),
    "deepergooglenet": partial(googlenet.deepergooglenet, deep=False, width=0.1, classes=10),
    "resnet-v1": partial(resnet.resnet_v1, depth=8, width=4),
    "resnet-v2": partial(resnet.resnet_v2, depth=11, width=4),
    "densenet": partial(densenet.densenet, blocks=(1, 2), growth=4),
}
# Those that nobody has named here, by their cheapest experiment.
_named = {f"{make.func.__module__.split('.')[-1]}.{make.func.__name__}" for make in SMALL.values()}
for e in sorted(map(experiments.get, experiments.ids()), key=lambda e: -e.macs):
    if e.builder not in _named:
        module, function = e.builder.split(".")
        builder = getattr(import_module(f"course_lib.models.{module}"), function)
        SMALL[e.builder] = partial(builder, **e.arguments | {"classes": 10})
EVERY = pytest.mark.parametrize("build", SMALL.values(), ids=SMALL)
IMAGES = np.random.default_rng(0).normal(size=(8, 32, 32, 3)).astype("float32")


@EVERY
def test_output_is_a_probability_per_class_in_float32_under_mixed_precision(build):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build(input_shape=(32, 32, 3))
    finally:
        keras.config.set_dtype_policy(before)
    assert model.get_layer("logits").compute_dtype == "bfloat16"
    out = model(IMAGES)
    assert keras.backend.standardize_dtype(out.dtype) == "float32"
    out = keras.ops.convert_to_numpy(out)
    assert out.shape == (8, 10) and (out >= 0).all()
    np.testing.assert_allclose(out.sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize("name, kinds", [("squeezenet", "Conv2D"), ("resnet-v1", "Conv2D"),
                                         ("minigooglenet", "Conv2D Dense")])  # fmt: skip
def test_weight_decay_is_the_sum_over_the_kernels_that_it_is_said_of(name, kinds):
    model = SMALL[name](l2=1e-3)
    kernels = [w.kernel.numpy() for w in model.layers if type(w).__name__ in kinds.split()]
    expected = 1e-3 * sum((kernel.astype(float) ** 2).sum() for kernel in kernels)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-4)
    assert SMALL[name](l2=0.0).losses == []
