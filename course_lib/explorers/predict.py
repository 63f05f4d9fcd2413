"""Commit to a prediction, then see the result beside it. What the reader says stays in the page."""

import hashlib
import html
import math

import traitlets

from course_lib.explorers.kit import Explorer, script
from course_lib.settings import CourseError


class Prediction(Explorer):
    """A question, a way to commit to an answer, and the result, which unfolds only then.

    question: text; `words` in backticks are set as code. Either numbers: names of what is to be
    predicted, each by a number in `unit`; or choices: texts of which the reader takes one.
    answer: the result, if it is known yet: {name: number} for all numbers, or the right choice.
    because: text that unfolds with the result. id: under which the page keeps what the reader
    said; without one it is kept as long as question, names and choices stay. Raises CourseError
    when these do not fit together.

    Shown before a run and, after `reveal`, once more behind it, the two know of each other.
    """

    _esm = script(__file__)

    question = traitlets.Unicode().tag(sync=True)
    numbers = traitlets.List(traitlets.Unicode()).tag(sync=True)
    choices = traitlets.List(traitlets.Unicode()).tag(sync=True)
    unit = traitlets.Unicode().tag(sync=True)
    results = traitlets.List(traitlets.Float()).tag(sync=True)  # one a number, or none yet
    right = traitlets.Unicode().tag(sync=True)  # one of the choices, or "" when there is none yet
    because = traitlets.Unicode().tag(sync=True)
    key = traitlets.Unicode().tag(sync=True)

    def __init__(
        self, question, *, numbers=(), choices=(), unit="", answer=None, because="", id=""
    ):
        numbers, choices = list(numbers), list(choices)
        names = numbers or choices
        if bool(numbers) == bool(choices) or len(set(names)) < len(names) or len(choices) == 1:
            raise CourseError(
                "Prediction needs either numbers, the names of what to predict, or two or more "
                f"choices, each of them once; not numbers={numbers!r} and choices={choices!r}"
            )
        key = id or hashlib.sha256(repr((question, names)).encode()).hexdigest()[:12]
        super().__init__(question=question, numbers=numbers, choices=choices, unit=unit, key=key)
        self.reveal(answer, because)

    def reveal(self, answer=None, because: str = "") -> "Prediction":
        """Say what came out, as `answer` and `because` of the class; returns the widget itself."""
        if answer is not None and self.numbers:
            try:
                results = [float(answer[name]) for name in self.numbers]
            except (KeyError, TypeError, ValueError):
                results = [math.nan]
            if not all(map(math.isfinite, results)):
                raise CourseError(
                    f"Prediction needs a number for each of {', '.join(self.numbers)}; "
                    f"not answer={answer!r}"
                )
            self.results = results
        elif answer is not None:
            if answer not in self.choices:
                raise CourseError(
                    f"Prediction needs one of {', '.join(self.choices)}; not answer={answer!r}"
                )
            self.right = answer
        self.because = because or self.because
        return self

    def fallback(self) -> tuple[str, str]:
        numbers = zip(self.numbers, self.results, strict=False)
        found = ", ".join(f"{name} {result:g} {self.unit}".strip() for name, result in numbers)
        result = ". ".join(filter(None, (found or self.right, self.because)))
        offered = " / ".join(self.choices or self.numbers)
        page = f"<p><strong>Predict.</strong> {_set(self.question)} ({_set(offered)})</p>"
        if result:
            page += f"<details><summary>The result</summary><p>{_set(result)}</p></details>"
        return f"Predict. {self.question} ({offered})\nThe result: {result or 'not yet'}", page


def _set(text: str) -> str:
    """`text` as HTML, with what stands in backticks as code."""
    parts = html.escape(text).split("`")
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))
