"""Tiny ImageNet: 200 classes of 64x64 photographs (Stanford CS231n), from JPEGs to HDF5.

The labels of its test set are not public, so 50 training images of each class become the test set
(stratified, seed 42) and `val/` is the validation set: 90,000, 10,000 and 10,000 images of the
official archive, as in the article (source S5). A folder with fewer images per class gives a
smaller training set.

`prepare` writes `train.hdf5`, `val.hdf5`, `test.hdf5` and the training mean of R, G and B,
`means.json`. A label is the place of the class in the sorted ids (wnids). The attribute
`source_sha256` is that of the text `sha256sum` prints for `wnids.txt`, `words.txt`,
`val/val_annotations.txt` and all images, sorted by name: a folder and its archive agree.
"""

import errno
import hashlib
import io
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import zipfile
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import lru_cache, partial
from multiprocessing import get_context, parent_process
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from course_lib import files, processor, settings
from course_lib.datasets import Dataset, hdf5

URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
MD5 = "90528d7ca1a48142e341f4ef8d21d0de"  # no SHA-256 was published
ARCHIVE_BYTES = 248_100_043
FOLDER = "tiny-imagenet-200"
PREPARED = "tiny-imagenet"
ANNOTATIONS = "val/val_annotations.txt"
SHAPE = (64, 64, 3)
IMAGE_BYTES = 64 * 64 * 3
TEST_PER_CLASS = 50
BLOCK = 250  # images that a process decodes at a time
FEW = 2_000  # images that are decoded sooner than other processes start


def load(in_memory: bool | None = None, **options) -> Dataset:
    """The data set, prepared if need be; `options` and errors as for `prepare`.

    in_memory: images as arrays, 12 KiB each, or as readers (hdf5.Images); None takes arrays
    where all of them fill at most a quarter of the machine's memory. Both give the same batches.
    """
    folder = prepare(**options)
    if in_memory is None:
        pages = os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
        size = sum(file.stat().st_size for file in folder.glob("*.hdf5"))
        in_memory = size <= pages * hdf5.PAGE / 4
    return _read(folder, in_memory)


def prepare(data: Path | None = None, test_per_class: int = TEST_PER_CLASS) -> Path:
    """The folder of the HDF5 files in `data`, made if need be, and checked.

    data: COURSE_DATA_DIR by default; holds the unpacked images or their archive, which is
    downloaded if need be. The folder appears when all is done, and is never touched again: after
    an interruption the next call starts over.

    Raises CourseError for images that are missing or not what they should be, and when there is
    no room.
    """
    data = data or settings.data_dir()
    folder = data / PREPARED
    if not folder.is_dir():
        source = _source(files.writable(data))
        with files.alone(data) as locked:
            for left in data.glob(f".{PREPARED}-*") if locked else ():  # by interrupted ones
                shutil.rmtree(left, ignore_errors=True)
            if not folder.is_dir():
                _convert(source, folder, test_per_class)
    _read(folder, in_memory=False)
    return folder


def _read(folder: Path, in_memory: bool) -> Dataset:
    remedy = f"delete the folder {folder} and run this again"
    arrays, sources = {}, set()
    for part in ("train", "val", "test"):
        file = folder / f"{part}.hdf5"
        images, labels, attributes = hdf5.read(file, remedy, in_memory)
        classes = tuple(attributes.get("classes", ()))
        if attributes.get("split") != part or images.shape[1:] != SHAPE or not classes:
            raise settings.CourseError(f"{file} is not the {part} set; {remedy}")
        sources.add((attributes.get("source_sha256"), classes))
        arrays |= {f"x_{part}": images, f"y_{part}": labels}
    if len(sources) > 1:
        raise settings.CourseError(f"the files in {folder} are of different images; {remedy}")
    # Hashing 110,000 images at every load would take seconds: `prepare` hashed their files.
    return Dataset(PREPARED, classes, **arrays, content=attributes.get("source_sha256"))


# --- the images as they are published -------------------------------------------------------------


