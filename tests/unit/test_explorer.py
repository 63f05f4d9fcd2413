"""The explorers: what Python gives them, and the numbers their JavaScript computes."""

import base64
import io
import json
import shutil
from functools import partial

import h5py
import numpy as np
import pytest
from ipywidgets import DOMWidget
from ipywidgets.embed import embed_data

from course_lib.datasets.augment import Draw, move
from course_lib.explorers.augment import AugmentExplorer
from course_lib.explorers.bottleneck import BottleneckExplorer
from course_lib.explorers.channels import ChannelExplorer
from course_lib.explorers.chunks import ChunkExplorer
from course_lib.explorers.confusion import ConfusionExplorer
from course_lib.explorers.diagnose import DiagnoseExplorer
from course_lib.explorers.drive import DriveExplorer
from course_lib.explorers.fire import FireExplorer
from course_lib.explorers.predict import Prediction
from course_lib.explorers.resolution import ResolutionExplorer
from course_lib.explorers.schedules import ScheduleExplorer
from course_lib.explorers.signal import INITIALIZERS, SignalExplorer
from course_lib.explorers.stack import StackExplorer
from course_lib.schedules import Polynomial, Steps, shortened
from course_lib.settings import CourseError

MEAN, DEVIATION = (125.307, 122.95, 113.865), (62.9932, 62.0887, 66.7048)
SETTINGS = ("initializer", "depth", "gain", "bn", "seed")
# What a page gets, as a file that it can import.
SCRIPTS = {"/signal.js": SignalExplorer._esm, "/schedules.js": ScheduleExplorer._esm}
SCRIPTS["/diagnose.js"] = DiagnoseExplorer._esm
SCRIPTS["/confusion.js"] = ConfusionExplorer._esm
SCRIPTS["/drive.js"] = DriveExplorer._esm
SCRIPTS["/fire.js"] = FireExplorer._esm
SCRIPTS["/resolution.js"] = ResolutionExplorer._esm
SCRIPTS["/augment.js"] = AugmentExplorer._esm
SCRIPTS["/bottleneck.js"] = BottleneckExplorer._esm
SCRIPTS["/chunks.js"] = ChunkExplorer._esm
PAGE = """<!doctype html><meta charset="utf-8"><title>explorer</title><body><script>
window.fakeModel = (state) => {
  const listeners = {};
  return {
    get: (name) => state[name],
    set(name, value) {
      state[name] = value;
      (listeners[`change:${name}`] ?? []).forEach((listener) => listener());
    },
    save_changes() {},
    on(events, f) { for (const e of events.split(" ")) (listeners[e] ??= []).push(f); },
    off() {},
  };
};
window.base64 = (floats) => {
  const bytes = new Uint8Array(floats.buffer);
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
};
</script>"""


@pytest.fixture(scope="module")
def images():
    """Eight pictures, (8, 32, 32, 3) uint8: smooth patches, each of a brightness of its own."""
    rng = np.random.default_rng(0)
    patches = rng.integers(0, 256, (8, 4, 4, 3)).repeat(8, axis=1).repeat(8, axis=2)
    return (patches * rng.uniform(0.3, 1, (8, 1, 1, 1))).astype(np.uint8)


@pytest.fixture(scope="module")
def page():
    """A blank page in headless Chromium that can import SCRIPTS and reach nothing else."""
    playwright = pytest.importorskip("playwright.sync_api")
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    if chromium is None:
        pytest.skip("no Chromium on the PATH, so the explorer's numbers are not checked")

    def serve(route):
        address = route.request.url
        script = SCRIPTS.get(address.removeprefix("http://explorer.test"))
        if script:
            route.fulfill(body=script, content_type="text/javascript")
        elif address == "http://explorer.test/":
            route.fulfill(body=PAGE, content_type="text/html")
        else:
            refused.append(address)
            route.abort()

    refused = []
    with playwright.sync_playwright() as api:
        browser = api.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("pageerror", lambda error: refused.append(str(error)))
        page.route("**/*", serve)
        page.goto("http://explorer.test/")
        yield page
        browser.close()
    assert refused == [], "requests to elsewhere, or errors of the script"


def standardised(images):
    return ((images - np.array(MEAN)) / np.array(DEVIATION)).astype(np.float32)


def signal(page, images, **settings):
    """What signal.js computes; its weights as float32 arrays, flat."""
    settings = {"initializer": "glorot_uniform", "depth": 8, "bn": False, "gain": 1, "seed": 0} | (
        settings
    )
    result = page.evaluate(
        """async ([pixels, settings]) => {
          const { signal } = await import("/signal.js");
          const bytes = Uint8Array.from(atob(pixels), (c) => c.charCodeAt(0));
          const result = signal(new Float32Array(bytes.buffer), settings);
          return { ...result, logits: [...result.logits], weights: result.weights.map(base64) };
        }""",
        [base64.b64encode(standardised(images).tobytes()).decode(), settings],
    )
    result["weights"] = [np.frombuffer(base64.b64decode(w), "<f4") for w in result["weights"]]
    return result


def network(monkeypatch, depth, **arguments):
    """The course's own SqueezeNet with only its first `depth` fire modules, and its kernels."""
    from course_lib.models import squeezenet

    monkeypatch.setattr(squeezenet, "FIRES", squeezenet.FIRES[:depth])
    model = squeezenet.squeezenet(**arguments)
    return model, [layer.kernel for layer in model.layers if hasattr(layer, "kernel")]


