"""Weights published for torchvision's SqueezeNets, in ours: every array in its place, or none."""

import hashlib
import io
import pickle
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from course_lib.backend import keras
from course_lib.models import pretrained, squeezenet
from course_lib.settings import CourseError

# torchvision's `features` of each version: fire modules (number in the paper, channels read,
# squeeze, expand) and max-pools, at the index that they have there; 0 is the first convolution.
SQUEEZES = [(16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)]
PLACES = {"1.0": [3, 4, 5, 7, 8, 9, 10, 12], "1.1": [3, 4, 6, 7, 9, 10, 11, 12]}
FIRST = {"1.0": (96, 3, 7, 7), "1.1": (64, 3, 3, 3)}


def convolutions(version: str, classes: int = 1000) -> list[tuple[str, str, tuple]]:
    """(our layer, torchvision's name, shape of the kernel in PyTorch) of each convolution."""
    found, channels = [("conv1", "features.0", FIRST[version])], FIRST[version][0]
    for number, (place, (s, e)) in enumerate(zip(PLACES[version], SQUEEZES, strict=True), start=2):
        ours, theirs = f"fire{number}", f"features.{place}"
        found.append((f"{ours}_squeeze", f"{theirs}.squeeze", (s, channels, 1, 1)))
        found.append((f"{ours}_expand1", f"{theirs}.expand1x1", (e, s, 1, 1)))
        found.append((f"{ours}_expand3", f"{theirs}.expand3x3", (e, s, 3, 3)))
        channels = 2 * e
    return [*found, ("conv10", "classifier.1", (classes, 512, 1, 1))]


def state(version: str, classes: int = 1000) -> dict[str, np.ndarray]:
    """A state dict as torchvision's, of random numbers large enough to reach the logits."""
    rng, arrays = np.random.default_rng(int(version[-1])), {}
    for _, name, shape in convolutions(version, classes):
        spread = np.sqrt(2 / np.prod(shape[1:]))
        arrays[f"{name}.weight"] = rng.normal(scale=spread, size=shape).astype("float32")
        arrays[f"{name}.bias"] = rng.normal(scale=0.1, size=shape[:1]).astype("float32")
    return arrays


def network(version: str, size: int = 224):
    return squeezenet.squeezenet_imagenet(version=version, input_shape=(size, size, 3))


def saved(folder: Path, arrays: dict, name: str = "weights.safetensors") -> Path:
    save_file(arrays, folder / name)
    return folder / name


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_every_array_arrives_in_its_layer_and_in_keras_order(tmp_path, version):
    arrays, model = state(version), network(version, 64)
    assert pretrained.load_torchvision(model, saved(tmp_path, arrays)) is model
    for layer, name, _ in convolutions(version):
        kernel, bias = (np.asarray(w) for w in model.get_layer(layer).weights)
        np.testing.assert_array_equal(
            np.moveaxis(kernel, (3, 2, 0, 1), (0, 1, 2, 3)), arrays[f"{name}.weight"]
        )
        np.testing.assert_array_equal(bias, arrays[f"{name}.bias"])
    assert len(model.weights) == len(arrays) == 52


# The same network in PyTorch.