def _source(data: Path) -> Path:
    """The unpacked folder, or else the archive."""
    if (data / FOLDER).is_dir():
        return data / FOLDER
    from course_lib.datasets import download

    return download.fetch(URL, f"md5:{MD5}", data, size=ARCHIVE_BYTES)


@lru_cache(1)
def _archive(path: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


def _bytes(source: Path, name: str) -> bytes:
    try:
        if source.suffix == ".zip":
            return _archive(source).read(f"{FOLDER}/{name}")
        with open(f"{source}/{name}", "rb") as file:  # pathlib takes a tenth of all the time
            return file.read()
    except (FileNotFoundError, KeyError):
        raise _wrong(source, name, "is missing") from None
    except Exception as error:  # damage to an archive shows in many ways
        raise _wrong(source, name, f"cannot be read ({error})") from error


def _wrong(source: Path, name: str, what: str) -> settings.CourseError:
    return settings.CourseError(
        f"{source}: {name} {what}; delete {source.name} and unpack or download it again"
    )


def plan(source: Path, test_per_class: int):
    """(wnids, classes, {part: [(label, file)]}), the same in whatever order files are listed."""
    wnids = sorted(_bytes(source, "wnids.txt").decode().split())
    lines = _bytes(source, "words.txt").decode().splitlines()
    words = dict(line.split("\t", 1) for line in lines if "\t" in line)
    unnamed = [wnid for wnid in wnids if wnid not in words]
    if unnamed or not wnids:
        raise _wrong(source, "words.txt", f"has no name for {' '.join(unnamed) or 'any class'}")
    label = {wnid: number for number, wnid in enumerate(wnids)}

    if source.suffix == ".zip":
        found = (name.removeprefix(f"{FOLDER}/") for name in _archive(source).namelist())
    else:
        found = (p.relative_to(source).as_posix() for p in source.glob("train/*/images/*.JPEG"))
    found = filter(re.compile(r"train/[^/]+/images/[^/.][^/]*\.JPEG").fullmatch, found)
    images = [(label[n.split("/")[1]], n) for n in sorted(found) if n.split("/")[1] in label]
    _even(source, "train/{}/images", wnids, images, test_per_class + 1)

    validation = []
    for number, line in enumerate(_bytes(source, ANNOTATIONS).decode().splitlines(), 1):
        file, wnid = [*line.split("\t"), ""][:2]
        if wnid not in label:
            raise _wrong(source, ANNOTATIONS, f"has an unknown class in line {number}: {wnid!r}")
        validation.append((label[wnid], f"val/images/{file}"))
    _even(source, ANNOTATIONS + " for {}", wnids, validation, 1)

    from sklearn.model_selection import train_test_split  # takes a second to import

    labels, size = [number for number, _ in images], test_per_class * len(wnids)
    train, test = train_test_split(images, test_size=size, stratify=labels, random_state=42)
    parts = {"train": sorted(train), "val": sorted(validation), "test": sorted(test)}
    return wnids, [words[wnid].split(",")[0].strip() for wnid in wnids], parts


def _even(source: Path, where: str, wnids: list[str], images: list, least: int) -> None:
    """CourseError unless all classes have equally many images, and `least` or more."""
    counts = np.bincount([label for label, _ in images], minlength=len(wnids))
    wanted = max(least, *counts)
    for wnid, count in zip(wnids, counts, strict=True):
        if count < wanted:
            what = f"has {count} images where {wanted} or more are expected"
            raise _wrong(source, where.format(wnid), what)


# --- from JPEGs to HDF5 ---------------------------------------------------------------------------


def decode(raw: bytes) -> np.ndarray:
    """A JPEG as (64, 64, 3) uint8 in RGB; ValueError says what is wrong with it."""
    try:
        image = Image.open(io.BytesIO(raw), formats=("JPEG",))
        if image.size == SHAPE[:2]:
            pixels = (image if image.mode == "RGB" else image.convert("RGB")).tobytes()
            return np.frombuffer(pixels, np.uint8).reshape(SHAPE)
    except Exception as error:  # damage shows in many ways
        raise ValueError("is truncated or no JPEG") from error
    raise ValueError(f"has {image.width}x{image.height} pixels, not 64x64")


def _write_block(source: Path, target: Path, names: list[str], start: int):
    """Decode `names` into `target` from byte `start` on. Their SHA-256, sum of (R, G, B)."""
    pixels, digests = np.empty((len(names), *SHAPE), np.uint8), []
    for number, name in enumerate(names):
        raw = _bytes(source, name)
        digests.append(hashlib.sha256(raw).hexdigest())
        try:
            pixels[number] = decode(raw)
        except ValueError as error:
            raise _wrong(source, name, str(error)) from error
    with open(target, "r+b") as file:
        file.seek(start)
        file.write(pixels)
    return digests, pixels.sum(0, dtype=np.int64).sum((0, 1))


@contextmanager
def _mapping(images: int):
    """`map`, on all cores unless there are few images. (Threads are slower than one alone.)"""
    if images < FEW:
        yield map
        return
    cores = min(processor.cores(), 60)  # Windows waits for no more than 63
    pool = ProcessPoolExecutor(cores, get_context("spawn"), initializer=_depend_on_parent)
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)


