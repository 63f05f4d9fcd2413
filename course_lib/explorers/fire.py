"""The fire-module calculator: what its filters cost, against a plain 3x3 convolution."""

import traitlets

from course_lib.explorers.kit import Explorer, script


class FireExplorer(Explorer):
    """Choose a fire module's filters; see its weights and multiplications beside a plain 3x3.

    settings: where to start: `channels` that come in, filters of `squeeze`, `expand1` (1x1) and
    `expand3` (3x3), and `size`, the side of the map. Whole numbers, the first three from 1 to 512,
    `expand1` from 0. Raises CourseError when one is not as said.
    """

    _esm = script(__file__)

    channels = traitlets.Int(96, min=1, max=512).tag(sync=True)
    squeeze = traitlets.Int(6, min=1, max=512).tag(sync=True)
    expand1 = traitlets.Int(5, min=0, max=512).tag(sync=True)
    expand3 = traitlets.Int(4, min=1, max=512).tag(sync=True)
    size = traitlets.Int(32, min=1, max=112).tag(sync=True)