def torch_network(version: str, arrays: dict):
    torch = pytest.importorskip("torch")
    nn = torch.nn

    class Fire(nn.Module):
        def __init__(self, channels, squeeze, expand):
            super().__init__()
            self.squeeze = nn.Conv2d(channels, squeeze, 1)
            self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
            self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

        def forward(self, x):
            x = self.squeeze(x).relu()
            return torch.cat([self.expand1x1(x).relu(), self.expand3x3(x).relu()], dim=1)

    filters, _, kernel, _ = FIRST[version]
    features, channels, fires = {}, filters, dict(zip(PLACES[version], SQUEEZES, strict=True))
    for place in range(13):
        if place in fires:
            squeeze, expand = fires[place]
            features[place] = Fire(channels, squeeze, expand)
            channels = 2 * expand
        else:
            features[place] = nn.MaxPool2d(3, stride=2, ceil_mode=True)
    features[0], features[1] = nn.Conv2d(3, filters, kernel, stride=2), nn.ReLU()

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Sequential(*features.values())
            head = (nn.Dropout(0.5), nn.Conv2d(512, 1000, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
            self.classifier = nn.Sequential(*head)

        def forward(self, x):
            return self.classifier(self.features(x)).flatten(1)

    net = Network().eval()
    net.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    return net


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("size", [pytest.param(224, marks=pytest.mark.slow), 97])
def test_logits_are_those_of_the_network_in_pytorch(tmp_path, version, suffix, size):
    torch = pytest.importorskip("torch")
    net = torch_network(version, state(version))
    file = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(net.state_dict(), file)
    else:
        save_file({name: tensor.numpy() for name, tensor in net.state_dict().items()}, file)
    model = pretrained.load_torchvision(network(version, size), file)
    images = np.random.default_rng(0).normal(size=(2, size, size, 3)).astype("float32")
    with torch.no_grad():
        wanted = net(torch.from_numpy(images.transpose(0, 3, 1, 2))).numpy()
    assert wanted.std() > 0.1, "logits that say nothing prove nothing"
    logits = keras.Model(model.input, model.get_layer("logits").output)(images)
    np.testing.assert_allclose(np.asarray(logits), wanted, atol=1e-4)
    softmax = np.exp(wanted) / np.exp(wanted).sum(1, keepdims=True)
    np.testing.assert_allclose(np.asarray(model(images)), softmax, atol=1e-4)


# Files that do not fit: one line that says why, and nothing is half-loaded.


def missing(arrays):
    del arrays["features.12.expand3x3.bias"]
    return arrays


def unknown(arrays):
    return arrays | {"features.13.weight": np.zeros(1, "float32")}


def turned(arrays):
    name = "features.12.squeeze.weight"
    return arrays | {name: np.ascontiguousarray(arrays[name].transpose(1, 0, 2, 3))}


@pytest.mark.parametrize(
    "arrays, says",
    [
        (missing(state("1.0")), "features.12.expand3x3.bias is in one of them only"),
        (unknown(state("1.0")), "features.13.weight is in one of them only"),
        (turned(state("1.0")), r"features.12.squeeze.weight is \(1, 1, 64, 512\), not"),
        (state("1.0", classes=10), r"classifier.1.weight is \(1, 1, 512, 10\), not"),
        (state("1.1"), "does not fit squeezenet-1.0.* is in one of them only"),
    ],
    ids=["missing", "unknown", "turned", "ten classes", "the other version"],
)
def test_a_file_that_does_not_fit_changes_nothing(tmp_path, arrays, says):
    model = network("1.0", 64)
    before = [np.asarray(w).copy() for w in model.weights]
    with pytest.raises(CourseError, match=says) as error:
        pretrained.load_torchvision(model, saved(tmp_path, arrays))
    assert "\n" not in str(error.value)
    for old, new in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, np.asarray(new))


def test_a_damaged_or_absent_file_is_named(tmp_path):
    whole = saved(tmp_path, state("1.1"))
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(whole.read_bytes()[:-1000])
    for file in (cut, tmp_path / "absent.safetensors"):
        with pytest.raises(CourseError, match=f"cannot read .*{file.name}"):
            pretrained.load_torchvision(network("1.1", 64), file)


def test_a_damaged_pth_is_named(tmp_path):
    torch = pytest.importorskip("torch")
    file = tmp_path / "weights.pth"
    torch.save({"features.0.weight": torch.zeros(3)}, file)
    whole = file.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"<html>not found</html>"):
        file.write_bytes(content)
        with pytest.raises(CourseError, match="cannot read .*weights.pth"):
            pretrained.load_torchvision(network("1.1", 64), file)


def test_without_pytorch_a_line_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(CourseError, match="weights.pth needs PyTorch: pip install torch"):
        pretrained.load_torchvision(network("1.1", 64), tmp_path / "weights.pth")
    # .safetensors needs none.
    pretrained.load_torchvision(network("1.1", 64), saved(tmp_path, state("1.1")))


class Malicious:
    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("kind", ["pickle.safetensors", "pickle.pth", "torch.pth"])
def test_code_in_a_file_does_not_run(tmp_path, kind):
    marker, file = tmp_path / "ran", tmp_path / kind
    content = {"features.0.weight": Malicious(marker)}
    if file.suffix == ".pth":
        torch = pytest.importorskip("torch")
    if kind == "torch.pth":
        torch.save(content, file)
    else:
        file.write_bytes(pickle.dumps(content))
        pickle.loads(file.read_bytes())
        assert marker.exists(), "the trap works where a pickle is loaded"
        marker.unlink()
    with pytest.raises(CourseError, match="cannot read"):
        pretrained.load_torchvision(network("1.1", 64), file)
    assert not marker.exists()