@pytest.mark.parametrize(
    ("initializer", "depth", "bn", "gain"),
    [
        ("glorot_uniform", 8, False, 1),
        ("he_normal", 2, False, 1.5),
        ("glorot_uniform", 8, True, 1),
        ("lecun_normal", 2, True, 0.5),
    ],
)
def test_the_same_weights_give_the_same_signal_as_in_keras(
    page, images, monkeypatch, initializer, depth, bn, gain
):
    import keras

    from course_lib.measure import signals

    ours = signal(page, images, initializer=initializer, depth=depth, bn=bn, gain=gain)
    model, kernels = network(monkeypatch, depth, bn=bn)
    for kernel, weights in zip(kernels, ours["weights"], strict=True):
        kernel.assign(weights.reshape(kernel.shape))
    fires = [f"fire{number}" for number in range(2, depth + 2)]
    assert [s["name"] for s in ours["stages"]] == ["input", "conv1", *fires, "conv10", "logits"]
    x = standardised(images)
    names = ["images", "conv1_relu", *(f"{f}_join" for f in fires), "conv10_relu", "logits"]
    for here, there in zip(ours["stages"], signals.forward(model, x, names), strict=True):
        assert here["size"] == pytest.approx(there.size, rel=1e-3), there.layer
        assert here["difference"] == pytest.approx(there.difference, rel=1e-3), there.layer
    logits = keras.Model(model.input, model.get_layer("logits").output)(x, training=True)
    np.testing.assert_allclose(
        np.reshape(ours["logits"], (8, 10)), logits, rtol=1e-3, atol=1e-3 * np.std(logits)
    )
    any_label = np.full((8, 10), 0.1)
    loss = keras.losses.categorical_crossentropy(any_label, logits, from_logits=True)
    assert ours["loss"] == pytest.approx(float(np.mean(loss)), rel=1e-5)


@pytest.mark.parametrize("initializer", INITIALIZERS)
def test_weights_are_drawn_as_keras_draws_them(page, images, monkeypatch, initializer):
    import keras

    ours = signal(page, images, initializer=initializer, gain=2)["weights"]
    keras.utils.set_random_seed(0)
    _, kernels = network(monkeypatch, 8, initializer=initializer)
    for i, (weights, kernel) in enumerate(zip(ours, kernels, strict=True)):
        # The dense layer has no gain, and keeps Keras' default whatever the convolutions get.
        theirs = (1 if i == len(kernels) - 1 else 2) * np.ravel(kernel)
        # Five standard errors, for samples of this size, of a mean and of a ratio of variances.
        error = 5 / np.sqrt(theirs.size)
        assert np.var(weights) == pytest.approx(np.var(theirs), rel=2 * error)
        assert abs(weights.mean()) < error * weights.std()
        assert abs(np.corrcoef(weights[1:], weights[:-1])[0, 1]) < error, "draws hang together"
        if theirs.size > 10_000:  # enough of them to come close to their bounds
            assert np.abs(weights).max() == pytest.approx(np.abs(theirs).max(), rel=0.01)


def test_a_draw_is_repeatable_and_shared_by_depths(page, images):
    whole, again = signal(page, images), signal(page, images)
    assert whole["stages"] == again["stages"]
    assert signal(page, images, depth=3)["stages"][:5] == whole["stages"][:5]
    assert signal(page, images, seed=1)["stages"][1] != whole["stages"][1]


def show(page, state, script="/signal.js"):
    """Renders the widget of `script` with `state` in a fresh element."""
    page.evaluate(
        """async ([state, script]) => {
          const widget = (await import(script)).default;
          document.body.replaceChildren(document.createElement("main"));
          window.model = fakeModel(state);
          widget.render({ model, el: document.querySelector("main") });
        }""",
        [state, script],
    )


def answer(page):
    page.wait_for_selector(".course-explorer[aria-busy=false]")
    return page.text_content(".course-explorer p[aria-live=polite]")


def test_the_widget_answers_to_the_keyboard(page, images):
    explorer = SignalExplorer(images, MEAN, DEVIATION)
    own = ("images", "mean", "deviation", *SETTINGS)
    show(page, {name: getattr(explorer, name) for name in own})
    assert answer(page).startswith("After fire9 the signal is ")
    assert "is 2.303; a blind guess" in answer(page), "plain Glorot: every label is as likely"
    glorot = answer(page)
    # JupyterLab looks for this on the focused element itself before it takes a key.
    assert (
        page.locator(":is(input, button, summary):not([data-lm-suppress-shortcuts])").count() == 0
    )
    for label, key, name, value in [
        ("Glorot uniform", "ArrowLeft", "initializer", "he_normal"),
        ("Batch normalisation", "Space", "bn", True),
        ("Depth", "Home", "depth", 1),
        ("Gain", "End", "gain", 4),
    ]:
        page.get_by_label(label).focus()
        page.keyboard.press(key)
        assert page.evaluate("(name) => model.get(name)", name) == value
    page.get_by_role("button", name="New draw").press("Enter")
    assert page.evaluate("model.get('seed')") == 1
    assert answer(page).startswith("After fire2 ") and answer(page) != glorot
    rows = page.locator(".course-explorer th:first-child").all_text_contents()
    assert rows == ["layer", "input", "conv1", "fire2", "conv10", "logits"]
    text = page.get_by_role("img").get_attribute("aria-label")
    assert text == f"Size and difference of the signal by layer. {answer(page)}"


