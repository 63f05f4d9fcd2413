"""Diagnose a curve: recorded runs in turn, the reader names what happened, reasons unfold."""

import html

import traitlets

from course_lib.explorers.kit import Explorer, script
from course_lib.settings import CourseError

CURVES = ("loss", "accuracy", "test_loss", "test_accuracy")


class DiagnoseExplorer(Explorer):
    """Read the curves of a recorded run, say what happened, and see the reasons.

    cases: one a run, (history, fault, because, source): the four CURVES of a history, a number per
    epoch; what happened, one of `faults`; the reasons; which run it is. faults: what the reader may
    say. settings: `place`, the case to begin with, from 0. Raises CourseError when a case has no
    curves or another fault.
    """

    _esm = script(__file__)

    faults = traitlets.List(traitlets.Unicode(), minlen=2).tag(sync=True)
    cases = traitlets.List(traitlets.Dict(), minlen=1).tag(sync=True)
    place = traitlets.Int(0, min=0).tag(sync=True)

    def __init__(self, cases, faults, **settings):
        found = [_case(*case, tuple(faults)) for case in cases]
        super().__init__(cases=found, faults=list(faults), **settings)

    def fallback(self) -> tuple[str, str]:
        text, page = super().fallback()
        told = [f"{c['source']}: {c['fault']}. {c['because']}" for c in self.cases]
        items = "".join(f"<li>{html.escape(line)}</li>" for line in told)
        return "\n".join([text, *told]), f"{page}<ol>{items}</ol>"


def _case(history, fault, because, source, faults) -> dict:
    """A case as the page holds it: curves in percent and to four digits."""
    lengths = {len(history[curve]) for curve in CURVES if curve in history}
    if set(CURVES) - set(history) or len(lengths) != 1 or lengths == {0}:
        raise CourseError(
            f"DiagnoseExplorer needs {', '.join(CURVES)} of one length, for {source!r}"
        )
    if fault not in faults:
        raise CourseError(f"DiagnoseExplorer: {fault!r} is none of {', '.join(faults)}")
    scale = {curve: 100 if "accuracy" in curve else 1 for curve in CURVES}
    curves = {c: [float(f"{scale[c] * v:.4g}") for v in history[c]] for c in CURVES}
    return {**curves, "fault": fault, "because": because, "source": source}
