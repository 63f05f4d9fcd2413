"""Images per second in training on the CPU: ResNet-20 through `experiment.run` against PyTorch.

    python tests/benchmarks/bench_training.py

Both train the same network at batch 128 with Adam, in one process, epoch by epoch in turn: ours
with its augmentation, progress and callbacks, PyTorch in a plain loop over prepared tensors in
channels-last layout. At least 90 % is wanted. PyTorch is installed by `make test-backends`.
"""

import statistics
import sys
import time

import numpy as np

from course_lib import experiments
from course_lib.backend import keras
from course_lib.datasets import synthetic

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ImportError:
    print("bench_training: not run, PyTorch is not installed; make test-backends installs it")
    sys.exit()

BATCH, STEPS, EPOCHS, WANTED = 128, 30, 9, 0.9


class Block(nn.Module):
    """Two 3x3 convolutions and their shortcut, as in course_lib/models/resnet.py."""

    def __init__(self, inputs, filters, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, filters, 3, stride, 1)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1)
        self.bn2 = nn.BatchNorm2d(filters)
        self.shortcut = nn.Conv2d(inputs, filters, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x):
        y = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


def resnet20():
    widths = [16, 16, 16, 16, 32, 32, 32, 64, 64, 64]
    blocks = [Block(a, b, 2 if a != b else 1) for a, b in zip(widths[:-1], widths[1:], strict=True)]
    stem = [nn.Conv2d(3, 16, 3, 1, 1), nn.BatchNorm2d(16), nn.ReLU()]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)]
    return nn.Sequential(*stem, *blocks, *head).to(memory_format=torch.channels_last)


class Turns(keras.callbacks.Callback):
    """After each epoch of ours, one of PyTorch's; the seconds of both."""

    def __init__(self):
        super().__init__()
        rng = np.random.default_rng(0)
        images = rng.normal(size=(BATCH * STEPS, 3, 32, 32)).astype("float32")
        self.images = torch.from_numpy(images).to(memory_format=torch.channels_last)
        self.labels = torch.from_numpy(rng.integers(0, 10, BATCH * STEPS))
        self.network = resnet20()
        self.optimizer = torch.optim.Adam(self.network.parameters(), weight_decay=1e-4)
        self.ours, self.theirs = [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.begin = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        if batch == STEPS - 1:  # before the evaluation
            self.ours.append(time.perf_counter() - self.begin)

    def on_epoch_end(self, epoch, logs=None):
        begin = time.perf_counter()
        for images, labels in zip(self.images.split(BATCH), self.labels.split(BATCH), strict=True):
            self.optimizer.zero_grad()
            functional.cross_entropy(self.network(images), labels).backward()
            self.optimizer.step()
        self.theirs.append(time.perf_counter() - begin)


def main() -> None:
    experiment = experiments.get("resnet-v1/20-batch-128")
    own = sum(p.numel() for p in resnet20().parameters())
    assert own == experiment.parameters.trainable, "not the same network"
    turns = Turns()
    experiment.run(
        profile="quick",
        data=synthetic.load(images=BATCH * STEPS, test_images=100),
        epochs=EPOCHS,
        callbacks=[turns],
    )
    ours, theirs = turns.ours[1:], turns.theirs[1:]  # the first epoch compiles
    ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    rates = [BATCH * STEPS / statistics.median(times) for times in (ours, theirs)]
    print(f"Keras {keras.__version__} on {keras.backend.backend()}, PyTorch {torch.__version__}")
    print(f"ResNet-20, batch {BATCH}: run {rates[0]:.0f} images/s, PyTorch {rates[1]:.0f} images/s")
    short = "" if ratio >= WANTED else f"  below {WANTED:.0%}"
    print(f"share, median of {len(ours)} pairs of epochs: {ratio:.0%}{short}")


if __name__ == "__main__":
    main()
