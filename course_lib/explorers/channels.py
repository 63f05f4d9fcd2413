"""The channels of a DenseNet: choose its blocks, see what each layer reads, adds and costs."""

import traitlets

from course_lib.explorers.kit import Explorer, script


class ChannelExplorer(Explorer):
    """Channels, parameters and multiply-accumulates of a DenseNet, layer by layer.

    settings: where to start. `first`, `second`, `third` (1 to 16): layers of the dense blocks;
    `growth` (4 to 48); `bottleneck` (1 to 8, times the growth); `compression` (0.25 to 1) of the
    channels by a transition. Pictures of 32x32, 16 filters in the first convolution, ten classes:
    as course_lib.models.densenet. Raises CourseError when a setting is not as said.
    """

    _esm = script(__file__)

    first = traitlets.Int(4, min=1, max=16).tag(sync=True)
    second = traitlets.Int(8, min=1, max=16).tag(sync=True)
    third = traitlets.Int(16, min=1, max=16).tag(sync=True)
    growth = traitlets.Int(32, min=4, max=48).tag(sync=True)
    bottleneck = traitlets.Int(2, min=1, max=8).tag(sync=True)
    compression = traitlets.Float(0.5, min=0.25, max=1.0).tag(sync=True)