def test_a_widget_without_its_pictures_says_so(page):
    show(page, {"images": "not base64", "mean": list(MEAN), "deviation": list(DEVIATION)})
    assert "cannot start" in page.text_content(".course-explorer")


SCRIPTS["/channels.js"] = ChannelExplorer._esm
CHANNELS = {"first": 4, "second": 8, "third": 16, "growth": 32, "bottleneck": 2, "compression": 0.5}


@pytest.mark.parametrize(
    "change", [{}, {"first": 1, "second": 2, "growth": 12, "bottleneck": 4, "compression": 0.75}]
)
def test_the_page_counts_channels_as_the_network_has_them(page, change):
    from functools import partial

    from course_lib.measure import counting
    from course_lib.models import densenet

    s = CHANNELS | change
    ours = page.evaluate("async (s) => (await import('/channels.js')).rows(s)", s)
    model = densenet.variant(
        block=partial(densenet.dense_layer, bottleneck=s["bottleneck"]),
        blocks=(s["first"], s["second"], s["third"]),
        growth=s["growth"],
        compression=s["compression"],
    )
    stages = {row.name: row for row in counting.stages(model)}
    counts = ("parameters", "macs")
    for row in ours[:-1]:
        theirs = stages[row["name"]]
        assert [row[k] for k in counts] == [getattr(theirs, k) for k in counts], row["name"]
        assert row["passes"] == theirs.shape[-1], row["name"]
        size = theirs.shape[0] * (2 if row["name"].startswith("transition") else 1)
        assert row["size"] == size, "the map on which it computes"
    assert [row["reads"] for row in ours[1:]] == [row["passes"] for row in ours[:-1]]
    assert sum(row["parameters"] for row in ours) == counting.parameters(model).total
    assert sum(row["macs"] for row in ours) == counting.macs(model)


def test_the_channels_are_told_by_keyboard(page):
    explorer = ChannelExplorer()
    show(page, {name: getattr(explorer, name) for name in CHANNELS}, "/channels.js")
    assert answer(page).startswith("1,382,814 parameters, 238.9 million multiply-accumulates.")
    assert "The last layer of block 3 reads 644 and adds 32." in answer(page)
    page.get_by_label("Compression").press("End")
    assert "the transitions pass on 144, 400, 912" in answer(page)


def test_an_embedded_page_holds_all_of_the_state(images):
    explorer = SignalExplorer(images, MEAN, DEVIATION, bn=True)
    data = embed_data(views=[explorer], drop_defaults=True)
    state = json.loads(json.dumps(data["manager_state"]["state"][explorer.model_id]))
    assert "buffers" not in state
    assert {"images", "mean", "deviation", "_esm", "_css", *SETTINGS} <= set(state["state"])
    pixels = base64.b64decode(state["state"]["images"])
    assert pixels == images.tobytes()


def staircase(epochs, late):
    """The staircase of Keras' ResNet example, stretched from 200 epochs to `epochs`."""
    starts = [(0, 1e-3), (80, 1e-4), (120, 1e-5), (160, 1e-6), (180, 5e-7)]
    return Steps(tuple((shortened(s * epochs, 200), rate) for s, rate in starts), late=int(late))


@pytest.mark.parametrize(
    ("settings", "schedule"),
    [
        ({"epochs": 300, "drops": 2}, Steps(((0, 0.01), (100, 1e-3), (200, 1e-4)))),
        ({"epochs": 10, "drops": 3}, Steps(((0, 0.01), (3, 1e-3), (5, 1e-4), (8, 1e-5)))),
        ({"kind": "polynomial", "epochs": 70, "power": 1}, Polynomial(0.01, 1, 70)),
        ({"kind": "polynomial", "epochs": 300, "power": 3.5}, Polynomial(0.01, 3.5, 300)),
        ({"kind": "resnet", "epochs": 200, "late": True}, staircase(200, True)),
        ({"kind": "resnet", "epochs": 200, "late": False}, staircase(200, False)),
        ({"kind": "resnet", "epochs": 30, "late": True}, staircase(30, True)),
    ],
)
def test_the_page_computes_the_rates_of_the_library(page, settings, schedule):
    settings = {"kind": "drops"} | settings
    ours = page.evaluate(
        "async (settings) => (await import('/schedules.js')).rates(settings)", settings
    )
    theirs = [schedule(epoch) for epoch in range(settings["epochs"])]
    assert ours == pytest.approx(theirs, rel=1e-12, abs=0)


def test_the_staircase_is_that_of_the_experiments():
    from course_lib import experiments

    assert experiments.get("resnet-v1/20").schedule == staircase(200, late=True)


