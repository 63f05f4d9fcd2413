"""Images per second in training on the CPU: float32, mixed bfloat16, and PyTorch in bfloat16.

    python tests/benchmarks/bench_precision.py [experiment …]

Every process has one thread. All processes of a network are started together and then work in
turn, one alone and two side by side, so that a shared machine slows them alike; shown are medians.
Ours run through `experiment.run`, augmentation and callbacks included; PyTorch in a plain loop over
prepared tensors in channels-last layout, under autocast. Wanted, of two processes side by side: as
many images as PyTorch's, in the geometric mean of the networks. `make test-backends` installs it.

Where a step goes, on one core of a processor with AVX512_BF16: convolutions take three quarters of
it, the gradient of their kernels alone a third, in kernels of oneDNN that PyTorch calls, too. What
bfloat16 straight into batch normalisation gives beside copies in float32: a tenth of a step, for
its ReLU is then fused with it. What was tried and left: one kernel an update in the optimizer
(2 % of a step with SGD, 4 % with Adam, whose rounding it changes), other assignments of the moving
averages, no metrics, `jit_compile` (nothing each).
"""

import dataclasses
import importlib.util
import itertools
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from course_lib import backend, experiments, processor

IDS = ("squeezenet/bn", "resnet-v1/20", "squeezenet/no-pool-1", "minigooglenet/lr-1e-2")
KINDS = ("float32", "mixed_bfloat16", "PyTorch")
SECONDS, ROUNDS, WARM_UP, WANTED = 4, 3, 3, 1.0


# --- in a process of its own --------------------------------------------------------------------


class Turns:
    """Calls `step` after every step: each line on stdin is answered by the images of a second."""

    def __init__(self, batch: int):
        self.batch, self.steps, self.begin = batch, -WARM_UP, None

    def step(self) -> bool:
        """False: there is no further line."""
        self.steps += 1
        if self.steps < 0:
            return True
        if self.begin:
            seconds = time.perf_counter() - self.begin
            if seconds < SECONDS:
                return True
            print(self.steps * self.batch / seconds, flush=True)
        else:
            print("ready", flush=True)
        more = sys.stdin.readline()
        self.steps, self.begin = 0, time.perf_counter()
        return bool(more)


def train_ours(experiment, precision: str) -> None:
    from course_lib.datasets import synthetic

    turns = Turns(experiment.batch)

    class Stop(backend.keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = not turns.step()

    data = synthetic.load(images=1280, test_images=100)
    many = np.tile(np.arange(1280), 100)  # enough that no epoch ends meanwhile
    data = dataclasses.replace(data, x_train=data.x_train[many], y_train=data.y_train[many])
    experiment.run(
        profile="quick", data=data, images=len(many), epochs=1, precision=precision,
        callbacks=[Stop()],
    )  # fmt: skip


def train_theirs(experiment) -> None:
    import torch
    from torch import nn
    from torch.nn import functional

    def conv(inputs, filters, kernel, stride=1, padding=None, relu=True):
        padding = kernel // 2 if padding is None else padding
        layers = [nn.Conv2d(inputs, filters, kernel, stride, padding), nn.BatchNorm2d(filters)]
        return nn.Sequential(*layers, nn.ReLU() if relu else nn.Identity())

    class Joined(nn.Module):
        """Branches side by side, joined by channel."""

        def __init__(self, *branches):
            super().__init__()
            self.branches = nn.ModuleList(branches)

        def forward(self, x):
            return torch.cat([branch(x) for branch in self.branches], 1)

    class Residual(nn.Module):
        def __init__(self, inputs, filters):
            super().__init__()
            stride = 2 if inputs != filters else 1
            second = conv(filters, filters, 3, relu=False)
            self.long = nn.Sequential(conv(inputs, filters, 3, stride), second)
            self.short = nn.Conv2d(inputs, filters, 1, stride) if stride > 1 else nn.Identity()

        def forward(self, x):
            return functional.relu(self.long(x) + self.short(x))

    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]

    def squeezenet():
        from course_lib.models.squeezenet import FIRES

        given = experiment.arguments
        pools = dict(given.get("pools", ((1, 2), (4, 2), (8, 2))))
        parts, inputs = [conv(3, 96, 3, given.get("stride", 2))], 96
        for number, fire in enumerate((None, *FIRES), start=1):
            if fire:
                squeeze, expand = fire
                both = Joined(conv(squeeze, expand, 1), conv(squeeze, expand, 3))
                parts += [conv(inputs, squeeze, 1), both]
                inputs = 2 * expand
            if number in pools:
                parts.append(nn.MaxPool2d(3, pools[number], 1))
        parts.append(nn.Dropout(given.get("dropout", 0)))
        return nn.Sequential(*parts, conv(512, 10, 1), *head, nn.Linear(10, 10))

    def resnet_v1():
        widths = [16] * 4 + [32] * 3 + [64] * 3
        blocks = itertools.starmap(Residual, itertools.pairwise(widths))
        return nn.Sequential(conv(3, 16, 3), *blocks, *head, nn.Linear(64, 10))

    def minigooglenet():
        from course_lib.models.googlenet import MINI

        parts, inputs = [conv(3, 96, 3)], 96
        for filters in MINI.values():
            if isinstance(filters, int):
                parts.append(Joined(conv(inputs, filters, 3, 2, 0), nn.MaxPool2d(3, 2)))
                inputs += filters
            else:
                a, b = filters
                parts.append(Joined(conv(inputs, a, 1), conv(inputs, b, 3)))
                inputs = a + b
        return nn.Sequential(*parts, *head, nn.Dropout(0.5), nn.Linear(inputs, 10))

    torch.set_num_threads(1)
    name = experiment.builder.split(".")[1]
    network = locals()[name]().to(memory_format=torch.channels_last)
    own = sum(p.numel() for p in network.parameters())
    assert own == experiment.parameters.trainable, "not the same network"
    options = dict(experiment.optimizer)
    make = getattr(torch.optim, options.pop("name"))
    decay = experiment.arguments.get("l2", 0)
    optimizer = make(network.parameters(), lr=1e-3, weight_decay=decay, **options)
    images = torch.randn(experiment.batch, 3, 32, 32).to(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (experiment.batch,))
    turns = Turns(experiment.batch)
    while turns.step():
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            scores = network(images)
        functional.cross_entropy(scores.float(), labels).backward()
        optimizer.step()


