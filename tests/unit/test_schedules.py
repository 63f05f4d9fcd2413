import pytest

from course_lib import experiments
from course_lib.schedules import Steps


@pytest.mark.parametrize(
    "epoch, rate", [(0, 0.01), (99, 0.01), (100, 0.001), (199, 0.001), (200, 1e-4), (299, 1e-4)]
)
def test_squeezenets_staircase_falls_at_the_start_of_epochs_100_and_200(epoch, rate):
    assert experiments.get("squeezenet/plain").schedule(epoch) == rate


def test_steps_says_itself_in_words():
    assert str(Steps(((0, 0.01), (100, 0.001)))) == "0.01 from epoch 0, 0.001 from epoch 100"


def test_equal_steps_are_equal_and_others_are_not():
    assert Steps(((0, 0.1),)) == Steps(((0, 0.1),)) != Steps(((0, 0.2),))
