"""SqueezeNet with the weights that torchvision publishes, and what it sees on a photograph."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pooch
import safetensors.numpy
from PIL import Image, ImageOps

from course_lib import files
from course_lib.backend import keras
from course_lib.datasets import download
from course_lib.models import squeezenet
from course_lib.settings import CourseError, data_dir, nearest

# torchvision's weights, trained on ImageNet; a file's name ends in the first digits of its SHA-256.
PUBLISHED = {
    "squeezenet-1.0": "https://download.pytorch.org/models/squeezenet1_0-b66bff10.pth",
    "squeezenet-1.1": "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth",
}


def published(version: str = "1.1"):
    """(SqueezeNet for ImageNet, ""), with torchvision's weights in it; or (the untrained network,
    why), where they are not at hand and cannot be had or read."""
    model = squeezenet.squeezenet_imagenet(version=version)
    if PUBLISHED[model.name].endswith(".pth") and not find_spec("torch"):  # before any download
        return model, "the published weights need PyTorch: pip install torch"
    try:
        return load_torchvision(model), ""
    except CourseError as error:
        return model, str(error)


def load_torchvision(model, file=None):
    """`model`, a network of `squeezenet_imagenet`, with torchvision's weights in it.

    file: a .pth, which PyTorch reads without running code in it, or a .safetensors of the same
        names; None takes the published file, downloaded once into the folder of the data.
    A CourseError says which weight is missing, too many or misshapen; the model is unchanged then.
    """
    if model.name not in PUBLISHED:
        raise nearest(model.name, PUBLISHED, "published weights for")
    path = Path(file) if file else _published(PUBLISHED[model.name])
    arrays = _read(path)
    stages = list(dict.fromkeys(layer.name.split("_")[0] for layer in model.layers))
    variables = {_torchvision_name(v.path, stages): v for v in model.weights}
    wrong = f"{path.name} does not fit {model.name}, take the file of this network:"
    if odd := arrays.keys() ^ variables.keys():
        raise CourseError(f"{wrong} {min(odd)} is in one of them only")
    for name, variable in variables.items():
        if arrays[name].ndim == 4:
            arrays[name] = arrays[name].transpose(2, 3, 1, 0)  # PyTorch: (out, in, height, width)
        if arrays[name].shape != (shape := tuple(variable.shape)):
            raise CourseError(f"{wrong} {name} is {arrays[name].shape}, not {shape} (HWIO)")
    for name, variable in variables.items():
        variable.assign(arrays[name])
    return model


def _torchvision_name(path: str, stages: list[str]) -> str:
    layer, kind = path.replace("kernel", "weight").split("/")
    if layer in (ends := {"conv1": "features.0", "conv10": "classifier.1"}):
        return f"{ends[layer]}.{kind}"
    stage, part = layer.replace("expand1", "expand1x1").replace("expand3", "expand3x3").split("_")
    # `features` counts conv1, its ReLU, pools and fire modules; our input stands for the ReLU.
    return f"features.{stages.index(stage)}.{part}.{kind}"


def _published(url: str) -> Path:
    path = data_dir() / "torchvision" / url.split("/")[-1]
    if not path.exists():
        with files.alone(files.writable(path.parent)):
            try:
                download.retrieve(url, path)
            except download.Unavailable as error:
                raise CourseError(
                    f"cannot download {url} ({error}); put the file into {path.parent}"
                ) from error
    if not pooch.file_hash(str(path)).startswith(path.stem.split("-")[1]):
        raise CourseError(f"{path} is not the published file; delete it and run this again")
    return path


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        if path.suffix == ".safetensors":
            return safetensors.numpy.load_file(path)
        import torch

        tensors = torch.load(path, map_location="cpu", weights_only=True)
        return {name: tensor.numpy() for name, tensor in tensors.items()}
    except ImportError as error:
        raise CourseError(f"{path.name} needs PyTorch: pip install torch") from error
    except Exception as error:  # torch, pickle, zipfile and safetensors have many kinds
        raise CourseError(f"cannot read {path} ({type(error).__name__}); fetch it anew") from error


def classify(model, image, top: int = 5) -> list[tuple[str, float]]:
    """The `top` likeliest classes of a photograph: (name, probability), best first.

    image: PIL's or uint8 (height, width, 3). Grey ones may have 16 bits; what is transparent stands
    on white. As in torchvision, the short side becomes 256, the middle 224 x 224 is standardised.
    The names are Keras' for its own networks, downloaded once to ~/.keras/models; a CourseError
    where there are none, or no image.
    """
    answer = model(_standardised(cropped(image)), training=False)
    (probabilities,) = keras.ops.convert_to_numpy(answer)
    if len(probabilities) != 1000:
        raise CourseError(f"there are names for 1,000 classes, not for {len(probabilities)}")
    best = np.argsort(-probabilities)[:top]
    return [(n, float(probabilities[k])) for n, k in zip(names(best), best, strict=True)]


def logits(model, image) -> np.ndarray:
    """The scores before the softmax, (classes,), that a network of `squeezenet_imagenet` gives a
    photograph; image: as for `classify`."""
    before = keras.Model(model.input, model.get_layer("logits").output)
    (found,) = keras.ops.convert_to_numpy(before(_standardised(cropped(image)), training=False))
    return found


def cropped(image) -> np.ndarray:
    """What the network sees of a photograph, (224, 224, 3) uint8; image: as for `classify`."""
    image = _rgb(image)
    size = [side * 256 // min(image.size) for side in image.size]
    left, upper = (round((side - 224) / 2) for side in size)
    image = image.resize(size, Image.Resampling.BILINEAR)
    return np.asarray(image.crop((left, upper, left + 224, upper + 224)))


def names(classes) -> list[str]:
    """ImageNet's names of classes by their numbers, from 0 to 999: Keras' list, downloaded once;
    a CourseError where it cannot be had."""
    rows = np.eye(1000, dtype="float32")[list(classes)]
    try:
        found = keras.applications.imagenet_utils.decode_predictions(rows, 1)
    except Exception as error:  # Keras' download raises a bare one
        raise CourseError(f"names of classes need a connection, once: {error}") from error
    return [best[0][1].replace("_", " ") for best in found]


def _standardised(pixels) -> np.ndarray:
    scaled = (pixels / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    return scaled.astype("float32")[None]


def _rgb(image) -> Image.Image:
    """The picture upright, with 8 bits a colour, on white, and no longer than eight times its short
    side; CourseError for what is none."""
    if getattr(image, "dtype", None) == np.uint8 and image.shape[2:] == (3,) and image.size:
        image = Image.fromarray(image)
    if not isinstance(image, Image.Image):
        raise CourseError("classify takes a PIL image or a uint8 array (height, width, 3)")
    if not min(image.size):
        raise CourseError(f"an image of {image.width} x {image.height} pixels shows nothing")
    try:
        image.load()
        if image.mode.startswith("I;16"):  # Pillow would cut every value above 255
            image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
        if image.mode in ("I", "F", "LAB"):
            raise CourseError(
                f"an image of mode {image.mode} has no fixed range; make it RGB from 0 to 255 first"
            )
        image = ImageOps.exif_transpose(image)
        if image.mode in ("La", "RGBa"):
            image = image.convert({"La": "LA", "RGBa": "RGBA"}[image.mode])
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("RGB")
    except CourseError:
        raise
    except Exception as error:  # truncated, closed or damaged: Pillow has many kinds
        what = str(error) or "is its file closed?"
        raise CourseError(f"the image cannot be read ({what}); open the file anew") from error
    # Only the middle square counts, and a line of 10,000 pixels would be resized to 2,560,000.
    most = 8 * min(image.size)
    left, upper = ((side - min(side, most)) // 2 for side in image.size)
    return image.crop((left, upper, image.width - left, image.height - upper))
