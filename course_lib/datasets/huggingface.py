"""Images in parquet files on the Hugging Face hub, or on a mirror of it (HF_ENDPOINT).

Their own client is not needed for two files: this download is resumed, and gives way to another
source when it is slow. Layout: https://huggingface.co/docs/datasets/image_dataset, "Image" column:
one struct {bytes, path} a row, the bytes a whole PNG file.
"""

import io
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from course_lib import settings
from course_lib.datasets import download


def needed():
    """pyarrow.parquet, without which nothing here can be read; CourseError where it is missing."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise settings.CourseError(
            "Hugging Face's parquet files need pyarrow, which is not installed: pip install pyarrow"
        ) from error
    return pyarrow.parquet


def fetch(
    repository: str, file: str, folder: Path, limit: download.Limit | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, height, width, 3) uint8 and labels (count,) int64 of a parquet file.

    repository: "owner/name" on the hub; file: its path there, columns `img` and `label`.
    `folder` keeps the file, which is not downloaded again. limit: as for download.retrieve.

    Raises CourseError when it cannot be had (TooSlow below the limit) or is no such file.
    """
    parquet = needed()
    target = folder / PurePosixPath(file).name
    url = f"{settings.hugging_face()}/datasets/{repository}/resolve/main/{file}"
    if not target.exists():
        try:
            download.retrieve(url, target, limit=limit)
        except download.Unavailable as error:
            raise type(error)(f"{url}: {error}") from error
    try:
        return _read(parquet.ParquetFile(target))
    except Exception as error:  # garbage makes pyarrow and Pillow raise almost anything
        target.unlink(missing_ok=True)
        raise settings.CourseError(f"{url} is no parquet file of images and labels") from error


def _read(file) -> tuple[np.ndarray, np.ndarray]:
    images, labels = [], []
    for rows in file.iter_batches(columns=["img", "label"]):
        for row in rows.to_pylist():
            with Image.open(io.BytesIO(row["img"]["bytes"]), formats=["PNG"]) as image:
                if image.size != (32, 32):  # before millions of pixels are decoded
                    raise ValueError(f"an image of {image.size} pixels")
                images.append(np.asarray(image.convert("RGB")))
            labels.append(row["label"])
    return np.stack(images), np.array(labels, np.int64)
