"""Files from the network: resumed where they were cut, checked by SHA-256, never half-written.

pooch checks the hash and moves the finished file into place. Its own HTTP downloader starts
every download anew, so a small one stands here that goes on with a `.part` file.
"""

import contextlib
import os
import sys
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import pooch
import requests
from tqdm import tqdm
from urllib3.exceptions import HTTPError as BrokenStream

from course_lib import settings

try:
    import fcntl
except ImportError:  # Windows: without the lock, two downloads at once spoil each other's .part,
    fcntl = None  # which the hash then reveals.

TIMEOUT = 30  # seconds without a byte from the server
NETWORK_ERRORS = (requests.RequestException, BrokenStream)


def fetch(
    url: str,
    sha256: str,
    target_folder: Path,
    mirrors: tuple[str, ...] = (),
    *,
    size: int | None = None,
    progress: bool | None = None,
) -> Path:
    """The path of the file at `url` in `target_folder`, downloaded if it is not there yet.

    A file that is there already is checked too. `mirrors` are tried in turn after `url`; what a
    cut download left in `<name>.part` is continued, by the next call as well. `size` in bytes
    lets an error tell a truncated file. `progress` True or False shows or hides the bar on
    stderr; None shows it on a terminal.

    Raises CourseError when the file cannot be downloaded (saying what to put where), when its
    hash is wrong, and when the folder cannot be written to. The file is complete or absent.
    """
    folder = Path(target_folder)
    target = folder / PurePosixPath(urlsplit(url).path).name
    if target.exists():
        return _checked(target, sha256, size)
    settings.writable(folder)
    with _alone(folder):
        if target.exists():  # another process fetched it while this one waited
            return _checked(target, sha256, size)
        reasons = []
        for address in (url, *mirrors):
            try:
                _download(address, sha256, target, progress)
                return target
            except (*NETWORK_ERRORS, ValueError) as error:
                reasons.append(f"{address}: {_reason(error)}")
            except OSError as error:
                raise settings.CourseError(
                    f"cannot write {target}: {error.strerror}; make room there or choose another "
                    "folder with COURSE_DATA_DIR"
                ) from error
    raise settings.CourseError(
        f"cannot download {target.name} ({'; '.join(reasons)}); "
        f"put the file {target.name} with SHA-256 {sha256} into {folder} and run this again"
    )


def _checked(target: Path, sha256: str, size: int | None) -> Path:
    """`target`, when it is the published file. One that is not is left to its owner."""
    try:
        actual = target.stat().st_size
        if size is not None and actual < size:
            wrong = f"is truncated: {actual:,} of {size:,} bytes"
        elif pooch.file_hash(str(target)) == sha256.lower():
            return target
        else:
            wrong = f"is not the published file: its SHA-256 is not {sha256}"
    except OSError as error:
        wrong = f"cannot be read: {error.strerror}"
    raise settings.CourseError(f"{target} {wrong}; delete it and run this again")


def _download(url: str, sha256: str, target: Path, progress: bool | None) -> None:
    """Download `url` to `target`. ValueError for a wrong hash; nothing is kept then."""
    part = target.with_name(target.name + ".part")
    resumed = part.exists()
    downloader = _Resuming(part, progress)
    arguments = {"known_hash": f"sha256:{sha256}", "fname": target.name, "path": target.parent}
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
        return "what it sends has another SHA-256"
    return "no connection, or it was cut"


@contextlib.contextmanager
def _alone(folder: Path):
    """Let one process at a time download into `folder`. The lock ends with its process."""
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems lock no folders
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"waiting for another download into {folder}", file=sys.stderr)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
