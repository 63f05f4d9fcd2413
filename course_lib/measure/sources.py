"""From whom a layer of a dense block reads: the block's input, or one of the layers before it.

What a reader reads lies side by side, so each channel has one source (Huang et al. 2016, section
3). The readers of a block are the 1x1 convolutions of its layers, and of the transition after it.
Both measures are arrays (readers, sources), the block's input the first source; NaN where a source
comes after its reader.
"""

import re

import numpy as np

from course_lib.backend import keras


def reads(model, block: int) -> np.ndarray:
    """The weights of each reader by source: the mean of |weight| times the scale that batch
    normalisation gives its channel, over the reader's own mean (Huang et al. 2016, figure 5)."""
    readers, edges = _readers(model, block)
    found = np.full((len(readers), len(readers)), np.nan)
    for k, reader in enumerate(readers):
        weights = np.abs(np.asarray(reader.kernel))[0, 0].mean(axis=1)
        weights *= np.abs(np.asarray(model.get_layer(f"{reader.name}_bn").gamma))
        parts = np.split(weights, edges[1 : k + 1])
        found[k, : k + 1] = [part.mean() / weights.mean() for part in parts]
    return found


def silenced(model, block: int, images, labels) -> np.ndarray:
    """By how much the cross-entropy rises, in nats, when one reader no longer hears one source:
    the weights of that pair are 0, all else is as trained.

    images: (count, height, width, 3), standardised, a thousand or so, since all are answered at
        once; labels: (count,) integers.
    """
    readers, edges = _readers(model, block)
    before = model.get_layer(f"transition{block - 1}_pool" if block > 1 else "conv1_bn").output
    entering = keras.Model(model.input, before).predict(images, verbose=0)
    rest = keras.Model(before, model.output)

    def loss():
        right = rest.predict_on_batch(entering)[np.arange(len(labels)), labels]
        return -np.log(np.maximum(right, 1e-7)).mean()

    found, whole = np.full((len(readers), len(readers)), np.nan), loss()
    for k, reader in enumerate(readers):
        kernel = np.asarray(reader.kernel).copy()
        for source in range(k + 1):
            cut = kernel.copy()
            cut[:, :, edges[source] : edges[source + 1]] = 0
            reader.kernel.assign(cut)
            found[k, source] = loss() - whole
        reader.kernel.assign(kernel)
    return found


def _readers(model, block: int):
    """The readers of that block in their order, and where each source's channels begin."""
    wanted = rf"block{block}layer\d+_conv1|transition{block}_conv"
    readers = [layer for layer in model.layers if re.fullmatch(wanted, layer.name)]
    return readers, [0, *(reader.kernel.shape[2] for reader in readers)]
