"""What looks on while a network trains: it says what Keras says, and changes nothing."""

import numpy as np
import pytest

from course_lib import measure
from course_lib.backend import keras
from course_lib.models import small


@pytest.fixture
def fed():
    rng = np.random.default_rng(0)
    return rng.normal(size=(40, 32, 32, 3)).astype("float32"), rng.integers(0, 10, 40)


def trained(fed, *callbacks):
    keras.utils.set_random_seed(0)
    model = small.small_cnn(filters=(4, 8))
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(*fed, batch_size=20, epochs=3, shuffle=False, verbose=0, callbacks=callbacks)
    return model


def test_right_and_wrong_answers_make_up_the_loss(fed):
    costs = measure.Costs(*fed, every=2)
    model = trained(fed, costs)
    assert costs.steps == [2, 6], "after the first epoch and the last"
    loss, accuracy = model.evaluate(*fed, verbose=0)
    parts = accuracy * np.nan_to_num(costs.right[-1]) + (1 - accuracy) * costs.wrong[-1]
    assert parts == pytest.approx(loss, rel=1e-5)
    assert 0.1 <= costs.sure[-1] <= 1


def test_a_nudge_moves_one_weight_by_its_last_digit_and_looking_on_none(fed):
    watched, nudged = measure.Trail(every=1), measure.Trail(every=1, nudge=True)
    seen = [np.array(w) for w in trained(fed, watched).get_weights()]
    alone = trained(fed).get_weights()
    assert all(map(np.array_equal, seen, alone))
    trained(fed, nudged)
    assert watched.steps == nudged.steps == list(range(1, 7))
    assert 0 < nudged.distance(watched)[0] < 1e-5
    assert not watched.distance(watched).any()