def test_the_schedules_name_a_rate_and_the_share_of_each(page):
    names = ("kind", "epochs", "drops", "power", "late", "epoch")
    explorer = ScheduleExplorer(kind="resnet", epochs=200, epoch=80)
    show(page, {name: getattr(explorer, name) for name in names}, "/schedules.js")
    assert answer(page) == (
        "Epoch 80, of 0 to 199, trains at 0.001. Of the whole training 40.5 % at 0.001, "
        "20 % at 0.0001, 20 % at 1e−5, 10 % at 1e−6, 9.5 % at 5e−7."
    )
    assert not page.get_by_label("Power").is_visible()
    page.get_by_label("One epoch late").press("Space")
    assert "trains at 0.0001. Of the whole training 40 % at 0.001," in answer(page)
    page.get_by_label("Polynomial").check()
    assert "90 % at 0.01 to 0.001, 9 % at 0.001 to 0.0001" in answer(page)
    page.get_by_label("Look at epoch").press("End")
    assert answer(page).startswith("Epoch 199, of 0 to 199,"), "no epoch after the last"


SCRIPTS["/stack.js"] = StackExplorer._esm


def bare(x, filters, *, conv, name, strides=1, shortcut="identity"):
    """The block of version 1 without its batch normalisation."""
    import keras

    from course_lib.models import resnet

    y = keras.layers.ReLU()(conv(x, filters, 3, strides=strides, name=f"{name}_conv1"))
    y = conv(y, filters, 3, name=f"{name}_conv2")
    y = resnet.joined(x, y, conv=conv, name=name, strides=strides, shortcut=shortcut)
    return keras.layers.ReLU(name=f"{name}_relu")(y)


@pytest.mark.parametrize(
    ("kind", "bn", "end", "arguments"),
    [
        ("plain", True, "relu", {"depth": 14, "residual": False}),
        ("v1", True, "relu", {"depth": 14}),
        ("v1", False, "relu", {"depth": 14, "block": bare}),
        ("v2", True, "add", {"depth": 20}),
    ],
)
def test_a_stack_has_the_signal_and_the_gradients_of_keras(page, images, kind, bn, end, arguments):
    from course_lib.measure import signals
    from course_lib.models import resnet

    labels = list(range(8))
    ours = page.evaluate(
        """async ([text, labels, settings]) => {
          const { passes, pictures } = await import("/stack.js");
          const pass = passes(pictures(text), labels, settings);
          for (;;) {
            const { done, value } = pass.next();
            if (!done) continue;
            return { rows: value.rows, kernels: Object.entries(value.kernels).map(
              ([name, { values }]) => [name, base64(Float32Array.from(values))]) };
          }
        }""",
        [
            StackExplorer(images, labels).images,
            labels,
            {"kind": kind, "blocks": 2, "bn": bn, "seed": 3},
        ],
    )
    build = resnet.resnet_v2 if kind == "v2" else resnet.resnet_v1
    model = build(width=4, **arguments)
    kernels = [layer for layer in model.layers if hasattr(layer, "kernel")]
    assert {layer.name for layer in kernels} == {name for name, _ in ours["kernels"]}
    for name, text in ours["kernels"]:
        kernel = model.get_layer(name).kernel
        kernel.assign(np.frombuffer(base64.b64decode(text), "<f4").reshape(kernel.shape))
    x = ((images - images.mean((0, 1, 2))) / 255).astype(np.float32)
    blocks = [row["name"] for row in ours["rows"][1:]]
    theirs = signals.forward(model, x, ["conv1_relu", *(f"{b}_{end}" for b in blocks)])
    moves = signals.gradients(model, x, np.array(labels))
    for row, signal in zip(ours["rows"], theirs, strict=True):
        assert row["size"] == pytest.approx(signal.size, rel=1e-3), row["name"]
        kernel = row["name"] if row["name"] == "conv1" else f"{row['name']}_conv1"
        assert row["gradient"] == pytest.approx(moves[kernel], rel=1e-2), row["name"]


@pytest.mark.parametrize(
    ("channels", "squeeze", "expand1", "expand3", "size"),
    [(96, 6, 6, 4, 32), (96, 16, 64, 64, 55), (128, 16, 127, 1, 8), (3, 8, 1, 7, 1)],
)
def test_the_page_counts_a_fire_module_as_the_library(
    page, channels, squeeze, expand1, expand3, size
):
    import keras

    from course_lib.measure import counting
    from course_lib.models import squeezenet

    settings = dict(channels=channels, squeeze=squeeze, expand1=expand1, expand3=expand3, size=size)
    ours = page.evaluate("async (s) => (await import('/fire.js')).costs(s)", settings)
    x = keras.Input((size, size, channels))
    half = (expand1 + expand3) // 2
    conv = partial(squeezenet.conv_relu, initializer="zeros")
    blocks = {
        "fire": partial(squeezenet.fire, share=expand3 / (2 * half)),
        "plain": squeezenet.plain_3x3,
    }
    for name, block in blocks.items():
        model = keras.Model(x, block(x, squeeze, half, conv=conv, name=name))
        assert ours[name]["macs"] == counting.macs(model)
        assert ours[name]["weights"] + ours[name]["biases"] == model.count_params()
    assert [layer["filters"] for layer in ours["layers"]] == [squeeze, expand1, expand3]


def test_the_calculator_says_what_it_saves_and_where_it_ends(page):
    names = ("channels", "squeeze", "expand1", "expand3", "size")
    explorer = FireExplorer()
    show(page, {name: getattr(explorer, name) for name in names}, "/fire.js")
    assert answer(page) == (
        "822 weights and 841,728 multiplications: 9.5 times fewer than the 7,776 and 7,962,624 of "
        "a plain 3×3 convolution with as many outputs. It is the cheaper one up to 56 squeeze "
        "filters. It squeezes: fewer channels between than behind."
    )
    page.get_by_role("slider", name="Squeeze filters").press("End")
    assert "9 times as many as the 7,776" in answer(page) and "It is no squeeze" in answer(page)
    page.get_by_role("slider", name="Channels in").press("Home")
    assert "no squeeze saves anything" not in answer(page), "one filter reads one channel, and pays"


