"""Files from the network: resumed where they were cut, checked by their hash, never half-written.

pooch checks the hash and moves the finished file into place. Its own HTTP downloader starts
every download anew, so a small one stands here that goes on with a `.part` file.
"""

import os
import sys
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import pooch
import requests
from tqdm import tqdm
from urllib3.exceptions import HTTPError as BrokenStream

from course_lib import lock, settings

TIMEOUT = 30  # seconds without a byte from the server
NETWORK_ERRORS = (requests.RequestException, BrokenStream)
HASHES = {"sha256": "SHA-256", "md5": "MD5"}


def fetch(
    url: str,
    known_hash: str,
    target_folder: Path,
    mirrors: tuple[str, ...] = (),
    *,
    size: int | None = None,
    progress: bool | None = None,
) -> Path:
    """The path of the file at `url` in `target_folder`, downloaded if it is not there yet.

    known_hash: SHA-256 in hexadecimal, or "md5:" and the MD5, for want of a better one. A file
    that is there already is checked too. `mirrors` are tried in turn after `url`; what a
    cut download left in `<name>.part` is continued, by the next call as well. `size` in bytes
    lets an error tell a truncated file. `progress` True or False shows or hides the bar on
    stderr; None shows it on a terminal.

    Raises CourseError when the file cannot be downloaded (saying what to put where), when its
    hash is wrong, and when the folder cannot be written to. The file is complete or absent.
    """
    folder = Path(target_folder)
    target = folder / PurePosixPath(urlsplit(url).path).name
    if target.exists():
        return _checked(target, known_hash, size)
    settings.writable(folder)
    # Where nothing can be locked, two at once spoil each other's .part, which the hash reveals.
    with lock.alone(folder):
        if target.exists():  # another process fetched it while this one waited
            return _checked(target, known_hash, size)
        reasons = []
        for address in (url, *mirrors):
            try:
                _download(address, known_hash, target, progress)
                return target
            except (*NETWORK_ERRORS, ValueError) as error:
                reasons.append(f"{address}: {_reason(error)}")
            except OSError as error:
                raise settings.CourseError(
                    f"cannot write {target}: {error.strerror}; make room there or choose another "
                    "folder with COURSE_DATA_DIR"
                ) from error
    algorithm, digest = _hash(known_hash)
    raise settings.CourseError(
        f"cannot download {target.name} ({'; '.join(reasons)}); put the file {target.name} with "
        f"{HASHES[algorithm]} {digest} into {folder} and run this again"
    )


def _hash(known_hash: str) -> tuple[str, str]:
    """Algorithm, a key of HASHES, and digest of a hash as `fetch` takes it."""
    algorithm, _, digest = known_hash.lower().rpartition(":")
    return algorithm or "sha256", digest


def _checked(target: Path, known_hash: str, size: int | None) -> Path:
    """`target`, when it is the published file. One that is not is left to its owner."""
    algorithm, digest = _hash(known_hash)
    try:
        actual = target.stat().st_size
        if size is not None and actual < size:
            wrong = f"is truncated: {actual:,} of {size:,} bytes"
        elif pooch.file_hash(str(target), algorithm) == digest:
            return target
        else:
            wrong = f"is not the published file: its {HASHES[algorithm]} is not {digest}"
    except OSError as error:
        wrong = f"cannot be read: {error.strerror}"
    raise settings.CourseError(f"{target} {wrong}; delete it and run this again")


def _download(url: str, known_hash: str, target: Path, progress: bool | None) -> None:
    """Download `url` to `target`. ValueError for a wrong hash; nothing is kept then."""
    part = target.with_name(target.name + ".part")
    resumed = part.exists()
    downloader = _Resuming(part, progress)
    arguments = {
        "known_hash": ":".join(_hash(known_hash)),
        "fname": target.name,
        "path": target.parent,
    }
    try:
        pooch.retrieve(url, downloader=downloader, **arguments)
    except ValueError:
        if not resumed:
            raise
        # The .part of an earlier day may belong to another file: once more, from the start.
        pooch.retrieve(url, downloader=downloader, **arguments)


class _Resuming:
    """A downloader for pooch that appends to a `.part` file and asks only for what is missing."""

    def __init__(self, part: Path, progress: bool | None):
        self.part = part
        self.progress = progress

    def __call__(self, url, output_file, pooch, check_only=False):
        while True:
            before = self._bytes()
            try:
                self._append(url)
                break
            except NETWORK_ERRORS:
                if self._bytes() <= before:
                    raise
                # Cut on the way, yet further than before: go on at once.
        os.replace(self.part, output_file)

    def _bytes(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _append(self, url: str) -> None:
        have = self._bytes()
        # Bytes as they are stored: a range of a file that is compressed on the way means nothing.
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            # 416: nothing lies beyond what is here, which is complete, or wrong.
            if have and answer.status_code == 416:
                if answer.headers.get("Content-Range") != f"bytes */{have}":
                    self.part.unlink()
                    self._append(url)
                return
            answer.raise_for_status()
            given = answer.headers.get("Content-Range", "")
            if answer.status_code != 206 or not given.startswith(f"bytes {have}-"):
                have = 0  # the server does not resume
            length = answer.headers.get("Content-Length")
            total = have + int(length) if length else None
            with open(self.part, "ab" if have else "wb") as file, self._bar(have, total) as bar:
                # Not iter_content: it would unpack an archive that is labelled as an encoding.
                for chunk in answer.raw.stream(1 << 16, decode_content=False):
                    file.write(chunk)
                    bar.update(len(chunk))
        if total is not None and self._bytes() < total:
            raise requests.ConnectionError("the connection was cut")

    def _bar(self, have: int, total: int | None) -> tqdm:
        # disable=None: tqdm stays silent unless stderr is a terminal.
        return tqdm(
            desc=self.part.stem,
            initial=have,
            total=total,
            unit="B",
            unit_scale=True,
            file=sys.stderr,
            disable=None if self.progress is None else not self.progress,
        )


def _reason(error: Exception) -> str:
    """An error in a few words."""
    if isinstance(error, requests.HTTPError):
        return f"the server answers {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return f"no answer within {TIMEOUT} s"
    if isinstance(error, ValueError) and not isinstance(error, requests.RequestException):
        return "what it sends has another hash"
    return "no connection, or it was cut"
