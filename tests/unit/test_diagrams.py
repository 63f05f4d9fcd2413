"""Diagrams: every network and block of the course is drawn, to scale, and said in words."""

import re
import xml.etree.ElementTree as ET

import artwork
import pytest

from course_lib import experiments
from course_lib.backend import keras, layers
from course_lib.figures import diagrams, palette
from course_lib.figures.diagrams import Stage
from course_lib.models import squeezenet
from course_lib.settings import CourseError

SVG = "{http://www.w3.org/2000/svg}"


def words(figure):
    return [element.text for element in ET.fromstring(figure.svg).iter(f"{SVG}text")]


def boxes(figure, colour):
    """(width, height) of the boxes of one colour, outline included, from top to bottom."""
    rects = [r for r in ET.fromstring(figure.svg).iter(f"{SVG}rect") if r.get("fill") == colour]
    return [
        tuple(float(r.get(side)) + float(r.get("stroke-width")) for side in ("width", "height"))
        for r in sorted(rects, key=lambda r: float(r.get("y")))
    ]


def right_on_a_page(figure):
    """Well-formed, described, inside its frame, in the page's colour, legible on a telephone."""
    ET.fromstring(figure._repr_html_())
    root = ET.fromstring(figure.svg)
    assert figure.alt and root.get("width") == "100%" and "max-width" in root.get("style")
    _, _, width, height = (float(part) for part in root.get("viewBox").split())
    for rect in root.iter(f"{SVG}rect"):
        x, y, w, h = (float(rect.get(key, 0)) for key in ("x", "y", "width", "height"))
        assert w >= 0 and h >= 0
        assert x >= 0 and x + w <= width and y >= 0 and y + h <= height
    for line in root.iter(f"{SVG}text"):
        assert line.get("fill") == "currentColor"
        size = float(line.get("font-size"))
        assert size * 350 / width >= 10 or width > 360, "350 pixels are what a telephone has"
        # The sans of the page is narrower than 0.58 of its size a character on average.
        long = 0.58 * size * len(line.text)
        left = {"start": 0, "middle": -long / 2}[line.get("text-anchor")] + float(line.get("x"))
        assert left >= 0 and left + long <= width, line.text
    assert not re.search(r"#(000|fff)(000|fff)?\b|\b(black|white)\b", figure.svg, re.I)


@pytest.mark.parametrize("version", squeezenet.IMAGENET)
def test_squeezenet_for_imagenet_is_drawn(version):
    figure = diagrams.network(squeezenet.squeezenet_imagenet(version=version))
    right_on_a_page(figure)
    assert "images 224×224×3" in figure.alt and "logits 1000, mean of each map" in figure.alt


# Of each family's blocks, what must be said of them.
BLOCKS = {
    ("squeezenet/plain", "fire2"): "8×8×96: 1×1 convolution to 16, ReLU, (1×1 convolution to 64, "
    "ReLU) beside (3×3 convolution to 64, ReLU) concatenated. It passes on 8×8×128. 11,920",
    ("squeezenet/simple-bypass", "fire3"): "(the input itself) beside (1×1 convolution to 16",
    ("squeezenet/complex-bypass", "fire2"): "(1×1 convolution to 128, BN, ReLU) beside (1×1",
    ("minigooglenet/lr-1e-2", "i1b"): "beside (3×3 convolution to 48, BN, ReLU) concatenated",
    ("minigooglenet/lr-1e-2", "down1"): "(3×3 convolution to 80, stride 2, BN, ReLU) beside (3×3 "
    "max-pool, stride 2) concatenated. It passes on 15×15×160",
    ("deepergooglenet/deep-adam", "i3a"): "beside (3×3 max-pool, 1×1 convolution to 32, BN, ReLU)",
    ("resnet-v1/20", "stage1block1"): "(3×3 convolution to 16, BN, ReLU, 3×3 convolution to 16, "
    "BN) added, ReLU",
    ("resnet-v1/20", "stage2block1"): "(1×1 convolution to 32, stride 2) beside",
    ("resnet-v2/20", "stage1block2"): "(BN, ReLU, 1×1 convolution to 16, BN, ReLU, 3×3 "
    "convolution to 16, BN, ReLU, 1×1 convolution to 64) added. It",
    ("densenet/growth-32", "block1layer2"): "(the input itself) beside (BN, ReLU, 1×1 "
    "convolution to 64, BN, ReLU, 3×3 convolution to 32) concatenated. It passes on 32×32×80",
    ("densenet/growth-32", "transition1"): "BN, ReLU, 1×1 convolution to 72, 2×2 mean, stride 2",
}


