"""Files from the network: resumed where they were cut, checked by their hash, never half-written.

pooch checks the hash and moves the finished file into place. Its own HTTP downloader starts
every download anew, so a small one stands here that goes on with a `.part` file.
"""

import os
import sys
import time
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import urlsplit

import pooch
import requests
from tqdm import tqdm
from urllib3.exceptions import HTTPError as BrokenStream
from urllib3.exceptions import ReadTimeoutError

from course_lib import files, settings

TIMEOUT = 30  # seconds without a byte from the server
RETRIES = 5  # after a download that had begun got stuck, when nobody else can be asked
PAUSE = 5  # seconds before the first of them; longer before each further one
NETWORK_ERRORS = (requests.RequestException, BrokenStream)
HASHES = {"sha256": "SHA-256", "md5": "MD5"}


class Limit(NamedTuple):
    """What a server must send, where another one can be asked: `rate` bytes/s in `seconds` s."""

    rate: float = 100_000
    seconds: float = 20


LIMIT = Limit()


class Unavailable(settings.CourseError):
    """A server does not give the file; the message says why."""


class TooSlow(Unavailable):
    """A server gives the file, below the limit."""


def fetch(
    url: str,
    known_hash: str,
    target_folder: Path,
    *,
    size: int | None = None,
    progress: bool | None = None,
) -> Path:
    """The path of the file at `url` in `target_folder`, downloaded if it is not there yet.

    known_hash: SHA-256 in hexadecimal, or "md5:" and the MD5, for want of a better one. A file
    that is there already is checked too. What a cut download left in `<name>.part` is continued,
    by the next call as well. `size` in bytes lets an error tell a truncated file. `progress` True
    or False shows or hides the bar on stderr; None shows it on a terminal.

    Raises CourseError when the file cannot be downloaded (saying what to put where), when its
    hash is wrong, and when the folder cannot be written to. The file is complete or absent.
    """
    folder = Path(target_folder)
    target = folder / PurePosixPath(urlsplit(url).path).name
    if target.exists():
        return _checked(target, known_hash, size)
    files.writable(folder)
    # Where nothing can be locked, two at once spoil each other's .part, which the hash reveals.
    with files.alone(folder):
        if target.exists():  # another process fetched it while this one waited
            return _checked(target, known_hash, size)
        try:
            retrieve(url, target, known_hash, progress=progress)
            return target
        except Unavailable as error:
            algorithm, digest = _hash(known_hash)
            raise settings.CourseError(
                f"cannot download {target.name} ({url}: {error}); put the file {target.name} with "
                f"{HASHES[algorithm]} {digest} into {folder} and run this again"
            ) from error


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


def retrieve(
    url: str,
    target: Path,
    known_hash: str | None = None,
    *,
    progress: bool | None = None,
    limit: Limit | None = None,
) -> None:
    """Download `url` to `target`, which is complete or absent; only `<name>.part` stays.

    known_hash: as `fetch` takes it; None leaves it to the caller to check what came, and who then
    finds it wrong removes it. limit: below it the download ends; None is patient.

    Raises Unavailable, of which TooSlow is one kind, and CourseError when nothing can be written.
    """
    part = target.with_name(target.name + ".part")
    resumed = part.exists()
    downloader = _Resuming(part, progress, limit)
    try:
        if known_hash is None:
            downloader(url, target, None)
            return
        arguments = {
            "known_hash": ":".join(_hash(known_hash)),
            "fname": target.name,
            "path": target.parent,
            "downloader": downloader,
        }
        try:
            pooch.retrieve(url, **arguments)
        except ValueError:
            if not resumed:
                raise
            # The .part of an earlier day may belong to another file: once more, from the start.
            pooch.retrieve(url, **arguments)
    except (*NETWORK_ERRORS, ValueError) as error:
        raise Unavailable(_reason(error, downloader.timeout)) from error
    except OSError as error:
        if not error.errno:  # requests found no bundle of certificates
            raise Unavailable(str(error)) from error
        raise settings.CourseError(
            f"cannot write {target}: {error.strerror}; make room there or choose another "
            "folder with COURSE_DATA_DIR"
        ) from error


