"""The resolution viewer: how SqueezeNet loses its map, stage by stage, and what that costs."""

import traitlets

from course_lib.explorers.kit import Explorer, script


class ResolutionExplorer(Explorer):
    """Choose where SqueezeNet halves its maps; see sides, padding and multiplications by stage.

    settings: where to start: `stride` of conv1 (1 or 2) and, for the max-pools after conv1, fire4
    and fire8, `pool1`, `pool4` and `pool8`: 2 halves the map, 1 keeps its size, 0 is no pool; each
    of them text, as the page's controls have it. The network is the course's SqueezeNet for 32x32
    pictures. Raises CourseError when a setting is not as said.
    """

    _esm = script(__file__)

    stride = traitlets.Enum(("1", "2"), "2").tag(sync=True)
    pool1 = traitlets.Enum(("0", "1", "2"), "2").tag(sync=True)
    pool4 = traitlets.Enum(("0", "1", "2"), "2").tag(sync=True)
    pool8 = traitlets.Enum(("0", "1", "2"), "2").tag(sync=True)
