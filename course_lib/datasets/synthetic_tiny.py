"""Tiny ImageNet's layout in miniature: 20 classes of 64x64 JPEGs drawn by code, in a second.

Ten classes show one figure of the data set `synthetic`, twice as large; ten show four of them.
From the JPEGs on, all goes as with the real images.
"""

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from course_lib import files, settings
from course_lib.datasets import Dataset, synthetic, tiny_imagenet, tiny_imagenet_source

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
    folder = data / tiny_imagenet_source.FOLDER
    if not folder.is_dir():
        files.writable(data)
        try:
            with tempfile.TemporaryDirectory(prefix=".drawn-", dir=data) as temporary:
                draw(Path(temporary, folder.name))
                os.rename(Path(temporary, folder.name), folder)
        except OSError as error:
            if not folder.is_dir():  # else another process was faster, and drew the same
                raise settings.CourseError(f"cannot write {folder}: {error.strerror}") from error
    return tiny_imagenet.prepare(data, TEST)


def draw(folder: Path) -> None:
    """The files of a tiny-imagenet-200 with these 20 classes, always the same."""
    each = TRAIN + TEST + VALIDATION
    labels, figures = np.repeat(np.arange(len(CLASSES)), each), len(synthetic.CLASSES)
    images = synthetic.draw(labels % figures, np.random.default_rng(0))
    annotations = ""
    for number, (label, image) in enumerate(zip(labels, images, strict=True)):
        wnid, file = WNIDS[label], f"{WNIDS[label]}_{number}.JPEG"
        place = folder / "train" / wnid / "images"
        if number % each >= TRAIN + TEST:
            place = folder / "val" / "images"
            annotations += f"{file}\t{wnid}\t0\t0\t63\t63\n"
        place.mkdir(parents=True, exist_ok=True)
        large = image.repeat(2, axis=0).repeat(2, axis=1)
        image = large if label < figures else np.tile(image, (2, 2, 1))
        Image.fromarray(image).save(place / file, quality=90)
    (folder / tiny_imagenet_source.ANNOTATIONS).write_text(annotations)
    (folder / "wnids.txt").write_text("\n".join(WNIDS))
    words = map("\t".join, zip(WNIDS, CLASSES, strict=True))
    (folder / "words.txt").write_text("\n".join(words))
