"""From whom a dense layer reads: by its weights, and by what the network loses without them."""

import numpy as np
import pytest

from course_lib import measure
from course_lib.models import densenet


@pytest.fixture(scope="module")
def net():
    return densenet.densenet(blocks=(1, 2), growth=4, stem=6, input_shape=(8, 8, 3))


def kernel(net, name):
    return net.get_layer(name).kernel


def test_a_weight_belongs_to_the_source_of_its_channel(net):
    """Block 2 begins with (6 + 4) / 2 = 5 channels; its two layers add 4 each."""
    weights = np.ones((1, 1, 13, 6), np.float32)
    weights[:, :, 5:9] = 3  # what layer 1 computed
    kernel(net, "transition2_conv").assign(weights)
    found = measure.reads(net, 2)
    mean = (9 + 3 * 4) / 13
    np.testing.assert_allclose(found[2], [1 / mean, 3 / mean, 1 / mean], rtol=1e-5)
    assert np.isnan(found[0, 1:]).all() and not np.isnan(found[1, :2]).any()


def test_only_what_is_heard_is_missed_and_the_weights_come_back(net):
    images = np.random.default_rng(0).normal(size=(20, 8, 8, 3)).astype("float32")
    labels = np.arange(20) % 10
    deaf = np.asarray(kernel(net, "block2layer2_conv1")).copy()
    deaf[:, :, 5:] = 0  # layer 2 does not listen to layer 1
    kernel(net, "block2layer2_conv1").assign(deaf)
    before = [w.copy() for w in net.get_weights()]
    found = measure.silenced(net, 2, images, labels)
    assert found[1, 1] == 0 and abs(found[2]).min() > 0
    for old, new in zip(before, net.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
