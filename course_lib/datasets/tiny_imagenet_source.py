"""Tiny ImageNet as it is published: a folder of JPEGs, or the archive of it, read and checked.

Paths are those in the folder, `train/<wnid>/images/<name>.JPEG`, for both.
"""

import codecs
import os
import re
import zipfile
from collections import Counter
from functools import lru_cache
from pathlib import Path

import numpy as np

from course_lib import settings

URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
MD5 = "90528d7ca1a48142e341f4ef8d21d0de"  # no SHA-256 was published
ARCHIVE_BYTES = 248_100_043
FOLDER = "tiny-imagenet-200"
ANNOTATIONS = "val/val_annotations.txt"
MAX_FILE_BYTES = 16 * 2**20  # words.txt, the largest, has 2.6 MB


def find(data: Path) -> Path:
    """The unpacked folder, or else the archive."""
    if (data / FOLDER).is_dir():
        return data / FOLDER
    from course_lib.datasets import download

    return download.fetch(URL, f"md5:{MD5}", data, size=ARCHIVE_BYTES)


@lru_cache(1)
def archive(path: Path) -> zipfile.ZipFile:
    """The opened archive; it stays open until `archive.cache_clear()`."""
    return zipfile.ZipFile(path)


def content(source: Path, name: str) -> bytes:
    """A file of the source, by its path in there; CourseError where it cannot be had."""
    try:
        with _opened(source, name) as file:
            raw = file.read(MAX_FILE_BYTES + 1)  # whatever a small archive unpacks to
    except (FileNotFoundError, KeyError):
        raise wrong(source, name, "is missing") from None
    except Exception as error:  # damage to an archive shows in many ways
        if isinstance(error, OSError) and error.errno:
            raise closed(error) from error
        raise wrong(source, name, f"cannot be read ({error})") from error
    if len(raw) > MAX_FILE_BYTES:
        raise wrong(source, name, f"is larger than {MAX_FILE_BYTES:,} bytes")
    return raw


def _opened(source: Path, name: str):
    if source.suffix != ".zip":
        return open(f"{source}/{name}", "rb")  # pathlib takes a tenth of all the time
    member = archive(source).getinfo(f"{FOLDER}/{name}")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise zipfile.BadZipFile("compressed otherwise than the published archive")
    return archive(source).open(member)


def _text(source: Path, name: str) -> list[str]:
    """The lines of a text, in UTF-8 as it is published, or as an editor has saved it."""
    raw = content(source, name)
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return raw.decode("utf-16", "replace").splitlines()
    try:
        return raw.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace").splitlines()


def wrong(source: Path, name: str, what: str) -> settings.CourseError:
    """The error for a file of the source that is not what it should be."""
    return settings.CourseError(
        f"{source}: {name} {what}; delete {source.name} and unpack or download it again"
    )


def closed(error: OSError) -> settings.CourseError:
    """What the system does not let be read may be whole: nothing is to be deleted."""
    return settings.CourseError(
        f"{error.filename} cannot be read: {error.strerror}; mend that and run this again"
    )


def plan(source: Path, test_per_class: int):
    """(wnids, classes, {part: [(label, file)]}), the same in whatever order files are listed."""
    wnids = sorted(word for line in _text(source, "wnids.txt") for word in line.split())
    if twice := _twice(wnids):
        raise wrong(source, "wnids.txt", f"names {twice} twice")
    words = dict(line.split("\t", 1) for line in _text(source, "words.txt") if "\t" in line)
    unnamed = [wnid for wnid in wnids if wnid not in words]
    if unnamed or not wnids:
        raise wrong(source, "words.txt", f"has no name for {' '.join(unnamed) or 'any class'}")
    label = {wnid: number for number, wnid in enumerate(wnids)}

    if source.suffix == ".zip":
        found = (name.removeprefix(f"{FOLDER}/") for name in archive(source).namelist())
    else:
        found = _files(source, "train")
    found = filter(re.compile(r"train/[^/]+/images/[^/.][^/]*\.JPEG").fullmatch, found)
    images = [(label[n.split("/")[1]], n) for n in sorted(found) if n.split("/")[1] in label]
    _even(source, "train/{}/images", wnids, images, test_per_class + 1)

    validation, seen = [], set()
    for number, line in enumerate(_text(source, ANNOTATIONS), 1):
        file, wnid = [*line.split("\t"), ""][:2]
        if wnid not in label:
            raise wrong(source, ANNOTATIONS, f"has an unknown class in line {number}: {wnid!r}")
        if file in seen:
            raise wrong(source, ANNOTATIONS, f"names {file} a second time in line {number}")
        seen.add(file)
        validation.append((label[wnid], f"val/images/{file}"))
    _even(source, ANNOTATIONS + " for {}", wnids, validation, 1)

    from sklearn.model_selection import train_test_split  # takes a second to import

    labels, size = [number for number, _ in images], test_per_class * len(wnids)
    train, test = train_test_split(images, test_size=size, stratify=labels, random_state=42)
    parts = {"train": sorted(train), "val": sorted(validation), "test": sorted(test)}
    return wnids, [words[wnid].split(",")[0].strip() for wnid in wnids], parts


def _twice(items: list[str]) -> str | None:
    return next((item for item, count in Counter(items).items() if count > 1), None)


def _files(source: Path, part: str):
    """The paths of all files below `part`, from `source` on; CourseError for a closed folder, which
    `glob` would pass by."""

    def refuse(error: OSError):
        raise closed(error)

    for folder, _, names in os.walk(source / part, onerror=refuse, followlinks=True):
        place = Path(folder).relative_to(source).as_posix()
        yield from (f"{place}/{name}" for name in names)


def _even(source: Path, where: str, wnids: list[str], images: list, least: int) -> None:
    """CourseError unless all classes have as many images as most of them, and `least` or more."""
    counts = np.bincount([label for label, _ in images], minlength=len(wnids)).tolist()
    wanted = max(least, Counter(counts).most_common(1)[0][0])
    for wnid, count in zip(wnids, counts, strict=True):
        if count != wanted:
            what = f"has {count} images where {wanted} are expected"
            raise wrong(source, where.format(wnid), what)