@pytest.mark.parametrize(("id", "stage"), BLOCKS)
def test_the_blocks_of_all_families_are_drawn_from_their_models(id, stage, built):
    model = built(id)
    figure = diagrams.block(model, stage)
    right_on_a_page(figure)
    assert BLOCKS[id, stage] in figure.alt
    own = [layer for layer in model.layers if layer.name.split("_")[0] == stage]
    total = f"{sum(layer.count_params() for layer in own):,} parameters"
    assert figure.alt.endswith(f" {total}.") and words(figure)[-1].endswith(total)
    filters = {f"{layer.filters} filters" for layer in own if hasattr(layer, "filters")}
    assert filters <= {line.split(",")[0] for line in words(figure)}


def test_a_stage_that_the_model_lacks_names_the_nearest(built):
    with pytest.raises(CourseError, match="fire3"):
        diagrams.block(built("squeezenet/plain"), "fire33")


def test_a_readers_own_block_is_drawn_whatever_it_is_made_of():
    """Layers that the course does not use, without names, and branches that share a layer."""

    def weighted(x, squeeze, expand, *, conv, name):
        x = conv(x, 2 * expand, 1, name=f"{name}_conv")
        x = layers.DepthwiseConv2D(3, padding="same")(x)
        weights = layers.GlobalAveragePooling2D(keepdims=True)(x)
        weights = layers.Dense(2 * expand, activation="sigmoid")(weights)
        return layers.Multiply()([x, weights])

    def tangled(x, squeeze, expand, *, conv, name):
        first = conv(x, expand, 3, name=f"{name}_first")
        second = conv(first, expand, 3, name=f"{name}_second")
        return layers.Concatenate(name=f"{name}_join")([x, first, second])

    plain = experiments.get("squeezenet/plain")
    for block, told in [
        (weighted, "3×3 convolution, .*, dense to 128.* joined"),
        (tangled, "several layers, ended by concatenate"),
    ]:
        model = plain.build(block=block)
        names = [stage.name for stage in diagrams.stages(model)]
        assert names[:4] == ["images", "conv1", "pool1", "fire2"]
        assert names[-3:] == ["conv10", "gap", "logits"]
        right_on_a_page(diagrams.network(model))
        figure = diagrams.block(model, "fire2")
        right_on_a_page(figure)
        assert re.search(told, figure.alt)


def test_a_layer_of_no_known_kind_is_a_plain_box():
    inputs = keras.Input((8, 8, 4), name="images")
    outputs = layers.Reshape((4, 16, 4), name="folded")(inputs)
    figure = diagrams.network(keras.Model(inputs, outputs))
    assert "folded 4×16×4, Reshape" in figure.alt and "folded" in words(figure)


def test_fire_computes_its_parameters_from_its_arguments():
    shown = words(diagrams.fire(96, 16, 64))
    assert {"96·16 + 16 = 1,552", "16·64 + 64 = 1,088", "3·3·16·64 + 64 = 9,280"} <= set(shown)
    assert "= 11,920 parameters" in shown and "11,920" in diagrams.fire().caption
    with_bn = diagrams.fire(512, 64, 256, bn=True)
    assert "= 199,488 parameters" in words(with_bn) and "BN: 4·256 = 1,024" in words(with_bn)
    for bn, bands in ((False, 0), (True, 3)):
        assert len(boxes(diagrams.fire(bn=bn), palette.SKY)) == bands
    right_on_a_page(with_bn)


def test_blocks_and_networks_are_to_scale(built):
    (squeeze, _), (expand, _) = boxes(diagrams.fire(96, 16, 64), palette.BLUE)
    ((join, _),) = boxes(diagrams.fire(96, 16, 64), palette.GREEN)
    assert (expand / squeeze, join / squeeze) == pytest.approx((4, 8), rel=0.01)
    # conv1 and the 3x3 halves of fire2 to fire9, from 16 pixels to 2.
    model = built("squeezenet/plain")
    _legend, conv1, fire2, *_, fire9 = boxes(diagrams.network(model), palette.ORANGE)
    assert (fire9[0] / conv1[0], fire9[0] / fire2[0]) == pytest.approx((256 / 96, 4), rel=0.01)
    assert (conv1[1] / fire2[1], conv1[1] / fire9[1]) == pytest.approx((2, 8), rel=0.01)
    down = boxes(diagrams.block(built("minigooglenet/lr-1e-2"), "down1"), "none")
    assert down[0][1] / down[-1][1] == pytest.approx(32 / 15, rel=0.1), "input and output"


