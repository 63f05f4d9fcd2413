import re
import xml.etree.ElementTree as ET

import artwork
import pytest

from course_lib import diagrams, experiments
from course_lib.diagrams import Stage

SVG = "{http://www.w3.org/2000/svg}"
SQUEEZENET = [
    Stage("input", "input", 32, 3),
    Stage("conv1", "conv3", 16, 96, "3×3, stride 2"),
    Stage("pool1", "pool", 8, 96, "3×3, stride 2"),
    Stage("fire2", "fire", 8, 128, "squeeze 16"),
    Stage("fire3", "fire", 8, 128, "squeeze 16"),
    Stage("fire4", "fire", 8, 256, "squeeze 32"),
    Stage("pool4", "pool", 4, 256, "3×3, stride 2"),
    Stage("fire5", "fire", 4, 256, "squeeze 32"),
    Stage("fire6", "fire", 4, 384, "squeeze 48"),
    Stage("fire7", "fire", 4, 384, "squeeze 48"),
    Stage("fire8", "fire", 4, 512, "squeeze 64"),
    Stage("pool8", "pool", 2, 512, "3×3, stride 2"),
    Stage("fire9", "fire", 2, 512, "squeeze 64"),
    Stage("conv10", "conv1", 2, 10, "1×1"),
    Stage("GAP", "gap", 1, 10, "mean of each map"),
    Stage("dense", "dense", 1, 10, "softmax"),
]
FIGURES = {
    "fire": diagrams.fire(),
    "fire_bn": diagrams.fire(512, 64, 256, bn=True),
    "fire_narrow": diagrams.fire(512, 16, 64),
    "network": diagrams.network(SQUEEZENET),
    "logo": artwork.logo(),
    "cover": artwork.cover(),
}


def words(figure):
    return [element.text for element in ET.fromstring(figure.svg).iter(f"{SVG}text")]


def boxes(figure, colour):
    """(width, height) of the boxes of one colour, from top to bottom."""
    rects = [r for r in ET.fromstring(figure.svg).iter(f"{SVG}rect") if r.get("stroke") == colour]
    rects.sort(key=lambda r: float(r.get("y")))
    return [(float(r.get("width")), float(r.get("height"))) for r in rects]


@pytest.mark.parametrize("figure", FIGURES.values(), ids=FIGURES)
def test_every_figure_is_a_scalable_picture_with_alt_text(figure):
    root = ET.fromstring(figure.svg)
    assert root.tag == f"{SVG}svg"
    assert root.get("width") == "100%" and "max-width" in root.get("style")
    assert figure.alt and f'aria-label="{figure.alt}"' in figure._repr_html_()
    # The figure as a notebook shows it is one well-formed element too.
    ET.fromstring(figure._repr_html_())


@pytest.mark.parametrize("figure", FIGURES.values(), ids=FIGURES)
def test_everything_stays_inside_the_picture(figure):
    root = ET.fromstring(figure.svg)
    _, _, width, height = (float(part) for part in root.get("viewBox").split())
    for rect in root.iter(f"{SVG}rect"):
        x, y, w, h = (float(rect.get(key)) for key in ("x", "y", "width", "height"))
        assert w > 0 and h > 0
        assert x >= 0 and x + w <= width and y >= 0 and y + h <= height
    for line in root.iter(f"{SVG}text"):
        # 0.62 of the size a character is the width of the widest of the usual fonts.
        long = 0.62 * float(line.get("font-size")) * len(line.text)
        left = {"start": 0, "middle": -long / 2}[line.get("text-anchor")] + float(line.get("x"))
        assert left >= 0 and left + long <= width, line.text


@pytest.mark.parametrize("name", ["fire", "fire_bn", "fire_narrow", "network"])
def test_text_takes_the_colour_of_the_page_and_is_large_enough_for_a_telephone(name):
    root = ET.fromstring(FIGURES[name].svg)
    lines = list(root.iter(f"{SVG}text"))
    assert lines and {line.get("fill") for line in lines} == {"currentColor"}
    shrunk = 350 / float(root.get("viewBox").split()[2])
    assert min(float(line.get("font-size")) for line in lines) * shrunk >= 10
    assert not re.search(r"#(000|fff)(000|fff)?\b|\b(black|white)\b", FIGURES[name].svg, re.I)


def test_fire_computes_its_parameters_from_its_arguments():
    shown = words(diagrams.fire(96, 16, 64))
    assert "96·16 + 16 = 1,552" in shown
    assert "16·64 + 64 = 1,088" in shown
    assert "3·3·16·64 + 64 = 9,280" in shown
    assert "= 11,920 parameters" in shown
    assert "= 199,488 parameters" in words(diagrams.fire(512, 64, 256, bn=True))
    other = words(diagrams.fire(128, 16, 64))
    assert "128·16 + 16 = 2,064" in other and "96·16 + 16 = 1,552" not in other
    assert "11,920" in diagrams.fire().alt and "11,920" in diagrams.fire().caption