STILL = {"right": 0, "down": 0, "angle": 0, "shear": 0, "unit": "degrees", "across": 1, "along": 1}
STILL |= {"flip": False, "fill": "nearest", "order": "turn first", "between": "1"}


@pytest.mark.parametrize(
    "settings",
    [
        {"right": 2.5, "down": -4, "flip": True},
        {"right": 2.5, "down": -4, "fill": "constant"},
        {"angle": 35, "shear": 20, "across": 1.3, "along": 0.8, "right": -3, "flip": True},
        {"angle": -90, "shear": 40, "across": 0.7, "fill": "constant"},
        {"shear": 0.2, "unit": "radians", "down": 1, "fill": "constant"},
    ],
)
def test_the_page_moves_pixels_as_the_library_does(page, images, settings):
    settings = STILL | settings
    ours = page.evaluate(
        """async ([pixels, settings, mean]) => {
          const { moved } = await import("/augment.js");
          return [...moved(pixels, settings, mean).values];
        }""",
        [images[0].ravel().tolist(), settings, list(MEAN)],
    )
    shear = np.rad2deg(settings["shear"]) if settings["unit"] == "radians" else settings["shear"]
    drawn = (-settings["down"], -settings["right"], settings["flip"], settings["angle"], shear)
    drawn = [np.array([x]) for x in (*drawn, settings["along"], settings["across"])]
    # 0 is the mean colour: the library moves what is standardised.
    (theirs,) = move((images[:1] - np.float32(MEAN)), Draw(*drawn), fill=settings["fill"])
    np.testing.assert_allclose(np.reshape(ours, (32, 32, 3)), theirs + MEAN, atol=1e-2)


def test_a_shear_of_a_fifth_is_nothing_in_degrees(page, images):
    names = ("images", "mean", "picture", *STILL)
    explorer = AugmentExplorer(images, MEAN, shear=0.2)
    show(page, {name: getattr(explorer, name) for name in names}, "/augment.js")
    assert answer(page).startswith("The shear moves the top and the bottom row by 0.054 pixels")
    page.get_by_label("radians").check()
    assert answer(page).startswith("The shear moves the top and the bottom row by 3.1 pixels")
    page.get_by_label("Shear", exact=True).press("Home")
    page.get_by_label("Shift down").press("End")
    assert "50 % of the pixels have no source" in answer(page)
    page.get_by_role("button", name="Next picture").press("Enter")
    assert page.evaluate("model.get('picture')") == 1


@pytest.mark.parametrize("settings", [(192, 96, 256, 3, 32), (16, 40, 24, 5, 7)])
def test_the_page_counts_multiplications_as_the_library_does(page, settings):
    from course_lib.backend import keras, layers
    from course_lib.measure import counting

    inputs, reduced, outputs, kernel, size = settings
    names = ("inputs", "reduced", "outputs", "kernel", "size")
    ours = page.evaluate(
        "async (settings) => (await import('/bottleneck.js')).costs(settings)",
        dict(zip(names, settings, strict=True)),
    )
    x = keras.Input((size, size, inputs))
    wide = layers.Conv2D(outputs, kernel, padding="same", name="wide")(x)
    one = layers.Conv2D(reduced, 1, name="one")(x)
    after = layers.Conv2D(outputs, kernel, padding="same", name="after")(one)
    counted = {r.name: r.macs for r in counting.rows(keras.Model(x, [wide, after]))}
    assert [ours["direct"], ours["first"], ours["second"]] == [
        counted[name] for name in ("wide", "one", "after")
    ]
    assert ours["through"] == ours["first"] + ours["second"]
    per_channel = ours["through"] / reduced  # both costs are linear in the reduced channels
    assert ours["even"] == pytest.approx(ours["direct"] / per_channel)


def test_the_bottleneck_says_what_it_saves(page):
    explorer = BottleneckExplorer()
    names = ("inputs", "outputs", "reduced", "kernel", "size")
    show(page, {name: getattr(explorer, name) for name in names}, "/bottleneck.js")
    assert answer(page) == (
        "The 3 × 3 convolution alone takes 452,984,832 multiplications; through 96 channels they "
        "are 245,366,784: 45.8 % saved, and 96 of 192 directions can pass. "
        "The 1×1 pays below 177.2 channels."
    )
    page.get_by_role("slider", name="Reduced channels").press("End")
    assert " more, and nothing is reduced. " in answer(page)
    page.get_by_label("5 × 5").check()
    assert answer(page).startswith("The 5 × 5 convolution alone takes 1,258,291,200 ")


class Counted(io.FileIO):
    """A file that counts the bytes that are read of it."""

    count = 0

    def readinto(self, buffer):
        self.count += (read := super().readinto(buffer))
        return read


