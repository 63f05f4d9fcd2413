import pytest

from course_lib.schedules import Polynomial, Steps

STAIRS = ((0, 0.01), (100, 0.001), (200, 1e-4))


@pytest.mark.parametrize(
    "epoch, rate", [(0, 0.01), (99, 0.01), (100, 0.001), (199, 0.001), (200, 1e-4), (9_999, 1e-4)]
)
def test_a_staircase_falls_at_the_start_of_the_epochs_that_it_names(epoch, rate):
    assert Steps(STAIRS)(epoch) == rate


@pytest.mark.parametrize(
    "epoch, rate", [(0, 0.01), (1, 0.01), (100, 0.01), (101, 0.001), (200, 0.001), (201, 1e-4)]
)
def test_late_moves_every_drop_and_not_the_beginning(epoch, rate):
    assert Steps(STAIRS, late=1)(epoch) == rate


@pytest.mark.parametrize("power", [1, 2, 0.5, 4])
def test_a_polynomial_falls_from_its_rate_to_what_is_left_in_the_last_epoch(power):
    schedule = Polynomial(0.01, power, 70)
    assert schedule(0) == 0.01
    assert schedule(35) == pytest.approx(0.01 * 0.5**power)
    assert schedule(69) == pytest.approx(0.01 / 70**power) and schedule(69) > 0
    rates = [schedule(epoch) for epoch in range(70)]
    assert rates == sorted(rates, reverse=True) and len(set(rates)) == 70


def test_schedules_say_themselves_in_words():
    assert str(Steps(((0, 0.01), (100, 0.001)))) == "0.01 from epoch 0, 0.001 from epoch 100"
    late = "0.01 from epoch 0, 0.001 from epoch 100, every drop an epoch late"
    assert str(Steps(((0, 0.01), (100, 0.001)), late=1)) == late
    assert str(Polynomial(0.005, 1, 70)) == "0.005 · (1 - epoch / 70)^1"


@pytest.mark.parametrize(
    "start, late, divided", [(84, 0, 8), (85, 0, 9), (84, 1, 9), (80, 1, 8), (4, 0, 0), (5, 0, 1)]
)
def test_a_tenth_of_a_staircase_rounds_half_up_and_has_its_lateness_in_the_drops(
    start, late, divided
):
    tenth = Steps(((0, 0.01), (start, 0.001)), late).divided(10)
    assert tenth == Steps(((0, 0.01), (divided, 0.001)))


def test_a_tenth_of_a_polynomial_falls_as_far_in_a_tenth_of_the_epochs():
    assert Polynomial(0.01, 2, 70).divided(10) == Polynomial(0.01, 2, 7)
    assert Polynomial(0.01, 2, 65).divided(10).epochs == 7
