"""Where CIFAR-10 is looked for, one source after the other, and how it comes to COURSE_DATA_DIR."""

import gzip
import hashlib
import os
import shutil
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from course_lib import files, settings
from course_lib.datasets import Dataset, cifar10
from course_lib.datasets.cifar10 import FOLDER

HALF = ".cifar10-huggingface"  # in COURSE_DATA_DIR: what has come from there so far


def find(source: str | None = None) -> tuple[Dataset, Path]:
    """The data, and the folder in which they lie; arguments and errors as of cifar10.prepare."""
    if source is not None and source not in cifar10.SOURCES:
        raise settings.nearest(source, cifar10.SOURCES, "source", limit=len(cifar10.SOURCES))
    wanted = cifar10.SOURCES if source is None else (source,)
    data = settings.data_dir()
    folder = data / FOLDER
    if folder.is_dir():
        if "folder" not in wanted:
            _say(f"{folder} is there already; delete it to take the data from {source}")
        return cifar10.read(folder), folder
    if "folder" in wanted and (data / cifar10.ARCHIVE).exists():
        return _from_toronto(folder), folder
    if "keras" in wanted and (found := _in_keras_cache(folder)):
        return found
    servers = {"huggingface": _from_hugging_face, "toronto": _from_toronto}
    if servers := {name: get for name, get in servers.items() if name in wanted}:
        return _from_servers(servers, folder), folder
    place = data if source == "folder" else settings.keras_home() / "datasets"
    raise settings.CourseError(
        f"no CIFAR-10 in {place}; put {cifar10.ARCHIVE} there or leave out --from {source}"
    )


def _say(message: str) -> None:
    print(f"cifar10: {message}", file=sys.stderr)


def _in_keras_cache(folder: Path) -> tuple[Dataset, Path] | None:
    """What Keras has downloaded: batches, read where they lie, or an archive, unpacked to `folder`.

    Keras has called both by several names (cifar-10-batches-py.tar.gz, …-py-target_archive,
    …-py-target/cifar-10-batches-py, …-py_extracted/…): all begin alike. Source:
    keras/src/utils/file_utils.py, `get_file`, which leaves them in the temporary folder where
    its own cannot be written.
    """
    homes = [settings.keras_home(), Path(tempfile.gettempdir(), ".keras")]
    homes = homes[:1] if os.access(homes[0], os.W_OK) else homes
    there = [path for home in homes for path in sorted(home.glob("datasets/cifar-10-*"))]
    for batches in [path for outer in there for path in (outer, outer / FOLDER)]:
        if any(batches.glob("*_batch*")):
            try:
                return cifar10.read(batches), batches
            except settings.CourseError as error:
                _say(f"not from Keras' cache: {error}")
    for archive in filter(Path.is_file, there):
        if _is_published(archive):
            return _unpack(archive, folder), folder
        _say(f"not from Keras' cache: {archive} is not the published archive, or not all of it")
    return None


