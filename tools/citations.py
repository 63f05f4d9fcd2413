"""Which sources does a sentence cite, and do they stand in the bibliography?

A source is cited as `{cite}` with its key, as "He et al. 2015", "Glorot and Bengio (2010)" or
"Krizhevsky 2009", as "arXiv 1602.07360", or as S1 to S5, the articles (`article-s1` and so on).
"""

import re
from dataclasses import dataclass
from pathlib import Path

import pybtex.database

YEAR = r",? \(?({})[a-z]?\b"
ANY_YEAR = YEAR.format(r"(?:19|20)\d\d")
NAME = r"[A-Z][\w’'-]+"
ROLE = re.compile(r"\{cite[^}]*\}`([^`]+)`")
ARTICLE = re.compile(r"\bS(\d+)\b")
ARXIV = re.compile(r"\barXiv[:\s]*(\d{4}\.\d{4,5})", re.I)
# Nothing but a citation looks like these. "(Smith 2016)" may also be an event, "(ILSVRC 2014)": it
# is no source where it is not in the bibliography, and no fault by itself.
SURELY = re.compile(rf"\b{NAME} et al\.?{ANY_YEAR}|\({NAME} (?:and|&) {NAME}{ANY_YEAR}")


@dataclass(frozen=True)
class Bibliography:
    """keys: of the entries. names: a pattern for the authors and year of each. arxiv: numbers."""

    keys: frozenset[str]
    names: re.Pattern
    arxiv: frozenset[str]

    def cited(self, sentence: str) -> bool:
        """Does the sentence cite an entry?"""
        return bool(
            any(key in self.keys for key in _keys(sentence))
            or any(f"article-s{number}" in self.keys for number in ARTICLE.findall(sentence))
            or self.arxiv.intersection(ARXIV.findall(sentence))
            or self.names.search(sentence)
        )

    def missing(self, sentence: str) -> list[str]:
        """What the sentence cites and the bibliography does not hold."""
        return [
            *(key for key in _keys(sentence) if key not in self.keys),
            *(f"arXiv {n}" for n in ARXIV.findall(sentence) if n not in self.arxiv),
            *(m[0].lstrip("(") for m in SURELY.finditer(sentence) if not self.names.search(m[0])),
        ]


NONE = Bibliography(frozenset(), re.compile(r"(?!)"), frozenset())


def _keys(sentence: str) -> list[str]:
    return [key.strip() for keys in ROLE.findall(sentence) for key in keys.split(",")]


def read(file: Path) -> Bibliography:
    """The bibliography in a file of BibTeX."""
    entries = pybtex.database.parse_file(file).entries
    names = [_pattern(entry) for entry in entries.values()]
    arxiv = {entry.fields.get("eprint", "") for entry in entries.values()} - {""}
    pattern = re.compile("|".join(name for name in names if name) or r"(?!)")
    return Bibliography(frozenset(entries), pattern, frozenset(arxiv))


def _pattern(entry) -> str:
    """How a page names the entry: one author, two, or the first "et al."; then the year."""
    authors = [
        re.escape(re.sub(r"[{}]", "", " ".join(person.prelast_names + person.last_names)))
        for person in entry.persons.get("author", [])
    ]
    if not authors or "year" not in entry.fields:
        return ""
    others = {1: "", 2: f" (?:and|&) {authors[-1]}"}.get(len(authors), r" et al\.?")
    return rf"\b{authors[0]}{others}{YEAR.format(re.escape(entry.fields['year']))}"