@pytest.mark.parametrize(("bn", "whole"), [(False, 729_144), (True, 741_088)])
def test_fires_add_up_to_the_parameters_of_squeezenet(bn, whole):
    total = 3 * 3 * 3 * 96 + 96 + 512 * 10 + 10 + 10 * 10 + 10 + 4 * (96 + 10) * bn
    channels = 96
    for stage in SQUEEZENET:
        if stage.kind == "fire":
            figure = diagrams.fire(channels, stage.channels // 8, stage.channels // 2, bn)
            (line,) = (w for w in words(figure) if w.startswith("= "))
            total += int(line.split()[1].replace(",", ""))
            channels = stage.channels
    assert total == whole


def test_fire_draws_bands_of_bn_only_when_asked():
    assert not boxes(diagrams.fire(), diagrams.SKY)
    assert len(boxes(diagrams.fire(bn=True), diagrams.SKY)) == 3
    assert len(boxes(diagrams.fire(), diagrams.PURPLE)) == 3
    assert "BN" in diagrams.fire(bn=True).alt and "BN" not in diagrams.fire().alt


def test_fire_is_to_scale():
    (squeeze, _), (expand, _) = boxes(diagrams.fire(96, 16, 64), diagrams.BLUE)
    ((join, _),) = boxes(diagrams.fire(96, 16, 64), diagrams.GREEN)
    # Every box leaves 3 units of its width free.
    assert (expand + 3) / (squeeze + 3) == pytest.approx(4, rel=0.01)
    assert (join + 3) / (squeeze + 3) == pytest.approx(8, rel=0.01)


def test_network_shows_every_stage_and_its_numbers():
    figure = diagrams.network(SQUEEZENET, caption="Four halvings leave maps of 2 × 2.")
    shown = words(figure)
    for stage in SQUEEZENET:
        assert stage.name in shown and stage.note in [*shown, ""]
        assert f"{stage.name} {stage.size}×{stage.size}×{stage.channels}" in figure.alt
    assert "32 × 32 × 3" in shown and "2 × 2 × 512" in shown
    assert "height = resolution, width = √channels, to scale" in shown
    assert figure.caption == "Four halvings leave maps of 2 × 2."
    changed = words(diagrams.network([*SQUEEZENET[:-1], Stage("dense", "dense", 1, 7)]))
    assert "7" in changed and "7" not in shown


def test_network_is_to_scale():
    sizes, channels = (64, 32, 16, 8), (4, 16, 64, 256)
    stages = [Stage("c", "conv3", s, c) for s, c in zip(sizes, channels, strict=True)]
    *drawn, _legend = boxes(diagrams.network(stages), diagrams.ORANGE)
    widths, heights = zip(*drawn, strict=True)
    assert [h / heights[-1] for h in heights] == pytest.approx([8, 4, 2, 1], rel=0.01)
    assert [(w + 3) / (widths[0] + 3) for w in widths] == pytest.approx([1, 2, 4, 8], rel=0.01)


def test_network_explains_the_colours_it_uses_and_no_others():
    shown = words(diagrams.network([Stage("conv", "conv5", 8, 3), Stage("gap", "gap", 1, 3)]))
    assert {"5×5", "pooling"} <= set(shown) and not {"1×1", "3×3"} & set(shown)


def test_logo_and_cover_carry_their_own_colours():
    for figure in (artwork.logo(), artwork.cover()):
        assert "currentColor" not in figure.svg
        assert not words(figure), "no words: they would be too small on a telephone"


def test_saved_picture_has_a_size_and_no_black_text(tmp_path):
    path = tmp_path / "fire.svg"
    path.write_text("old")
    artwork.save(diagrams.fire(), path)
    root = ET.parse(path).getroot()
    assert root.get("width") == "360" and float(root.get("height")) > 300
    assert root.get("color") == diagrams.GREY
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


@pytest.mark.parametrize("id", ["squeezenet/dropout", "squeezenet/simple-bypass"])
def test_dropout_is_no_box_and_a_module_with_a_bypass_is_one(id):
    found = diagrams.stages(experiments.get(id).build())
    assert [s.name for s in found if s.kind == "fire"] == [f"fire{k}" for k in range(2, 10)]
    assert "dropout" not in [s.name for s in found]
    assert diagrams.network(found).svg.startswith("<svg")