def _depend_on_parent() -> None:
    """In a worker: Ctrl-C is the parent's to answer, and its end is the worker's, kill -9 too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    wait = parent_process().join
    threading.Thread(target=lambda: (wait(), os._exit(1)), daemon=True).start()


def _convert(source: Path, folder: Path, test_per_class: int) -> None:
    temporary = Path(tempfile.mkdtemp(prefix=f".{PREPARED}-", dir=folder.parent))
    try:
        made = temporary / PREPARED  # whose permissions are the usual ones, unlike mkdtemp's
        made.mkdir()
        _write(made, source, *plan(source, test_per_class))
        os.rename(made, folder)
    except (OSError, RuntimeError) as error:  # RuntimeError: of h5py, or a worker died
        if not folder.is_dir():  # else another process was faster, and its folder is as good
            raise settings.CourseError(
                f"cannot write {folder}: {getattr(error, 'strerror', None) or error}; make room "
                "there or choose another folder with COURSE_DATA_DIR"
            ) from error
    finally:
        _archive.cache_clear()
        shutil.rmtree(temporary, ignore_errors=True)


def _write(folder: Path, source: Path, wnids, classes, parts) -> None:
    """The three HDF5 files and the means, into `folder`."""
    total = sum(map(len, parts.values()))
    if shutil.disk_usage(folder).free < total * IMAGE_BYTES:
        raise OSError(errno.ENOSPC, f"{total * IMAGE_BYTES / 1e9:.2f} GB are needed")
    texts = ("wnids.txt", "words.txt", ANNOTATIONS)
    digests = {name: hashlib.sha256(_bytes(source, name)).hexdigest() for name in texts}
    sums = dict.fromkeys(parts, 0)
    with _mapping(total) as mapping:
        for part, images in parts.items():
            file, names = folder / f"{part}.hdf5", [name for _, name in images]
            first, steps = hdf5.create(file, (len(names), *SHAPE)), range(0, len(names), BLOCK)
            blocks = [names[k : k + BLOCK] for k in steps]
            starts = [first + k * IMAGE_BYTES for k in steps]
            done = mapping(partial(_write_block, source, file), blocks, starts)
            bar = tqdm(total=len(names), desc=part, unit=" images", file=sys.stderr, disable=None)
            with bar:
                for block, (hashes, colours) in zip(blocks, done, strict=True):
                    digests |= zip(block, hashes, strict=True)
                    sums[part] += colours
                    bar.update(len(block))
    listing = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))
    attributes = {
        "wnids": wnids,
        "classes": classes,
        "source_sha256": hashlib.sha256(listing.encode()).hexdigest(),
        "training_images_per_class": len(parts["train"]) // len(wnids),
    }
    for part, images in parts.items():
        labels, names = zip(*images, strict=True)
        hdf5.finish(folder / f"{part}.hdf5", labels, names, {**attributes, "split": part})
    means = sums["train"] / (len(parts["train"]) * SHAPE[0] * SHAPE[1])
    (folder / "means.json").write_text(json.dumps(dict(zip("RGB", means, strict=True))) + "\n")