class _Resuming:
    """A downloader for pooch that appends to a `.part` file and asks only for what is missing."""

    def __init__(self, part: Path, progress: bool | None, limit: Limit | None):
        self.part = part
        self.progress = progress
        self.limit = limit
        self.timeout = min(TIMEOUT, limit.seconds) if limit else TIMEOUT

    def __call__(self, url, output_file, pooch, check_only=False):
        first, tries = self._bytes(), 0
        self.begun, self.arrived = time.monotonic(), 0
        while True:
            before = self._bytes()
            try:
                self._append(url)
                break
            except NETWORK_ERRORS as error:
                self._count(0)
                if self._bytes() > before:  # cut on the way, yet further than before
                    tries = 0
                    continue
                tries += 1
                if self.limit or before <= first or tries > RETRIES:
                    raise
                wait = PAUSE * tries
                reason = _reason(error, self.timeout)
                print(f"{self.part.stem}: {reason}; again in {wait:g} s", file=sys.stderr)
                time.sleep(wait)
        os.replace(self.part, output_file)

    def _count(self, received: int) -> None:
        """Count what arrives. TooSlow when it was too little for as long as the limit says."""
        self.arrived += received
        elapsed = time.monotonic() - self.begun
        if self.limit and elapsed >= self.limit.seconds:
            if self.arrived < self.limit.rate * elapsed:
                rates = f"{self.arrived / elapsed / 1000:.0f} kB/s for {elapsed:.0f} s"
                raise TooSlow(f"no more than {rates}")
            self.begun, self.arrived = time.monotonic(), 0

    def _bytes(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _append(self, url: str) -> None:
        have = self._bytes()
        # Bytes as they are stored: a range of a file that is compressed on the way means nothing.
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        with requests.get(url, headers=headers, stream=True, timeout=self.timeout) as answer:
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
            with (
                open(self.part, "ab" if have else "wb") as file,
                self._bar(url, have, total) as bar,
            ):
                # Not iter_content: it would unpack an archive that is labelled as an encoding.
                # Not read: from a slow server it would wait for the whole 64 KiB.
                while chunk := answer.raw.read1(1 << 16, decode_content=False):
                    file.write(chunk)
                    bar.update(len(chunk))
                    self._count(len(chunk))
        if total is not None and self._bytes() < total:
            raise requests.ConnectionError("the connection was cut")

    def _bar(self, url: str, have: int, total: int | None) -> tqdm:
        """What comes from whom; tqdm adds the rate and the time left."""
        # disable=None: tqdm stays silent unless stderr is a terminal.
        return tqdm(
            desc=f"{self.part.stem} from {urlsplit(url).hostname}",
            initial=have,
            total=total,
            unit="B",
            unit_scale=True,
            file=sys.stderr,
            disable=None if self.progress is None else not self.progress,
        )


def _reason(error: Exception, timeout: float) -> str:
    """An error in a few words."""
    if isinstance(error, requests.HTTPError):
        answer = error.response
        who = "the proxy" if answer.status_code == 407 else "the server"
        return f"{who} answers {answer.status_code} {answer.reason}".strip()
    if isinstance(error, requests.Timeout | ReadTimeoutError):
        return f"no answer within {timeout:g} s"
    if isinstance(error, requests.exceptions.InvalidSchema) and "SOCKS" in str(error):
        return "a SOCKS proxy needs PySocks: pip install pysocks"
    if isinstance(error, ValueError):  # of which requests has kinds of its own
        known = isinstance(error, requests.RequestException)
        return "that is no address" if known else "what it sends has another hash"
    cause = _cause(error)
    if isinstance(error, requests.exceptions.SSLError):
        return f"its certificate is not trusted ({cause}); REQUESTS_CA_BUNDLE names another issuer"
    if isinstance(error, requests.exceptions.ProxyError):
        return f"no way through the proxy ({cause})"
    return f"no connection, or it was cut ({cause})"


def _cause(error: BaseException) -> str:
    """What the innermost of nested errors says: requests wraps urllib3, which wraps the system."""
    while inner := next(
        (
            e
            for e in (getattr(error, "reason", None), *error.args, error.__cause__)
            if isinstance(e, BaseException)
        ),
        None,
    ):
        error = inner
    return getattr(error, "strerror", None) or str(error)
