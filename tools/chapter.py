"""Lay the skeleton of a chapter: `make chapter N=14 NAME="Why it works"`.

    python tools/chapter.py 14 "Why it works"

writes book/14-why-it-works.ipynb from tools/chapter.txt, a line in _toc.yml and one on the cover.
Its cells run as they stand, so that there is a page that works while it is being written.
"""

import re
import sys

import notebooks
from nbformat import v4

ROOT = notebooks.ROOT
# Where chapters are listed: what their lines look like, by number, and the line of a new one.
LISTS = {
    "_toc.yml": (r" +- file: book/(\d+)-", "      - file: book/{stem}"),
    "book/index.md": (r"- (\d+) · \[", "- {number} · [{name}]({stem}.ipynb): …?"),
}


def cells(text: str) -> list:
    """The cells of a skeleton, each under a line `+++ kind tag …`."""
    found = []
    for part in re.split(r"^\+\+\+ ", text, flags=re.M)[1:]:
        head, source = part.split("\n", 1)
        kind, *tags = head.split()
        make = v4.new_code_cell if kind == "code" else v4.new_markdown_cell
        found.append(make(source.strip(), metadata={"tags": tags}))
    return found


def listed(text: str, pattern: str, line: str, number: int) -> str:
    """`text` with `line` in its place among the lines of chapters."""
    lines = text.splitlines()
    places = [(int(m[1]), k) for k, old in enumerate(lines) if (m := re.match(pattern, old))]
    at = max((k + 1 for n, k in places if n < number), default=places[0][1])
    return "\n".join([*lines[:at], line, *lines[at:]]) + "\n"


def lay(number: int, name: str) -> str:
    """Write the skeleton; the path of the notebook, from the repository's root."""
    stem = f"{number:02}-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if taken := sorted((ROOT / "book").glob(f"{number:02}-*.ipynb")):
        raise SystemExit(f"chapter {number} is there already, {taken[0].name}: take another number")
    for file, (pattern, line) in LISTS.items():
        path, line = ROOT / file, line.format(number=number, name=name, stem=stem)
        text = path.read_text(encoding="utf-8")
        notebooks.write(path, listed(text, pattern, line, number))
    text = (ROOT / "tools" / "chapter.txt").read_text(encoding="utf-8")
    made = cells(text.replace("NUMBER", str(number)).replace("NAME", name))
    chapter = notebooks.normalised(v4.new_notebook(cells=made), f"{stem}.ipynb")
    notebooks.write(ROOT / "book" / f"{stem}.ipynb", notebooks.text_of(chapter))
    return f"book/{stem}.ipynb"


if __name__ == "__main__":
    if len(sys.argv) != 3 or not sys.argv[1].isdigit() or not re.search("[a-z]", sys.argv[2], re.I):
        raise SystemExit('a chapter has a number and a name: make chapter N=14 NAME="Why it works"')
    print(f"{lay(int(sys.argv[1]), sys.argv[2])}: write it, then make pages CHAPTER={sys.argv[1]}")
