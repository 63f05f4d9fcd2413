"""Rank-1, rank-5 and the report of a trained network."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from course_lib import __main__ as cli
from course_lib import datasets, experiments, records, settings
from course_lib.datasets import Dataset, synthetic
from course_lib.engine import checkpoints, training
from course_lib.experiments import runs
from course_lib.measure import evaluation
from course_lib.models import squeezenet
from course_lib.settings import CourseError

# TensorFlow 2.20 and Keras 3.15 under NumPy 2, inside `fit`: nothing of ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ID = "squeezenet/bn"


# --- ranks ----------------------------------------------------------------------------------------


@st.composite
def scores_with_ties(draw):
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 12)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    few = st.sampled_from([-1.0, 0.0, 0.25, 0.5])  # so that many are equal
    scores = draw(arrays.arrays(dtype, shape, elements=few))
    labels = draw(arrays.arrays(np.int64, shape[0], elements=st.integers(0, shape[1] - 1)))
    return scores, labels


@given(scores_with_ties())
def test_ranks_are_those_of_a_sort_in_which_the_lower_class_goes_first(drawn):
    scores, labels = drawn
    order = [sorted(range(len(row)), key=lambda c, row=row: (-row[c], c)) for row in scores]
    slow = [found.index(label) for found, label in zip(order, labels, strict=True)]
    assert evaluation.ranks(scores, labels).tolist() == slow
    for rank in (1, 5):
        hits = [label in found[:rank] for found, label in zip(order, labels, strict=True)]
        assert evaluation.accuracy(scores, labels, rank) == pytest.approx(sum(hits) / len(hits))
    assert evaluation.accuracy(scores, labels) == (scores.argmax(axis=1) == labels).mean()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_no_number_is_an_error_wherever_it_stands(bad):
    for place in [(0, 0), (1, 3)]:  # of the right class, and of another
        scores = np.zeros((2, 4))
        scores[place] = bad
        with pytest.raises(CourseError, match="not a finite number") as error:
            evaluation.accuracy(scores, np.array([0, 1]), 5)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "shape, labels, says",
    [
        ((2, 4), [0, 4], "from 0 to 3"),
        ((2, 4), [0, -1], "from 0 to 3"),
        ((2, 4), [0], "do not go together"),
        ((2, 4), [[0], [1]], "do not go together"),
        ((4,), [0], "do not go together"),
    ],
)
def test_labels_that_do_not_fit_are_an_error(shape, labels, says):
    with pytest.raises(CourseError, match=says):
        evaluation.ranks(np.zeros(shape), np.array(labels))


# --- the report -----------------------------------------------------------------------------------

CLASSES = ("bird", "cat", "dog", "frog", "ship", "truck", "none")
# Truth and answer of each test image: 251 + 7, which no batch divides. No image shows "none".
PAIRS = [(0, 0)] * 100 + [(1, 1)] * 60 + [(1, 2)] * 40 + [(2, 1)] * 30 + [(2, 2)] * 10
PAIRS += [(3, 3)] * 10 + [(4, 5)] * 1 + [(5, 5)] * 5 + [(3, 6)] * 2


@pytest.fixture(scope="module")
def answering():
    """A network whose answer is the grey level of the picture; one further away, one rank lower."""
    from course_lib.backend import keras, layers

    inputs = keras.Input((2, 2, 3))
    x = layers.GlobalAveragePooling2D()(inputs)
    model = keras.Model(inputs, layers.Dense(len(CLASSES))(x))
    classes = np.arange(len(CLASSES))
    # (x - c)^2 = x^2 - 2cx + c^2, of which x^2 is the same for every class c.
    model.layers[-1].set_weights([np.tile(2 * classes / 3, (3, 1)), -(classes**2)])
    return model


def pictures(levels):
    return np.repeat(np.array(levels, np.uint8), 12).reshape(-1, 2, 2, 3)


@pytest.fixture
def data():
    truth, answers = np.array(PAIRS).T
    images = pictures(answers)
    return Dataset("drawn", CLASSES, pictures([0] * 70), np.zeros(70, int), images, truth)


@pytest.fixture
def as_it_is():
    """An experiment that leaves grey levels as they are."""
    return replace(experiments.get(ID), mean=(0.0,) * 3, deviation=(1.0,) * 3)


@pytest.fixture
def report(answering, data, as_it_is):
    return evaluation.report(as_it_is, answering, data)


def test_all_images_are_scored(report):
    assert len(PAIRS) == 258 and report.matrix.sum() == 258
    assert report.rank1 == pytest.approx(185 / 258)
    # Only of the pictures of frogs taken for the last class, 3 for 6, all are near: |c - x| counts.
    far = [(t, a) for t, a in PAIRS if sum(abs(c - a) <= abs(t - a) for c in range(7)) > 5]
    assert report.rank5 == pytest.approx(1 - len(far) / 258)


def test_matrix_has_the_truth_by_row_and_the_answer_by_column(report):
    wanted = np.zeros((7, 7), int)
    for truth, answer in PAIRS:
        wanted[truth, answer] += 1
    assert report.matrix.tolist() == wanted.tolist()
    assert report.images == 70


def test_answers_that_are_no_class_are_named_by_their_number():
    matrix = np.zeros((4, 4), int)
    matrix[0, 3], matrix[1, 1] = 2, 1
    found = evaluation.Report(ID, ("bird", "cat"), 1 / 3, 1.0, matrix, 10)
    assert found.confused() == [("bird", "output 3, no class,", 2)]
    assert "bird as output 3, no class, (2)" in str(found)


def test_classes_are_listed_best_first_without_those_that_no_image_shows(report):
    assert list(report.per_class().items()) == [
        ("bird", 1.0),
        ("truck", 1.0),
        ("frog", pytest.approx(10 / 12)),
        ("cat", 0.6),
        ("dog", 0.25),
        ("ship", 0.0),
    ]


def test_most_confused_are_counted_in_both_directions_and_right_answers_are_none(report):
    assert report.confused() == [
        ("cat", "dog", 40),
        ("dog", "cat", 30),
        ("frog", "none", 2),
        ("ship", "truck", 1),
    ]
    assert report.confused(1) == [("cat", "dog", 40)]


def test_mean_is_that_of_the_training_images(answering, data, as_it_is):
    by_name = replace(as_it_is, mean="channel")
    brighter = replace(data, x_train=data.x_train + 2, x_test=data.x_test + 2)
    found = evaluation.report(by_name, answering, brighter)
    assert found.rank1 == pytest.approx(185 / 258)


# --- saved runs -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn():
    data = synthetic.load(images=100, test_images=30)
    return replace(data, content=data.fingerprint())


@pytest.fixture
def tiny(monkeypatch, drawn, folders):
    """Profile ci on 100 drawn images, one epoch, and a net of two fires; the folder of runs."""
    ci = replace(settings.PROFILES["ci"], images=100, test_images=30, epochs=1)
    monkeypatch.setitem(settings.PROFILES, "ci", ci)
    monkeypatch.setattr(datasets, "load", lambda name: drawn)
    monkeypatch.setattr(squeezenet, "FIRES", ((16, 64), (16, 64)))
    return settings.runs_dir()


def test_where_nothing_is_saved_the_error_says_how_to_make_it(tiny):
    for profile, seed in (("quick", 3), ("full", 0)):
        with pytest.raises(CourseError) as error:
            evaluation.saved(runs.named(ID, profile, seed))
        command = f"python -m course_lib run {ID} --again --profile {profile} --seeds {seed}"
        assert command in str(error.value) and "\n" not in str(error.value)


def source(experiment, profile="full") -> dict[str, str]:
    """What the file of weights says of its run."""
    config = runs.named(experiment, profile, 0).configuration()
    return {"config_hash": runs.digest(config), "profile": profile}


@pytest.fixture
def published(tiny):
    """Weights as a full run of seed 0 publishes them, and the network that they are of."""
    model = experiments.get(ID).build(seed=1)
    checkpoints.save_weights(model, settings.weights_of(ID), source(experiments.get(ID)))
    return model


def test_published_weights_are_evaluated_on_the_experiments_own_data(published, drawn):
    model, data = evaluation.saved(runs.named(ID, "full", 0))
    assert len(data.x_test) == len(drawn.x_test) and len(data.x_train) == len(drawn.x_train)
    for ours, theirs in zip(model.weights, published.weights, strict=True):
        expected = np.asarray(theirs).astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(np.asarray(ours), expected)


@pytest.mark.parametrize("profile, seed", [("full", 1), ("quick", 0), ("tenth", 0)])
def test_published_weights_are_of_one_run_alone(published, profile, seed):
    with pytest.raises(CourseError, match="is not among your runs"):
        evaluation.saved(runs.named(ID, profile, seed))


def test_held_out_images_are_not_among_those_whose_mean_is_taken(tiny, monkeypatch, drawn):
    held = replace(experiments.get(ID), validation=10)
    checkpoints.save_weights(held.build(seed=0), settings.weights_of(ID), source(held))
    _, data = evaluation.saved(runs.named(held, "full", 0))
    assert len(data.x_train) == 90 and len(data.x_val) == 10


@pytest.fixture
def evaluate(monkeypatch, capsys):
    """evaluate("--seed", 3) -> status, output, errors of `show ID --evaluate --seed 3`."""

    def call(*words):
        command = ["course_lib", "show", ID, "--evaluate", *map(str, words)]
        monkeypatch.setattr(sys, "argv", command)
        capsys.readouterr()  # a run that went before has shown its progress
        status = cli.main()
        return status, *capsys.readouterr()

    return call


@pytest.mark.slow
def test_a_run_of_ones_own_is_evaluated_without_being_trained_again(tiny, evaluate, monkeypatch):
    run = experiments.get(ID).run("ci", 3, folder=tiny)
    before = runs.named(ID, "ci", 3).file(tiny).read_bytes()
    monkeypatch.setattr(training, "fit", lambda *args: pytest.fail("trained again"))
    model, data = evaluation.saved(runs.named(ID, "ci", 3))
    assert len(data.x_train) == 100 and len(data.x_test) == 30
    for ours, theirs in zip(model.weights, run.model.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
    status, out, err = evaluate("--profile", "ci", "--seed", "3")
    assert (status, err) == (0, "")
    assert f"{ID} on all 30 test images, trained on 100 (10 per class)" in out
    assert f"rank-1: {run.accuracy:.2f} %" in out
    # The environment says the same as the options.
    monkeypatch.setenv("COURSE_PROFILE", "ci")
    monkeypatch.setenv("COURSE_SEED", "3")
    assert evaluate()[1] == out
    file = runs.named(ID, "ci", 3).file(tiny)
    assert file.read_bytes() == before, "it says when and where the run was made"
    newest = file.with_suffix("") / checkpoints.NEWEST
    newest.write_bytes(newest.read_bytes()[:1000])
    status, _, err = evaluate()
    assert (status, "no finished run" in err) == (2, True)


def test_a_run_is_taken_up_as_it_was_made(tiny, make_record, monkeypatch):
    record = make_record(ID, "quick", 3)
    file = records.write(record, tiny)
    with pytest.raises(CourseError, match="not among your runs"):  # its checkpoint is gone
        evaluation.saved(runs.named(ID, "quick", 3))
    file.with_suffix("").mkdir()
    (file.with_suffix("") / checkpoints.NEWEST).write_bytes(b"")
    calls = []
    whole = training.Trained(None, "model", "data", None, {})
    monkeypatch.setattr(training, "restored", lambda *run: calls.append(run) or whole)
    assert evaluation.saved(runs.named(ID, "quick", 3)) == ("model", "data")
    assert calls == [(runs.named(ID, "quick", 3, precision="float32"), tiny)]
    versions = {**record["versions"], "jax": "1"}
    del versions["tensorflow"]
    records.write({**record, "backend": "jax", "versions": versions}, tiny)
    with pytest.raises(CourseError, match="KERAS_BACKEND=jax"):
        evaluation.saved(runs.named(ID, "quick", 3))
    assert len(calls) == 1


@pytest.mark.parametrize(
    "words, says",
    [
        ([], "--again --profile quick --seeds 0"),
        (["--profile", "full", "--seed", "7"], "--profile full --seeds 7"),
        (["--profile", "ful"], "did you mean full"),
        (["--seed", "one"], "--seed must be a whole number from 0"),
        (["--seed", "-1"], "--seed"),
    ],
)
def test_what_cannot_be_evaluated_ends_with_status_2_and_one_line(tiny, evaluate, words, says):
    status, out, err = evaluate(*words)
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1 and says in err