def test_repeated_blocks_are_one_with_their_number(built):
    figure = diagrams.network(built("resnet-v1/110"))
    assert {"stage1block1–18", "× 18", "stage3block2–18", "× 17"} <= set(words(figure))
    figure = diagrams.network(built("densenet/growth-32"))
    assert {"block3layer1–16", "× 16", "8 × 8 × 676", "32 more each"} <= set(words(figure))
    figure = diagrams.network(built("squeezenet/plain"))
    assert {"fire2", "fire3"} <= set(words(figure)), "two alike stay two"


def test_the_legend_explains_what_is_used_and_nothing_else():
    shown = words(diagrams.network([Stage("conv", (8, 8, 3), (("5x5", 3),), "5×5")]))
    assert "5×5 and larger" in shown
    assert not {"1×1", "3×3", "pooling", "addition", "concatenation", "added"} & set(shown)


def outlines(figure):
    rects = ET.fromstring(figure.svg).iter(f"{SVG}rect")
    frames = [r.get("stroke-dasharray", "") for r in rects if r.get("stroke-width") == "1.6"]
    return frames[: -len(diagrams.FRAMES)]  # the last ones are the legend's


DIFFERENCES = {
    # child, parent: alt, outlines
    ("squeezenet/bn", None): (["fire2 8×8×128, 1×1 → 1×1 | 3×3 is changed (+ 3 BN)"], 10),
    ("squeezenet/he-l2", None): (["is changed (initialiser, weight decay)"], 10),
    ("squeezenet/no-conv10", None): (["conv10 2×2×10, 1×1 is removed", "(was 10)"], 1),
    ("squeezenet/no-pool-1", None): (["pool1 8×8×96, 3×3 max, stride 2 is removed",
                                      "3×3 is made as before (was 8×8×128)",
                                      "(was 3×3, stride 2)"], 2),
    ("squeezenet/simple-bypass", None): (["is changed (+ identity)"], 4),
    ("squeezenet/dropout", None): (["fire9", "(+ dropout)"], 1),
    ("resnet-v1/32", "resnet-v1/20"): (["stage3block5 8×8×64", "identity bypass is added"], 6),
    ("resnet-v1/20-no-mean", None): (["every layer is the same"], 0),
}  # fmt: skip


@pytest.mark.parametrize(("child", "parent"), DIFFERENCES)
def test_a_variant_is_drawn_as_the_difference_from_its_parent(child, parent):
    figure = diagrams.difference(child, parent)
    right_on_a_page(figure)
    told, marked = DIFFERENCES[child, parent]
    assert [part for part in told if part not in figure.alt] == []
    assert len(outlines(figure)) == marked, "what is not changed has no outline"
    other = parent or experiments.get(child).parent
    change = experiments.get(child).diff(other).splitlines()[1].strip()
    assert figure.caption.startswith(f"{child} against {other}: ") and change in figure.caption


def test_what_has_no_parent_needs_one_named():
    with pytest.raises(CourseError, match="squeezenet/plain has no parent"):
        diagrams.difference("squeezenet/plain")


def test_added_removed_and_changed_differ_by_outline_and_sign_not_by_colour():
    added = diagrams.difference("resnet-v1/32", "resnet-v1/20")
    removed = diagrams.difference("resnet-v1/20", "resnet-v1/32")
    changed = diagrams.difference("squeezenet/bn")
    kinds = [set(outlines(figure)) for figure in (added, removed, changed)]
    assert all(len(kind) == 1 for kind in kinds) and len(set.union(*kinds)) == 3
    assert "+ stage1block4" in words(added) and "− stage1block4" in words(removed)
    assert "≠ conv1" in words(changed)


def test_logo_and_cover_carry_their_own_colours():
    for figure in (artwork.logo(), artwork.cover()):
        ET.fromstring(figure._repr_html_())
        assert "currentColor" not in figure.svg
        assert not words(figure), "no words: they would be too small on a telephone"


def test_saved_picture_has_a_size_and_no_black_text(tmp_path):
    path = tmp_path / "fire.svg"
    path.write_text("old")
    artwork.save(diagrams.fire(), path)
    root = ET.parse(path).getroot()
    assert root.get("width") == "360" and float(root.get("height")) > 300
    assert root.get("color") == palette.GREY
    assert [p.name for p in tmp_path.iterdir()] == ["fire.svg"]


def test_save_leaves_the_old_picture_when_writing_fails(tmp_path, monkeypatch):
    path = tmp_path / "logo.svg"
    path.write_text("old")

    def full(self, *args, **kwargs):
        with open(self, "w") as file:
            file.write("<sv")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(OSError, match="No space"):
        artwork.save(artwork.logo(), path)
    assert path.read_text() == "old"
