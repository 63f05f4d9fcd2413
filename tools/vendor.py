"""Fetch the scripts and fonts that the built book needs into book/_static/vendor/.

    python tools/vendor.py            fetch, check and write everything anew
    python tools/vendor.py --check    check the committed files, without a network

The files are committed, so building the book fetches nothing. To move to a newer version change
its entry in ARCHIVES (version and SHA-256 of the archive) and run this again. Archives are never
unpacked: only the members named here are read, and they are written under names of our own.
"""

import argparse
import hashlib
import importlib.metadata
import io
import json
import os
import shutil
import sys
import tarfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

VENDOR = Path(__file__).resolve().parent.parent / "book" / "_static" / "vendor"
REGISTRY = "https://registry.npmjs.org"


@dataclass(frozen=True)
class Archive:
    """A package of the npm registry. sha256: of its .tgz; files: member below package/ -> target
    below the vendor folder."""

    name: str
    version: str
    license: str
    sha256: str
    files: dict[str, str]

    @property
    def url(self) -> str:
        return f"{REGISTRY}/{self.name}/-/{self.name.split('/')[-1]}-{self.version}.tgz"


def _font(name: str, version: str, sha256: str, styles: tuple[str, ...]) -> Archive:
    files = {
        f"files/{name}-latin-wght-{style}.woff2": f"fonts/{name}-{style}.woff2" for style in styles
    }
    files["LICENSE"] = f"LICENSES/{name}.txt"
    return Archive(f"@fontsource-variable/{name}", version, "OFL-1.1", sha256, files)


ARCHIVES = (
    # One file that holds every TeX extension and draws its own glyphs: no request beside it.
    Archive(
        "mathjax",
        "3.2.2",
        "Apache-2.0",
        "1b9c0a1c44df864e915690558e72adb9cc5203360daefd385084ced3b6c64c09",
        {"es5/tex-svg-full.js": "mathjax/tex-svg-full.js", "LICENSE": "LICENSES/mathjax.txt"},
    ),
    Archive(
        "requirejs",
        "2.3.8",
        "MIT",
        "777158e89275e16bd51aec3ef714fbcb5dc45789e7078659933bc814916d7dec",
        {"require.js": "widgets/require.js"},
    ),
    Archive(
        "@jupyter-widgets/html-manager",
        "1.0.15",
        "BSD-3-Clause",
        "2b9d65cb7913e1c7d671757a10008b32c9c2448d4429513371e55c07d6107638",
        {
            "dist/embed-amd.js": "widgets/embed-amd.js",
            # Its style sheet restyles the theme's icons too, so every widget page asks for these.
            "dist/1551f4f60c37af51121f.woff2": "widgets/1551f4f60c37af51121f.woff2",
            "dist/7a3337626410ca2f4071.woff2": "widgets/7a3337626410ca2f4071.woff2",
            "dist/d878b0a6a1144760244f.woff2": "widgets/d878b0a6a1144760244f.woff2",
            "dist/embed.js.LICENSE.txt": "LICENSES/html-manager-parts.txt",
        },
    ),
    _font(
        "source-serif-4",
        "5.3.1",
        "8c452853c74be1e43e9fbfe76321c26f4678a2d431e93209ff1d9faec03fd96f",
        ("normal", "italic"),
    ),
    _font(
        "source-sans-3",
        "5.3.0",
        "115c2d5a38a05d52c77ba02e4d939644bae30585a30a2e4657a3be2c99d5c7dc",
        ("normal",),
    ),
    _font(
        "source-code-pro",
        "5.3.0",
        "ad0ce660b35cd54214f105c7b85db16238e360afa800ca7c4aeae439c53cc517",
        ("normal",),
    ),
)

# Taken from the installed wheels, so that the JavaScript fits the Python that writes the pages:
# distribution, license, {file of the wheel: target}.
INSTALLED = (
    (
        "anywidget",
        "MIT",
        {
            "anywidget/nbextension/index.js": "widgets/anywidget.js",
            "anywidget-{version}.dist-info/licenses/LICENSE": "LICENSES/anywidget.txt",
        },
    ),
    (
        # html-manager comes from the ipywidgets repository; its npm package has no license file.
        "ipywidgets",
        "BSD-3-Clause",
        {"ipywidgets-{version}.dist-info/licenses/LICENSE": "LICENSES/html-manager.txt"},
    ),
)

