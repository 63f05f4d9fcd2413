"""Tiny ImageNet's layout in miniature: 20 classes of 64x64 JPEGs drawn by code, in a second.

Ten classes show one figure of the data set `synthetic`, twice as large; ten show four of them.
From the JPEGs on, all goes as with the real images.
"""

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from course_lib import settings
from course_lib.datasets import Dataset, synthetic, tiny_imagenet

NAME = "synthetic-tiny"
CLASSES = (*synthetic.CLASSES, *(f"four of {name}" for name in synthetic.CLASSES))
WNIDS = tuple(f"n9{number:07d}" for number in range(len(CLASSES)))  # WordNet has none of these
TRAIN, TEST, VALIDATION = 10, 5, 5  # images per class


def load(in_memory: bool | None = None) -> Dataset:
    """The data set, drawn if need be. Errors as of tiny_imagenet.load."""
    data = prepare().parent
    return replace(tiny_imagenet.load(in_memory, data=data, test_per_class=TEST), name=NAME)


def prepare() -> Path:
    """The folder of the HDF5 files, made if need be."""
    data = settings.data_dir() / NAME
    folder = data / tiny_imagenet.FOLDER
    if not folder.is_dir():
        temporary = Path(tempfile.mkdtemp(prefix=".drawn-", dir=settings.writable(data)))
        try:
            draw(temporary / folder.name)
            os.rename(temporary / folder.name, folder)
        except OSError as error:
            if not folder.is_dir():  # else another process was faster, and drew the same
                raise settings.CourseError(f"cannot write {folder}: {error.strerror}") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return tiny_imagenet.prepare(data, TEST)


def draw(folder: Path) -> None:
    """The files of a tiny-imagenet-200 with these 20 classes, always the same."""
    rng = np.random.default_rng(0)
    each = TRAIN + TEST + VALIDATION
    labels = np.repeat(np.arange(len(CLASSES)), each)
    single = synthetic.draw(labels % len(synthetic.CLASSES), rng)
    large, four = single.repeat(2, axis=1).repeat(2, axis=2), np.tile(single, (1, 2, 2, 1))
    images = np.where((labels < len(synthetic.CLASSES))[:, None, None, None], large, four)
    (folder / "val" / "images").mkdir(parents=True)
    annotations = []
    for number, (label, image) in enumerate(zip(labels, images, strict=True)):
        wnid = WNIDS[label]
        if number % each < TRAIN + TEST:
            file = folder / "train" / wnid / "images" / f"{wnid}_{number % each}.JPEG"
            file.parent.mkdir(parents=True, exist_ok=True)
        else:
            file = folder / "val" / "images" / f"val_{len(annotations)}.JPEG"
            annotations.append(f"{file.name}\t{wnid}\t0\t0\t63\t63\n")
        Image.fromarray(image).save(file, quality=90)
    (folder / "val" / "val_annotations.txt").write_text("".join(annotations))
    (folder / "wnids.txt").write_text("".join(f"{wnid}\n" for wnid in WNIDS))
    words = zip(WNIDS, CLASSES, strict=True)
    (folder / "words.txt").write_text("".join(f"{w}\t{name}, drawn by code\n" for w, name in words))
