"""The repository's address: pyproject.toml states it, this carries it to the other files.

    python tools/address.py            write it wherever it stands
    python tools/address.py --check    say where another address stands

In the files of CARRIERS every GitHub, GitHub Pages and Colab address is the course's own: mention
no other repository there. Notebooks get theirs from tools/notebooks.py, workflows from GitHub.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CARRIERS = (
    "README.md",
    "CONTRIBUTING.md",
    "CITATION.cff",
    "_config.yml",
    "book/index.md",
    "data/README.md",
)

_NAME = r"[\w-]+"


def repository(root: Path = ROOT) -> str:
    """The address in pyproject.toml, such as https://github.com/owner/course."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["urls"]["Repository"].removesuffix("/")


def slug(address: str) -> str:
    """owner/course."""
    return address.removeprefix("https://github.com/")


def colab(address: str) -> str:
    """Where Colab opens notebooks of the repository; /blob/BRANCH/PATH follows."""
    return f"https://colab.research.google.com/github/{slug(address)}"


def site(address: str) -> str:
    """Where GitHub Pages serves the repository's site."""
    owner, name = slug(address).split("/")
    return f"https://{owner.lower()}.github.io/{name}"


def carried(text: str, address: str) -> str:
    """`text` with every address of a repository replaced by `address` and what follows from it."""
    for pattern, new in (
        (rf"https://github\.com/{_NAME}/{_NAME}", address),
        (rf"https://colab\.research\.google\.com/github/{_NAME}/{_NAME}", colab(address)),
        (rf"https://{_NAME}\.github\.io/{_NAME}", site(address)),
    ):
        text = re.sub(pattern, new, text)
    return text


def main(arguments: list[str]) -> int:
    check, stale = "--check" in arguments, []
    for name in CARRIERS:
        path = ROOT / name
        old = path.read_text(encoding="utf-8")
        new = carried(old, repository())
        if new != old:
            stale.append(name)
            if not check:
                path.write_text(new, encoding="utf-8")
    for name in stale:
        print(f"{name}: {'another address than pyproject.toml; make format' if check else 'moved'}")
    return 1 if stale and check else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
