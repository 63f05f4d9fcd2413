"""A 1x1 convolution before a wider one: what it saves, and from where on it costs more."""

import traitlets

from course_lib.explorers.kit import Explorer, script


class BottleneckExplorer(Explorer):
    """Multiplications of a convolution, directly and through a 1x1 convolution before it.

    settings: where to start. `inputs` and `outputs`, the channels (16 to 512); `reduced`, those
    between the two convolutions (4 to 512); `kernel`, "3" or "5"; `size` of the square map (4 to
    64, in and out). One multiplication per weight and place, biases left out, as
    course_lib.measure counts. Raises CourseError when a setting is not as said.
    """

    _esm = script(__file__)

    inputs = traitlets.Int(192, min=16, max=512).tag(sync=True)
    outputs = traitlets.Int(256, min=16, max=512).tag(sync=True)
    reduced = traitlets.Int(96, min=4, max=512).tag(sync=True)
    kernel = traitlets.Enum(("3", "5"), "3").tag(sync=True)
    size = traitlets.Int(32, min=4, max=64).tag(sync=True)