# --- side by side -------------------------------------------------------------------------------


def rates(processes) -> float:
    """Images per second of the processes together, which work at the same time."""
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    return sum(float(process.stdout.readline()) for process in processes)


def measure(experiment, kinds) -> dict[str, tuple[float, float]]:
    """For each kind, images per second of one process alone and of two together."""
    command, pipe = [sys.executable, __file__], subprocess.PIPE
    processor.use_threads(1)  # for the processes that follow
    pairs = {
        kind: [
            subprocess.Popen([*command, experiment.id, kind], stdin=pipe, stdout=pipe,
                             stderr=subprocess.DEVNULL, text=True)
            for _ in range(2)
        ]
        for kind in kinds
    }  # fmt: skip
    try:
        for process in itertools.chain(*pairs.values()):
            if process.stdout.readline() != "ready\n":
                sys.exit(f"it failed: {' '.join(map(str, process.args))}")
        found = [
            {kind: (rates(pair[:1]), rates(pair)) for kind, pair in pairs.items()}
            for _ in range(ROUNDS)
        ]
    finally:
        for process in itertools.chain(*pairs.values()):
            process.kill()
            process.communicate()
    return {
        kind: tuple(statistics.median(turn[kind][k] for turn in found) for k in range(2))
        for kind in pairs
    }


def main(ids) -> None:
    kinds = KINDS if importlib.util.find_spec("torch") else KINDS[:2]
    units = sorted(set(processor.BFLOAT16) & set(processor.instructions()))
    print(f"{backend.hardware()['processor']}, {' '.join(units) or 'no unit for bfloat16'}")
    print("images/s of one process and of two together, one thread each")
    shares = []
    for experiment in map(experiments.get, ids):
        found = measure(experiment, kinds)
        each = ", ".join(f"{kind} {one:.0f} and {two:.0f}" for kind, (one, two) in found.items())
        gain = found["mixed_bfloat16"][1] / found["float32"][1]
        line = f"{experiment.id}, batch {experiment.batch}: {each}; bfloat16 × {gain:.2f}"
        if "PyTorch" in found:
            shares.append(found["mixed_bfloat16"][1] / found["PyTorch"][1])
            line += f", share of PyTorch {shares[-1]:.2f}"
        print(line, flush=True)
    if not shares:
        print("PyTorch is not installed; make test-backends installs it")
        return
    mean = statistics.geometric_mean(shares)
    short = "" if mean >= WANTED else f"  below {WANTED}"
    print(f"share of PyTorch, geometric mean: {mean:.2f}{short}")


if __name__ == "__main__":
    if sys.argv[2:] and sys.argv[2] in KINDS:
        chosen = experiments.get(sys.argv[1])
        train_theirs(chosen) if sys.argv[2] == "PyTorch" else train_ours(chosen, sys.argv[2])
    else:
        main(sys.argv[1:] or IDS)
