"""What a trained network answers: rank-1 and rank-5, class by class, and what it mixes up."""

from dataclasses import dataclass

import numpy as np

from course_lib import records, settings
from course_lib.backend import keras
from course_lib.engine import checkpoints, feeding, training
from course_lib.experiments import runs
from course_lib.settings import CourseError


def ranks(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """At which place, (count,) from 0, the right class stands among the scores of each image.

    scores: (count, classes), finite; labels: (count,) integers. Of equal scores the class of the
    lower number stands first. Raises CourseError for NaN and for labels that are no class.
    """
    scores, labels = np.asarray(scores), np.asarray(labels)
    if scores.ndim != 2 or labels.shape != scores.shape[:1]:
        raise CourseError(f"scores {scores.shape} and labels {labels.shape} do not go together")
    if not np.isfinite(scores).all():
        raise CourseError("a score is not a finite number: the network has diverged")
    if labels.size and not 0 <= labels.min() <= labels.max() < scores.shape[1]:
        raise CourseError(f"a label is not a class from 0 to {scores.shape[1] - 1}")
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    lower = np.arange(scores.shape[1]) < labels[:, None]
    return ((scores > own) | ((scores == own) & lower)).sum(axis=1)


def accuracy(scores: np.ndarray, labels: np.ndarray, rank: int = 1) -> float:
    """The share of all images whose class is among the `rank` highest scores (rank-1, rank-5)."""
    return float((ranks(scores, labels) < rank).mean())


@dataclass(frozen=True)
class Report:
    """What a trained network answers to the test images.

    rank1, rank5: shares of them. matrix: (outputs, outputs) counts, the truth by row and the answer
    by column. images: of training.
    """

    experiment: str
    classes: tuple[str, ...]
    rank1: float
    rank5: float
    matrix: np.ndarray
    images: int

    def per_class(self) -> dict[str, float]:
        """Rank-1 of each class, best first; a class without test images is left out."""
        totals = self.matrix.sum(axis=1)
        share = {c: self.matrix[k, k] / totals[k] for k, c in enumerate(self.classes) if totals[k]}
        return dict(sorted(share.items(), key=lambda item: -item[1]))

    def confused(self, most: int = 5) -> list[tuple[str, str, int]]:
        """(truth, answer, how often) of the most frequent confusions."""
        wrong = self.matrix - np.diag(np.diag(self.matrix))
        order = np.argsort(-wrong, axis=None, kind="stable")[:most]
        pairs = (np.unravel_index(k, wrong.shape) for k in order)
        return [(self._name(a), self._name(b), int(wrong[a, b])) for a, b in pairs if wrong[a, b]]

    def _name(self, output: int) -> str:
        known = output < len(self.classes)
        return self.classes[output] if known else f"output {output}, no class,"

    def __str__(self) -> str:
        def shares(items):
            return ", ".join(f"{name} {100 * share:.1f}" for name, share in items)

        each = list(self.per_class().items())
        tested = int(self.matrix.sum())
        lines = [
            f"{self.experiment} on all {tested:,} test images, trained on {self.images:,} "
            f"({self.images / len(self.classes):g} per class)",
            f"  rank-1: {100 * self.rank1:.2f} %   rank-5: {100 * self.rank5:.2f} %",
            f"  best classes, %: {shares(each[:5])}",
            f"  worst classes, %: {shares(each[:-6:-1])}",
            "  most confused: " + ", ".join(f"{a} as {b} ({n})" for a, b, n in self.confused()),
        ]
        return "\n".join(lines)


def report(experiment, model, data) -> Report:
    """Evaluate a trained network of `experiment` on all test images of a Dataset.

    data: as `feeding.take` makes it, since the mean is that of its training images.
    """
    from sklearn.metrics import confusion_matrix

    standards = feeding.standards(experiment, data.x_train)
    scores = model.predict(feeding.Evaluated(data.x_test, data.y_test, *standards), verbose=0)
    # A network may have more outputs than there are classes: those answers count, as wrong ones.
    outputs = np.arange(max(scores.shape[1], len(data.classes)))
    return Report(
        experiment.id,
        data.classes,
        accuracy(scores, data.y_test),
        accuracy(scores, data.y_test, 5),
        confusion_matrix(data.y_test, scores.argmax(axis=1), labels=outputs),
        len(data.x_train),
    )


def saved(run: runs.Run):
    """(model, data) of a finished run: from your own runs, else the published weights.

    Raises CourseError, which says how to make one, where there is neither, and for a run that was
    made on another backend.
    """
    folder = settings.runs_dir()
    file = run.file(folder)
    if (run.checkpoints(folder) / checkpoints.NEWEST).exists() and file.exists():
        record = records.read(file)
        if record["backend"] != keras.backend.backend():
            raise CourseError(f"{file} was made with KERAS_BACKEND={record['backend']}: set it")
        trained = training.restored(runs.of(record), folder)
        return trained.model, trained.data
    weights = settings.weights_of(run.experiment.id)
    asked, source = runs.digest(run.configuration()), checkpoints.weights_source(weights)
    if run.seed == 0 and not run.restarts and source.get("config_hash") == asked:
        model = run.experiment.build()
        checkpoints.load_weights(model, weights)
        return model, run.experiment.data(run.profile)
    raise CourseError(
        f"{file.stem} of {run.experiment.id} is not among your runs; make it with: python -m "
        f"course_lib run {run.experiment.id} --again --profile {run.profile.name} "
        f"--seeds {run.seed}"
    )
