"""Confusions: choose a class, see what its pictures are taken for, or what is taken for it."""

import numpy as np
import traitlets

from course_lib.explorers.kit import Explorer, script
from course_lib.settings import CourseError


class ConfusionExplorer(Explorer):
    """Choose a class and see what a trained network took its pictures for, in numbers.

    matrix: counts (classes, classes), the truth by row and the answer by column, as
    `evaluation.report` has them. classes: their names. source: which run answered which pictures.
    settings: `chosen`, the class to begin with, from 0; `way`: `truth`, what its pictures were
    taken for, or `answer`, whose pictures were taken for it. Raises CourseError when the counts and
    the names do not go together.
    """

    _esm = script(__file__)

    classes = traitlets.List(traitlets.Unicode(), minlen=2).tag(sync=True)
    matrix = traitlets.List(traitlets.List(traitlets.Int(min=0))).tag(sync=True)
    source = traitlets.Unicode().tag(sync=True)
    chosen = traitlets.Int(0, min=0).tag(sync=True)
    way = traitlets.Enum(("truth", "answer"), "truth").tag(sync=True)

    def __init__(self, matrix, classes, source="", **settings):
        counts = np.asarray(matrix)
        if counts.shape != (len(classes), len(classes)):
            raise CourseError(
                f"ConfusionExplorer needs a row and a column for each of {len(classes)} classes, "
                f"not {counts.shape}"
            )
        super().__init__(
            matrix=counts.astype(int).tolist(), classes=list(classes), source=source, **settings
        )

    def __repr__(self):
        return f"{type(self).__name__}(way={self.way!r}, source={self.source!r})"

    def fallback(self) -> tuple[str, str]:
        text, page = super().fallback()
        counts = np.array(self.matrix)
        right = f"{np.trace(counts)} of {counts.sum()} pictures are right: {self.source}"
        return f"{text}\n{right}", f"{page}<p>{right}</p>"