def chunks_read(path, order, chunk, batch, cache) -> int:
    """How many chunks h5py reads for an epoch of batches, to the nearest: a file's index is less
    than half of one. cache: chunks that there is room for."""
    with Counted(path, "rb") as counted:
        room = int((cache + 0.5) * chunk * ROW) if cache else 0
        with h5py.File(counted, "r", rdcc_nbytes=room) as file:
            images, before = file["images"], counted.count
            for start in range(0, len(order), batch):
                images[np.sort(order[start : start + batch])]
            return round((counted.count - before) / (chunk * ROW))


ROW = 1024  # bytes of an image: enough that the file's index is less than a chunk


@pytest.mark.parametrize("order", ["in order", "blocks", "shuffled"])
@pytest.mark.parametrize(
    ("chunk", "batch", "cache", "compressed"),
    [
        (64, 16, 0, False),
        (64, 16, 0, True),
        (64, 16, 3, False),
        (64, 16, 8, True),
        (16, 64, 2, False),
        (64, 64, 1, True),
    ],
)
def test_the_page_reads_as_many_chunks_as_h5py(
    page, tmp_path, order, chunk, batch, cache, compressed
):
    settings = {"chunk": chunk, "batch": batch, "cache": cache, "compressed": compressed}
    ours, rows = page.evaluate(
        """async ([order, s]) => {
          const { rows, reads } = await import("/chunks.js");
          const list = rows(order, s.chunk, s.batch, 512);
          return [reads(list, s), list];
        }""",
        [order, settings],
    )
    assert sorted(rows) == list(range(512))
    pixels = np.random.default_rng(0).integers(0, 256, (512, ROW), dtype=np.uint8)
    with h5py.File(tmp_path / "images.hdf5", "w") as file:
        kind = {"shuffle": True} if compressed else {}  # a filter that leaves the size as it is
        file.create_dataset("images", data=pixels, chunks=(chunk, ROW), **kind)
    theirs = chunks_read(tmp_path / "images.hdf5", np.array(rows), chunk, batch, cache)
    assert theirs == ours


def test_the_chunks_say_what_an_epoch_reads(page):
    explorer = ChunkExplorer()
    names = ("chunk", "order", "batch", "cache", "compressed")
    show(page, {name: getattr(explorer, name) for name in names}, "/chunks.js")
    assert answer(page) == (
        "64 chunks of 786 kB; the cache holds 10. One epoch of 4,096 images, in order, in batches "
        "of 64, reads 50 MB for 50 MB of pixels: each byte once."
    )
    page.get_by_label("images shuffled").check()
    assert "reads 2,0" in answer(page) and answer(page).endswith(": each byte 41 times.")
    page.get_by_label("64 MiB").check()
    assert "the cache holds all" in answer(page) and answer(page).endswith(": each byte once.")


def test_an_explorer_says_what_it_is_without_a_script(images):
    text, page = SignalExplorer(images, MEAN, DEVIATION, bn=True).fallback()
    assert text.startswith("SignalExplorer(bn=True, depth=8, gain=1.0, init")
    assert page.startswith("<p>An explorer, which needs JavaScript: choose initialiser, depth, ")


def test_a_prediction_takes_its_answer_later_and_is_readable_without_a_script():
    guess = Prediction("How far does `bn` < get?", numbers=["bn"], unit="%")
    assert guess.fallback()[0].endswith("The result: not yet")
    assert guess.reveal({"bn": 43.5}, "It moves.") is guess
    text, page = guess.fallback()
    assert text == "Predict. How far does `bn` < get? (bn)\nThe result: bn 43.5 %. It moves."
    assert "<code>bn</code> &lt; get?" in page
    assert "<details><summary>The result</summary><p>bn 43.5 %. It moves.</p></details>" in page
    if hasattr(DOMWidget, "_repr_mimebundle_"):  # ipywidgets 7 displays itself, and only itself
        bundle, _ = guess._repr_mimebundle_()
        assert (bundle["text/plain"], bundle["text/html"]) == (text, page)
        assert "application/vnd.jupyter.widget-view+json" in bundle


def test_what_was_said_belongs_to_its_question():
    keys = [
        Prediction(question, choices=choices, **more).key
        for question, choices, more in [
            ("Which?", "ab", {}),
            ("Which?", "abc", {}),
            ("What?", "ab", {}),
            ("What?", "ab", {"id": "which"}),
        ]
    ]
    assert len(set(keys)) == 4 and keys[3] == "which"
    assert Prediction("Which?", choices="ab", answer="a").key == keys[0]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "either numbers"),
        ({"choices": ["one"]}, "two or more"),
        ({"numbers": ["a", "a"]}, "each of them once"),
        ({"choices": "ab", "answer": "c"}, "one of a, b; not answer='c'"),
        ({"numbers": "a", "answer": {"a": float("nan")}}, "a number for each of a"),
    ],
)
def test_a_prediction_that_does_not_fit_together_is_refused(arguments, told):
    with pytest.raises(CourseError, match=told) as error:
        Prediction("?", **arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"images": np.zeros((8, 3, 32, 32), np.uint8)}, "shape"),
        ({"images": np.zeros((8, 32, 32, 3))}, "float64"),
        ({"images": np.zeros((1, 32, 32, 3), np.uint8)}, "2 to 64"),
        ({"mean": (1.0, 2.0, float("nan"))}, "mean of three"),
        ({"deviation": (1.0, 0.0, 1.0)}, "above 0"),
        ({"initializer": "he"}, "he_normal"),
        ({"depth": 0}, "depth"),
        ({"dept": 3}, "did you mean depth"),
    ],
)
def test_wrong_arguments_are_named(images, change, told):
    arguments = {"images": images, "mean": MEAN, "deviation": DEVIATION} | change
    with pytest.raises(CourseError, match=told) as error:
        SignalExplorer(**arguments)
    assert "\n" not in str(error.value)