# Downloads, from a server of our own.


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A server that publishes weights for 1.1; returns (the server, the folder of the data)."""
    (tmp_path / "server").mkdir()
    file = saved(tmp_path / "server", state("1.1"))
    prefix = hashlib.sha256(file.read_bytes()).hexdigest()[:8]
    file = file.rename(file.with_name(f"squeezenet1_1-{prefix}.safetensors"))
    handler = partial(Quiet, directory=file.parent)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{file.name}"
        monkeypatch.setitem(pretrained.PUBLISHED, "squeezenet-1.1", url)
        monkeypatch.setenv("COURSE_DATA_DIR", str(tmp_path / "data"))
        yield file, tmp_path / "data" / "torchvision"
        server.shutdown()


def test_published_weights_are_downloaded_once(published):
    file, folder = published
    model = pretrained.load_torchvision(network("1.1", 64))
    (found,) = folder.glob("squeeze*")
    assert found.name == file.name
    assert found.stat().st_mode == (folder / ".lock").stat().st_mode, "for others to read, too"
    bias = state("1.1")["classifier.1.bias"]
    np.testing.assert_array_equal(np.asarray(model.get_layer("conv10").bias), bias)
    file.unlink()  # from the server
    pretrained.load_torchvision(network("1.1", 64))


def test_weights_of_another_hash_are_not_loaded(published):
    file, folder = published
    saved(file.parent, state("1.1") | {"classifier.1.bias": np.ones(1000, "float32")}, file.name)
    model = network("1.1", 64)
    for _ in range(2):  # downloaded, and found
        with pytest.raises(CourseError, match="is not the published file; delete it"):
            pretrained.load_torchvision(model)
    assert not np.asarray(model.get_layer("conv10").bias).any()


def test_without_the_server_a_line_says_what_to_put_where(published):
    file, folder = published
    file.unlink()
    with pytest.raises(CourseError, match=f"cannot download http.* put the file into {folder}"):
        pretrained.load_torchvision(network("1.1", 64))
    assert not list(folder.glob("squeeze*"))


def test_a_page_goes_on_without_the_weights(monkeypatch):
    """Without PyTorch nothing is downloaded; the network comes untrained, with the reason."""
    monkeypatch.setattr(pretrained, "find_spec", lambda name: None)
    monkeypatch.setattr(pretrained, "load_torchvision", None)  # would fail
    model, missing = pretrained.published("1.1")
    assert model.name == "squeezenet-1.1" and "pip install torch" in missing
    scores = pretrained.logits(model, np.zeros((300, 400, 3), "uint8"))
    assert scores.shape == (1000,)
    assert pretrained.cropped(np.zeros((300, 400, 3), "uint8")).shape == (224, 224, 3)


def test_names_stand_in_the_order_asked_for(monkeypatch):
    monkeypatch.setitem(DECODE, "CLASS_INDEX", INDEX)
    assert pretrained.names([300, 7]) == ["kind of 300", "kind of 7"]


# Photographs.

INDEX = {str(k): [f"n{k:08}", f"kind_of_{k}"] for k in range(1000)}
DECODE = keras.applications.imagenet_utils.decode_predictions.__globals__


class Spy:
    """Stands for a network: keeps the images that it is shown, answers with fixed probabilities."""

    def __init__(self, probabilities):
        self.probabilities = np.asarray(probabilities, "float32")[None]

    def __call__(self, images, training):
        assert training is False
        self.images = images
        return self.probabilities


@pytest.fixture
def spy(monkeypatch):
    monkeypatch.setitem(DECODE, "CLASS_INDEX", INDEX)
    return Spy(np.eye(1000)[0])


def shown(spy, image) -> np.ndarray:
    """The pixels, 0 to 255, that reach the network."""
    pretrained.classify(spy, image)
    assert spy.images.shape == (1, 224, 224, 3) and spy.images.dtype == np.float32
    pixels = spy.images[0] * (0.229, 0.224, 0.225) + (0.485, 0.456, 0.406)
    return np.round(255 * pixels)


def test_a_short_side_of_256_and_the_middle_of_it(spy):
    picture = np.zeros((256, 513, 3), "uint8")
    picture[16:240, 144:368] = (200, 100, 50)  # (513 - 224) / 2 rounds to 144
    for image in (picture, Image.fromarray(picture)):
        assert (shown(spy, image) == (200, 100, 50)).all()
    assert (shown(spy, picture.transpose(1, 0, 2)) == (200, 100, 50)).all()
    # Twice as large, the same picture but for its edges.
    large = picture.repeat(2, axis=0).repeat(2, axis=1)
    assert (shown(spy, large)[1:-1, 1:-1] == (200, 100, 50)).all()


def test_grey_transparent_and_turned_photographs(spy):
    gradient = np.tile(np.arange(256, dtype="uint8"), (256, 1))
    grey = Image.fromarray(gradient)
    wanted = gradient[16:240, 16:240, None]
    for mode in ("L", "RGBA", "P"):
        assert (shown(spy, grey.convert(mode)) == wanted).all()
    exif = Image.Exif()
    exif[0x0112] = 6  # how telephones store a picture that they took upright
    turned = grey.transpose(Image.Transpose.ROTATE_90)
    turned.info["exif"] = exif.tobytes()
    assert (shown(spy, turned) == wanted).all()


def test_sixteen_bits_are_scaled_and_transparent_ground_is_white(spy):
    ramp = np.tile(np.linspace(0, 65535, 256).round().astype("uint16"), (256, 1))
    wanted = (ramp // 257)[16:240, 16:240, None]
    for kind in ("<u2", ">u2"):
        assert (shown(spy, Image.fromarray(ramp.astype(kind))) == wanted).all()
    keyed = Image.new("L", (300, 300))
    keyed.info["transparency"] = 0
    modes = ("RGBA", "LA", "PA", "RGBa", "La")  # all of it transparent
    for image in (keyed, *(Image.new(mode, (300, 300)) for mode in modes)):
        assert (shown(spy, image) == 255).all(), image.mode


def test_a_line_of_pixels_is_not_stretched_to_millions(spy):
    assert shown(spy, Image.new("RGB", (10_000, 1), "white")).min() == 255
    assert pretrained._rgb(Image.new("RGB", (10_000, 1))).size == (8, 1)


def closed():
    image = Image.new("RGB", (9, 9))
    image.close()
    return image


def truncated():
    noise, file = np.random.default_rng(0).integers(0, 256, (99, 99, 3), "uint8"), io.BytesIO()
    Image.fromarray(noise).save(file, "JPEG")
    return Image.open(io.BytesIO(file.getvalue()[:999]))


UNREADABLE = {"closed": closed(), "truncated": truncated(), "narrow": Image.new("RGB", (0, 9))}
UNREADABLE |= {mode: Image.new(mode, (9, 9)) for mode in ("I", "F", "LAB")}


@pytest.mark.parametrize("image", [*UNREADABLE.values(), np.zeros((0, 9, 3), "uint8")],
                         ids=[*UNREADABLE, "empty"])  # fmt: skip
def test_an_image_without_readable_pixels_is_one_line(spy, image):
    with pytest.raises(CourseError) as error:
        pretrained.classify(spy, image)
    assert "\n" not in str(error.value)


def test_the_likeliest_classes_with_their_names(spy):
    spy.probabilities = np.full((1, 1000), 1e-4, "float32")
    spy.probabilities[0, [7, 300, 42]] = (0.2, 0.5, 0.1)
    image = Image.new("RGB", (300, 300))
    best = pretrained.classify(spy, image, top=3)
    assert [name for name, _ in best] == ["kind of 300", "kind of 7", "kind of 42"]
    assert [probability for _, probability in best] == pytest.approx([0.5, 0.2, 0.1])
    assert all(type(probability) is float for _, probability in best)
    assert len(pretrained.classify(spy, image)) == 5


@pytest.mark.parametrize(
    "image", ["cat.jpg", None, np.zeros((9, 9, 3)), np.zeros((9, 9, 5), "uint8"),
              np.zeros((1, 9, 9, 3), "uint8")], ids=["path", "none", "float", "five", "batch"]
)  # fmt: skip
def test_what_is_no_image_is_refused(spy, image):
    with pytest.raises(CourseError, match="takes a PIL image or a uint8 array"):
        pretrained.classify(spy, image)
