"""Every number in the book's prose comes from somewhere.

What counts as a number here: one with %, points, parameters, weights or multiplications; one that
compares (three times, a factor of 3, tenfold, half, twice, a third faster, 5 higher, +1.5); and, in
a paragraph on loss or accuracy, a decimal fraction or a number that ends its phrase. In figures or
in words; in text, lists, tables, headings, formulas, HTML and alternative texts alike.

Its sentence cites a source that stands in book/references.bib (see `citations`), or a comment of
its paragraph (see `blocks`: inside it or directly after it) computes it:

    <!-- 2.303 = log(10) -->    <!-- five times = (1 / 72) / (1 / 360) -->

Left stands the number as the text has it, with its unit where the paragraph has the same number
with another; right an expression (see `expressions`). Figures must agree to the last digit, a
number in words to a tenth of itself. A comment whose number its paragraph does not have is a fault.

What no check here can see: whether the sentence says of its number what the expression computes or
the source reports; claims without a number ("every seed", "ahead of", "never"); other numbers
(seeds, epochs, sizes, seconds); and blocks of code with their captions and outputs.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import blocks
import citations
import expressions
import quantities

from course_lib.settings import CourseError


@dataclass(frozen=True)
class Derived:
    """One comment `left = expression`, and what is wrong with it by itself."""

    number: str
    unit: str
    fault: str

    def covers(self, stated: quantities.Stated) -> bool:
        return self.number == stated.number and self.unit in ("", stated.unit)


def faults_of(markdown: str, bibliography: citations.Bibliography) -> list[str]:
    """What is wrong with the numbers of one Markdown text."""
    return [fault for block in blocks.blocks(markdown) for fault in _faults_of(block, bibliography)]


def _faults_of(block: blocks.Block, bibliography: citations.Bibliography) -> list[str]:
    derived = [d for comment in block.comments if (d := _derived(comment))]
    faults = [d.fault for d in derived if d.fault]
    text = quantities.plain(block.text)
    for d in derived:
        pattern = rf"(?<![\w.,]){re.escape(d.number)}(?!\w|[.,]\d)"
        if d.number and not re.search(pattern, text, re.I):
            place = _cut(text) or "it stands after no paragraph"
            faults.append(f"a comment gives {d.number}, which its paragraph does not: {place}")
    results = quantities.on_results(" ".join([text, *(block.columns or [])]))
    open_ones = []
    for sentence in block.sentences():
        missing = bibliography.missing(sentence)
        faults += [f"{source} is not in the bibliography" for source in missing]
        if not bibliography.cited(sentence):
            prose = quantities.plain(sentence.replace("`", ""))
            open_ones += [(s, prose) for s in quantities.stated(prose, results)]
    for d in derived:
        units = sorted({s.unit or "no unit" for s, _ in open_ones if d.covers(s)})
        if len(units) > 1:
            faults.append(f"{d.number} stands with {' and '.join(units)}: write the comment's unit")
    for s, prose in open_ones:
        if not any(d.covers(s) for d in derived):
            place = f"{prose[max(0, s.start - 30) : s.end + 20]}"
            faults.append(f"{s.number} {s.unit}".strip() + f" has no source: …{place}…")
    return faults


def _derived(comment: str) -> Derived | None:
    """What a comment derives; None for a note to other authors."""
    left, equals, expression = (part.strip() for part in comment.partition("="))
    number = quantities.alone(left) if equals else None
    if not number:
        wanted = equals and re.search(r"\d", left)
        unclear = f"'{_cut(comment)}' is no `number = expression`, one number as the text has it"
        return Derived("", "", unclear) if wanted else None
    said = f"{left} = {expression}"
    try:
        value = expressions.value(expression)
    except CourseError as error:
        return Derived(number.number, number.unit, f"{said}: {error}")
    worth, tolerance = quantities.quantity(number.number)
    wrong = abs(value - worth) > tolerance
    return Derived(number.number, number.unit, f"{said}: it is {value:.6g}" if wrong else "")


def _cut(text: str) -> str:
    return text if len(text) < 60 else f"{text[:60]}…"


def check_book(folder: Path) -> tuple[int, list[str]]:
    """Number of pages, and their faults. The bibliography is the folder's references.bib."""
    pages = sorted([*folder.glob("*.md"), *folder.glob("*.ipynb")])
    faults = []
    try:
        bibliography = citations.read(folder / "references.bib")
    except Exception as error:
        faults.append(f"references.bib cannot be read: {error}")
        bibliography = citations.NONE
    for page in pages:
        try:
            found = [f for text in blocks.texts(page) for f in faults_of(text, bibliography)]
        except Exception as error:  # a broken page must not hide the faults of the others
            found = [f"cannot be read ({type(error).__name__}: {error})"]
        faults += [f"{page.name}: {fault}" for fault in found]
    return len(pages), faults