def runs_to_diagnose():
    climbing = {"loss": [2.0, 1.0, 0.125], "test_loss": [1.5, 1.25, 2.5]}
    flat = {"loss": [2.303] * 2, "test_loss": [2.303] * 2}
    right = {"accuracy": [0.1, 0.5, 0.9876], "test_accuracy": [0.2, 0.4, 0.4]}
    guess = {"accuracy": [0.1] * 2, "test_accuracy": [0.1] * 2}
    return [
        (climbing | right, "by heart", "The test loss climbs.", "run 1"),
        (flat | guess, "dead", "The loss is ln 10.", "run 2"),
    ]


def test_a_curve_is_diagnosed_by_keyboard_and_the_reasons_unfold_after_it(page):
    explorer = DiagnoseExplorer(runs_to_diagnose(), ["dead", "by heart"])
    names = ("faults", "cases", "place")
    show(page, {name: getattr(explorer, name) for name in names}, "/diagnose.js")
    said = lambda: page.text_content(".course-explorer .status")  # noqa: E731
    assert said() == "What do you see?" and page.text_content(".which") == "Curve 1 of 2."
    assert page.get_by_role("img").get_attribute("aria-label") == (
        "Curves of a run. 3 epochs. Loss on the training images from 2 to 0.125; on the test "
        "images from 1.5 to 2.5, least in epoch 2 with 1.25. Accuracy at the end: 98.8 % of the "
        "training images, 40 % of the test images."
    )
    page.get_by_label("dead").press("Space")
    page.get_by_role("button", name="Diagnose").press("Enter")
    assert said().endswith(": by heart. The test loss climbs. (run 1)") and said()[:3] == "No,"
    page.get_by_role("button", name="Next curve").press("Enter")
    assert page.evaluate("model.get('place')") == 1
    assert (
        said() == "What do you see?"
        and page.text_content(".which") == "Curve 2 of 2; 0 of 1 right."
    )
    page.get_by_label("dead").press("Space")
    page.get_by_role("button", name="Diagnose").press("Enter")
    assert said() == "Yes: dead. The loss is ln 10. (run 2)"
    assert page.text_content(".which") == "Curve 2 of 2; 1 of 2 right."
    assert page.locator("tbody tr").count() == 2
    text, _ = explorer.fallback()
    assert "run 1: by heart. The test loss climbs." in text


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"faults": ["dead", "slow"]}, "'by heart' is none of dead, slow"),
        ({"cases": [({"loss": [1.0]}, "dead", "", "run 3")]}, "of one length, for 'run 3'"),
    ],
)
def test_a_case_without_curves_or_with_another_fault_is_refused(change, told):
    arguments = {"cases": runs_to_diagnose(), "faults": ["dead", "by heart"]} | change
    with pytest.raises(CourseError, match=told):
        DiagnoseExplorer(**arguments)


@pytest.mark.parametrize("name", ["bn", "no-pool-1", "stride-1-pool-1-4", "stride-1"])
def test_the_page_counts_maps_padding_and_work_as_the_library(page, name):
    from course_lib import experiments, measure

    experiment = experiments.get(f"squeezenet/{name}")
    pools = dict(experiment.arguments["pools"])
    settings = {f"pool{k}": str(pools.get(k, 0)) for k in (1, 4, 8)}
    settings["stride"] = str(experiment.arguments["stride"])
    ours = page.evaluate("async (s) => (await import('/resolution.js')).stages(s)", settings)
    model = experiment.build()
    assert ours["macs"] == experiment.macs
    theirs = {row.name: row for row in measure.stages(model)}
    for stage in ours["stages"]:
        row = theirs[stage["name"]]
        assert (stage["side"], stage["macs"]) == (row.shape[0], row.macs)
        layer = stage["name"] + "_expand3" * stage["name"].startswith("fire")
        assert stage.get("padding", 0) == pytest.approx(measure.padding(model.get_layer(layer)))


def test_the_viewer_says_what_a_layout_sees_and_costs(page):
    explorer = ResolutionExplorer()
    names = ("stride", "pool1", "pool4", "pool8")
    show(page, {name: getattr(explorer, name) for name in names}, "/resolution.js")
    assert answer(page) == (
        "With four halvings the first fire module sees maps of 8×8 and the last of 2×2, where 56 % "
        "of what its 3×3 filters read is padding. 13.1 million multiplications a picture, as many "
        "as the paper's layout."
    )
    page.get_by_role("group", name="Max-pool after fire8").get_by_label("none").check()
    assert "With three halvings" in answer(page) and "31 %" in answer(page)
    page.get_by_role("group", name="Max-pool after fire8").get_by_label("stride 1").check()
    assert "31 %" in answer(page) and "3×3 neighbours: detail goes" in answer(page)


def confusions():
    """A matrix of counts with a class that is never tested, and one that is no answer."""
    matrix = np.random.default_rng(0).integers(0, 4, (5, 5))
    matrix[3], matrix[:, 1] = 0, 0
    return matrix, ["ant", "bee", "cat", "dog", "eel <i>"]


