"""Chunks of an HDF5 file: choose their size and the order of reading, see what is read for it."""

import traitlets

from course_lib.explorers.kit import Explorer, script


class ChunkExplorer(Explorer):
    """Bytes that HDF5 reads for each byte that is used, by images in a chunk and order of reading.

    settings: where to start. `chunk`: images in a chunk (1 to 512, a power of two); `order`:
    `in order`, `blocks` (blocks of a batch, or of a chunk where that is larger, in random order) or
    `shuffled`; `batch` (1 to 256 images, a power of two, which are read at once, sorted); `cache`,
    the library's chunk cache in MiB: "0", "1", "8" or "64"; `compressed`, whether chunks are. One
    epoch of 4,096 images of 64x64 pixels, 12,288 bytes each. Raises CourseError when a setting is
    not as said.
    """

    _esm = script(__file__)

    chunk = traitlets.Int(64, min=1, max=512).tag(sync=True)
    order = traitlets.Enum(("in order", "blocks", "shuffled"), "in order").tag(sync=True)
    batch = traitlets.Int(64, min=1, max=256).tag(sync=True)
    cache = traitlets.Enum(("0", "1", "8", "64"), "8").tag(sync=True)
    compressed = traitlets.Bool(False).tag(sync=True)