# The npm package carries no license file; this is the MIT half of the project's.
REQUIREJS_LICENSE = """\
MIT License

Copyright (c) 2010, The Dojo Foundation; jQuery Foundation and other contributors

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or
substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM,
DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT
OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def members(archive: Archive, data: bytes) -> dict[str, bytes]:
    """Target -> content of the wanted members of a .tgz; SystemExit when it is not the one."""
    if digest(data) != archive.sha256:
        raise SystemExit(f"{archive.url}: SHA-256 {digest(data)}, expected {archive.sha256}")
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member, target in archive.files.items():
            content = tar.extractfile(f"package/{member}")
            if content is None:
                raise SystemExit(f"{archive.url}: {member} is not a file")
            found[target] = content.read()
    return found


def trimmed(target: str, data: bytes) -> bytes:
    """Without pointers to source maps that are not here and, for embed-amd, without the two
    modules that show widgets saved by ipywidgets 7 (0.8 MB)."""
    if not target.endswith(".js"):
        return data
    old = (b'define("@jupyter-widgets/base7"', b'define("@jupyter-widgets/controls7"')
    lines = data.split(b"\n")
    return b"\n".join(
        line for line in lines if not line.startswith((b"//# sourceMappingURL=", *old))
    )


def fetch(url: str) -> bytes:
    print(f"fetching {url}", flush=True)
    with urllib.request.urlopen(url, timeout=120) as response:
        return response.read()


def collect() -> tuple[dict[str, bytes], list[dict]]:
    """All files (target -> content) and the manifest's entries."""
    files, entries = {}, []

    def add(name, version, license, source, found):
        found = {target: trimmed(target, data) for target, data in found.items()}
        files.update(found)
        hashes = {target: digest(data) for target, data in sorted(found.items())}
        entries.append(
            {"name": name, "version": version, "license": license, **source, "files": hashes}
        )

    for archive in ARCHIVES:
        found = members(archive, fetch(archive.url))
        if archive.name == "requirejs":
            found["LICENSES/requirejs.txt"] = REQUIREJS_LICENSE.encode()
        source = {"source": archive.url, "source_sha256": archive.sha256}
        add(archive.name, archive.version, archive.license, source, found)
    for name, license, wanted in INSTALLED:
        wheel = importlib.metadata.distribution(name)
        found = {
            target: Path(wheel.locate_file(path.format(version=wheel.version))).read_bytes()
            for path, target in wanted.items()
        }
        add(name, wheel.version, license, {"source": "the installed wheel"}, found)
    return files, entries


def write(folder: Path, files: dict[str, bytes], entries: list[dict]) -> None:
    """Replace `folder` by the files and their manifest, all or nothing."""
    fresh = folder.with_name(f".{folder.name}.{os.getpid()}")
    for target, data in files.items():
        path = fresh / target
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (fresh / "manifest.json").write_text(json.dumps(entries, indent=2) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(fresh, folder)


def check(folder: Path = VENDOR) -> list[str]:
    """What is wrong with the committed files, one line each; [] when all is well."""
    try:
        entries = json.loads((folder / "manifest.json").read_text())
    except (OSError, ValueError) as error:
        return [f"manifest.json cannot be read ({error}); run python tools/vendor.py"]
    wrong = []
    pinned = {a.name: a.version for a in ARCHIVES}
    stated = {e["name"]: e["version"] for e in entries}
    for name, version in pinned.items():
        if stated.get(name) != version:
            wrong.append(f"{name}: the manifest has {stated.get(name)}, ARCHIVES {version}")
    hashes = {target: sha for entry in entries for target, sha in entry["files"].items()}
    for target, sha in hashes.items():
        path = folder / target
        if not path.is_file():
            wrong.append(f"{target} is missing")
        elif digest(path.read_bytes()) != sha:
            wrong.append(f"{target} was changed: its SHA-256 is not the manifest's")
    for path in sorted(folder.rglob("*")):
        target = path.relative_to(folder).as_posix()
        if path.is_file() and target not in hashes and target != "manifest.json":
            wrong.append(f"{target} is not in the manifest")
    return wrong


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="check the committed files only")
    if not parser.parse_args(arguments).check:
        write(VENDOR, *collect())
    wrong = check()
    print("\n".join(wrong) or "book/_static/vendor: all files as in the manifest")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
