import json

import pytest
import verify

from course_lib import records


@pytest.mark.parametrize(
    "text",
    [
        "The net reaches 85.3 % here.",
        "It gains 1.5 points.",
        "The loss is 0.3359 at the end.",
        "A loss of 2.303 means nothing was learned.",
        "It has 729,145 parameters.",
        "<!-- 2.304 = log(10) -->\n\nThe loss is 2.304.",
        "<!-- 85 = lost('squeezenet/bn') -->\n\nIt reaches 85 %.",
        "Cited here (S1).\n\nBut 85 % stands in another paragraph.",
    ],
)
def test_a_number_without_a_true_source_is_a_fault(text):
    assert len(verify.faults_of(text)) >= 1


@pytest.mark.parametrize(
    "text",
    [
        "The article reports 85 % (S1).",
        "The paper reports 57.5 % on ImageNet (Iandola et al. 2016).",
        "<!-- 2.303 = log(10) -->\n\nThe loss is 2.303.\n\nIt was a loss of 2.303 before.",
        "<!-- 729,144 = parameters('squeezenet/plain') -->\n\nIt has 729,144 parameters.",
        "Welch's 95 % interval contains zero.",
        "Three seeds, 64 images, 9 filters.",
        "```\nloss 0.5, 99 %\n```\n\nand `50 %` in code",
    ],
)
def test_numbers_with_a_source_pass(text):
    assert verify.faults_of(text) == []


def test_a_record_gives_the_book_its_number(folders, make_record):
    records.write(make_record())
    text = "<!-- 50.0 = last('squeezenet/bn', 'quick') -->\n\nbn reaches 50.0 %."
    assert verify.faults_of(text) == []
    assert len(verify.faults_of(text.replace("50.0", "50.1"))) == 1


def test_pages_are_read_as_a_reader_sees_them(tmp_path):
    cells = [
        {"cell_type": "markdown", "source": ["It has\n", "99 % of it.\n"]},
        {"cell_type": "code", "source": ["print('98 %')"]},
    ]
    (tmp_path / "01.ipynb").write_text(json.dumps({"cells": cells}))
    (tmp_path / "a.md").write_text("97 %")
    count, faults = verify.check_book(tmp_path)
    assert count == 2 and len(faults) == 2