@pytest.mark.parametrize("way", ["truth", "answer"])
def test_the_page_reads_a_confusion_matrix_as_the_report_does(page, way):
    matrix, names = confusions()
    page.goto("http://explorer.test/")
    for chosen, name in enumerate(names):
        found = page.evaluate(
            """async (all) => (await import("/confusion.js")).answers(all)""",
            {"matrix": matrix.tolist(), "classes": names, "chosen": chosen, "way": way},
        )
        row = matrix[chosen] if way == "truth" else matrix[:, chosen]
        assert (found["total"], found["right"]) == (row.sum(), matrix[chosen, chosen])
        others = {other["name"]: other["count"] for other in found["others"]}
        assert others == {n: c for n, c in zip(names, row, strict=True) if c and n != name}
        assert list(others.values()) == sorted(others.values(), reverse=True)


def test_a_class_is_chosen_and_its_confusions_are_told(page):
    matrix, names = confusions()
    explorer = ConfusionExplorer(matrix, names, source="run 1")
    own = ("matrix", "classes", "source", "chosen", "way")
    show(page, {name: getattr(explorer, name) for name in own}, "/confusion.js")
    said = lambda: page.text_content(".course-explorer .status")  # noqa: E731
    assert said().startswith(f"Of {matrix[0].sum()} pictures of “ant” {matrix[0, 0]} are called so")
    page.get_by_label("Class").select_option("eel <i>")
    assert said().startswith(f"Of {matrix[4].sum()} pictures of “eel <i>” {matrix[4, 4]} are")
    page.get_by_label("Class").select_option("bee")
    page.get_by_label("what is taken for it").press("Space")
    assert page.evaluate("model.get('way')") == "answer"
    assert said() == "“bee” is the answer to 0 pictures, 0 of them rightly. It is never wrong."
    assert page.get_by_role("img").get_attribute("aria-label") == said()
    page.get_by_label("Class").select_option("dog")
    page.get_by_label("what it is taken for").press("Space")
    assert said() == "Of 0 pictures of “dog” 0 are called so. None is taken for anything else."
    assert (
        f"{np.trace(matrix)} of {matrix.sum()} pictures are right: run 1" in explorer.fallback()[0]
    )
    with pytest.raises(CourseError, match="each of 2 classes"):
        ConfusionExplorer(matrix, ["ant", "bee"])


def driven(*drops, epochs=6, seeds=1, start=3.0):
    """A schedule and its recorded runs: the loss falls half as fast after each drop."""
    loss, losses = start, []
    for epoch in range(epochs):
        loss -= 0.2 / 2 ** sum(epoch >= drop for drop in drops)
        losses.append(loss)
    curves = {"cross_entropy": losses, "validation_cross_entropy": [v + 0.1 for v in losses]}
    curves |= {"accuracy": [0.25] * epochs, "validation_accuracy": [0.2] * epochs}
    record = {"experiment": f"net/{drops}", "profile": "quick", "history": curves}
    record["final"] = {"test_accuracy": losses[-1] / 10}
    return drops, [{**record, "seed": seed} for seed in range(seeds)]


def test_the_reader_drives_along_recorded_runs_by_keyboard(page):
    explorer = DriveExplorer([driven(2), driven(4), driven(2, 4, seeds=2), driven()])
    own = ("runs", "rate", "drops", "at")
    show(page, {name: getattr(explorer, name) for name in own}, "/drive.js")
    said = lambda: page.text_content(".course-explorer .status")  # noqa: E731
    press = lambda name: page.get_by_role("button", name=name).press("Enter")  # noqa: E731
    assert said().startswith("After epoch 2 of 6, at a rate of 0.001. Since epoch 1 the training")
    assert "from 2.80 to 2.60, the validation loss from 2.90 to 2.70" in said()
    press("Lower it")
    assert said().startswith("After epoch 4 of 6, at a rate of 0.0001.")
    assert "from 2.80 to 2.40" in said(), "the curve of a run that fell after epoch 2"
    press("Lower it")
    assert said().endswith(
        "The end: 23.0, 23.0 % of the test pictures (net/(2, 4), quick, seed 0, then 1 more)."
    )
    assert page.get_by_role("button", name="Go on at").is_disabled()
    press("Start again")
    press("Go on at")
    press("Go on at")
    rows = page.locator("tbody th").all_text_contents()
    assert rows == ["2, 4", "never"] and "1.80" in said()
    assert (
        "net/(2, 4), quick, seed 0: rate lowered after epoch 2, 4; test" in explorer.fallback()[0]
    )


def test_what_was_not_recorded_cannot_be_driven(page):
    show(page, {"runs": DriveExplorer([driven(2), driven()]).runs, "rate": 1e-3, "drops": [],
                "at": 0}, "/drive.js")  # fmt: skip
    page.get_by_role("button", name="Lower it").press("Enter")
    assert "The end" in page.text_content(".status"), "nothing forks after the first drop"
    with pytest.raises(CourseError, match="differ before their schedules do"):
        DriveExplorer([driven(2), driven(start=5.0)])
    (drops, (record,)) = driven(2)
    del record["history"]["validation_cross_entropy"]
    with pytest.raises(CourseError, match=r"for drops \(2,\)"):
        DriveExplorer([(drops, [record])])