def _is_published(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == cifar10.SHA256
    except OSError:
        return False


def _from_servers(servers: dict[str, Callable], folder: Path) -> Dataset:
    """From the first server that has the data. One that is slow comes last, and has time then."""
    from course_lib.datasets import download

    failures, last = {}, list(servers)[-1]
    queue = [(name, None if name == last else download.LIMIT) for name in servers]
    while queue:
        name, limit = queue.pop(0)
        try:
            return servers[name](folder, limit)
        except settings.CourseError as error:
            failures[name] = error
            if isinstance(error, download.TooSlow):
                queue.append((name, None))
            if queue:
                _say(f"not from {name}: {error}; going on with {queue[0][0]}")
    raise failures[last]  # that of Toronto says what can be put where by hand


def _from_toronto(folder: Path, limit=None) -> Dataset:
    """The official archive, which stays. Whatever `limit` is: nobody else has it."""
    # Only here: a machine without a network may lack what downloading needs.
    from course_lib.datasets import download

    archive = download.fetch(cifar10.URL, cifar10.SHA256, folder.parent, size=cifar10.ARCHIVE_BYTES)
    data = _unpack(archive, folder)
    shutil.rmtree(folder.parent / HALF, ignore_errors=True)  # where another source was too slow
    return data


def _from_hugging_face(folder: Path, limit) -> Dataset:
    """The two parquet files, kept as batches. What a cut download left is continued."""
    from course_lib.datasets import huggingface

    huggingface.needed()  # before anything is downloaded
    half = files.writable(folder.parent / HALF)
    try:
        with files.alone(half):
            if folder.is_dir():  # another process made it while this one waited
                return cifar10.read(folder)
            parts = [
                huggingface.fetch(cifar10.REPOSITORY, file, half, limit) for file in cifar10.FILES
            ]
            place = f"{settings.hugging_face()}/datasets/{cifar10.REPOSITORY}"
            try:
                data = cifar10.known(*parts, place, "take another source with --from")
            except settings.CourseError:
                shutil.rmtree(half, ignore_errors=True)
                raise
            rows = _official(data.y_train)
            data = replace(data, x_train=data.x_train[rows], y_train=data.y_train[rows])
            _whole(folder, lambda made: cifar10.write(data, made))
            shutil.rmtree(half, ignore_errors=True)
            return data
    finally:
        if half.is_dir() and [file.name for file in half.iterdir()] == [files.LOCK]:
            shutil.rmtree(half, ignore_errors=True)  # nothing was begun


def _official(labels: np.ndarray) -> np.ndarray:
    """Rows that put whole batches into the order of their numbers, which labels give away.

    Another order of the images than that of the archive is left as it is.
    """
    rows = np.arange(len(labels)).reshape(-1, cifar10.ROWS)
    digests = [
        hashlib.sha256(labels[batch].astype(np.uint8).tobytes()).hexdigest() for batch in rows
    ]
    if sorted(digests) != sorted(cifar10.LABELS):
        return rows.ravel()
    return rows[[digests.index(digest) for digest in cifar10.LABELS]].ravel()


def _whole(folder: Path, fill: Callable[[Path], Dataset | None]) -> Dataset | None:
    """Make `folder` of what `fill` writes to the path it is given: complete or absent.

    Returns what `fill` returns, or what another process put there meanwhile.
    """
    files.writable(folder.parent)
    temporary = Path(tempfile.mkdtemp(prefix=".cifar10-", dir=folder.parent))
    try:
        data = fill(temporary / FOLDER)
        os.rename(temporary / FOLDER, folder)
        return data
    except OSError as error:
        if folder.is_dir():  # another process was faster, and its folder is as good
            return cifar10.read(folder)
        raise settings.CourseError(
            f"cannot write {folder}: {error.strerror}; make room there or choose another folder "
            "with COURSE_DATA_DIR"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _unpack(archive: Path, folder: Path) -> Dataset:
    """Unpack `archive` to `folder`."""

    def fill(made: Path) -> Dataset:
        try:
            with tarfile.open(archive) as tar:
                for member in tar:
                    _refuse_strangers(member, archive)
                    tar.extract(member, made.parent, filter="data")
        except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError) as error:
            raise settings.CourseError(
                f"{archive} is truncated or damaged ({error}); delete it and run this again"
            ) from error
        return cifar10.read(made, shown=archive)

    return _whole(folder, fill)


def _refuse_strangers(member: tarfile.TarInfo, archive: Path) -> None:
    """CourseError for whatever is not a plain file or folder inside the archive's own folder."""
    path = PurePosixPath(member.name)
    inside = path.parts[:1] == (FOLDER,) and ".." not in path.parts
    if not inside or not (member.isreg() or member.isdir()):
        raise settings.CourseError(
            f"{archive} holds {member.name!r}, a link or a path that leaves {FOLDER}; "
            "delete the archive and run this again"
        )
    if member.size > cifar10.MAX_FILE_BYTES:
        raise settings.CourseError(
            f"{archive} holds {member.name!r} of {member.size:,} bytes, which no batch has; delete "
            "the archive and run this again"
        )
