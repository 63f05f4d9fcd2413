"""The experiments as data: what each is, against the sources, written down here once more.

Counts, protocols and reported results are those of the five source articles (S1 to S5). That a
variant differs from its parent as declared, and not otherwise, is the subject of test_changes.
"""

import json
import re
from dataclasses import replace

import pytest

from course_lib import counting, experiments, feeding, records, settings
from course_lib.schedules import Steps
from course_lib.settings import CourseError

ALL = experiments.ids()
CHILDREN = [id for id in ALL if experiments.get(id).parent]
# A thousand layers take too long to build here; their counts follow from the formula below. Other
# large networks are slow, and so are those that only repeat another one of their size.
LARGE = re.compile(r"resnet.*(44|56|110|164)|deepergooglenet/(relu-bn|elu|deep-adam-l2)")
BUILT = [
    pytest.param(id, marks=pytest.mark.slow) if LARGE.match(id) else id
    for id in ALL
    if id != "resnet-v2/1001"
]

# --- which there are, and what each changes -------------------------------------------------------

# What each changes, and from what.
DECLARED = {
    "squeezenet/he-l2": ("plain", "initializer l2"),
    "squeezenet/bn": ("he-l2", "bn"),
    "squeezenet/no-conv10": ("bn", "conv10"),
    "squeezenet/dropout": ("bn", "dropout"),
    "squeezenet/no-pool-1-4": ("dropout", "stride pools"),
    "squeezenet/stride-1-pool-1-4": ("dropout", "stride pools"),
    "squeezenet/stride-1-pool-1": ("dropout", "stride pools"),
    "squeezenet/no-pool-1": ("dropout", "stride pools"),
    "squeezenet/simple-bypass": ("no-pool-1", "bypass"),
    "squeezenet/complex-bypass": ("simple-bypass", "bypass"),
    "squeezenet/he": ("plain", "initializer"),
    "squeezenet/l2": ("plain", "l2"),
    "squeezenet/glorot-bn": ("plain", "bn"),
    "squeezenet/he-bn": ("bn", "l2"),
    "squeezenet/glorot-l2-bn": ("bn", "initializer"),
    "squeezenet/plain-linear-head": ("plain", "head_relu"),
    "squeezenet/he-linear-head": ("he", "head_relu"),
    "squeezenet/stride-1": ("dropout", "stride"),
    "squeezenet/no-pool-1-no-dropout": ("no-pool-1", "dropout"),
    "squeezenet/ratio-0.125": ("no-pool-1", "width squeeze_ratio"),
    "squeezenet/ratio-0.25": ("ratio-0.125", "squeeze_ratio"),
    "squeezenet/ratio-0.5": ("ratio-0.125", "squeeze_ratio"),
    "squeezenet/ratio-0.75": ("ratio-0.125", "squeeze_ratio"),
    "squeezenet/ratio-1": ("ratio-0.125", "squeeze_ratio"),
    "squeezenet/share-1": ("ratio-0.5", "share"),
    "squeezenet/share-25": ("ratio-0.5", "share"),
    "squeezenet/share-75": ("ratio-0.5", "share"),
    "squeezenet/share-99": ("ratio-0.5", "share"),
    "squeezenet/miniature": ("no-pool-1", "width"),
    "minigooglenet/lr-1e-2": ("lr-1e-3", "schedule"),
    "minigooglenet/lr-5e-3": ("lr-1e-2", "schedule"),
    "minigooglenet/l2": ("lr-1e-2", "l2"),
    "minigooglenet/relu-bn": ("lr-1e-2", "order"),
    "minigooglenet/elu": ("lr-1e-2", "activation"),
    "minigooglenet/miniature": ("lr-1e-2", "width"),
    "resnet-v1/32": ("20", "depth"),
    "resnet-v1/44": ("20", "depth"),
    "resnet-v1/56": ("20", "depth"),
    "resnet-v1/110": ("20", "depth"),
    "resnet-v1/164": ("20", "depth"),
    "resnet-v1/plain-20": ("20", "residual"),
    "resnet-v1/plain-56": ("56", "residual"),
    "resnet-v1/narrow-20": ("20", "width"),
    "resnet-v1/narrow-56": ("56", "width"),
    "resnet-v1/narrow-plain-20": ("narrow-20", "residual"),
    "resnet-v1/narrow-plain-56": ("narrow-56", "residual"),
    "resnet-v1/20-no-mean": ("20", "mean"),
    "resnet-v1/20-no-augmentation": ("20", "augmentation"),
    "resnet-v1/20-batch-128": ("20", "batch"),
    "resnet-v1/20-on-time": ("20", "schedule"),
    "resnet-v2/20": ("resnet-v1/20", "builder"),
    "resnet-v2/56": ("20", "depth"),
    "resnet-v2/110": ("20", "depth"),
    "resnet-v2/164": ("20", "depth"),
    "resnet-v2/1001": ("20", "depth"),
    "densenet/miniature": ("growth-32", "blocks growth"),
    "deepergooglenet/shallow-adam": ("shallow-sgd", "optimizer schedule epochs"),
    "deepergooglenet/deep-adam": ("shallow-adam", "deep l2 schedule epochs"),
    "deepergooglenet/deep-adam-l2-5e-4": ("deep-adam", "l2"),
    "deepergooglenet/shallow-adam-70": ("deep-adam", "deep"),
    "deepergooglenet/relu-bn": ("deep-adam", "order"),
    "deepergooglenet/elu": ("deep-adam", "activation"),
    "deepergooglenet/miniature": ("shallow-adam", "width classes first_classes"),
}


ROOTS = ["squeezenet/plain", "minigooglenet/lr-1e-3", "resnet-v1/20", "densenet/growth-32"]
ROOTS += ["deepergooglenet/shallow-sgd"]


def test_every_experiment_of_the_sources_is_there_and_declares_its_changes():
    assert sorted(ALL) == sorted([*ROOTS, *DECLARED])
    found = {}
    for id in CHILDREN:
        e = experiments.get(id)
        found[id] = (e.parent.removeprefix(f"{id.split('/')[0]}/"), " ".join(e.changes))
    assert found == DECLARED


ARGUMENTS = {
    "squeezenet/plain": {"initializer": "glorot_uniform", "l2": 0.0, "bn": False},
    "squeezenet/he-l2": {"initializer": "he_normal", "l2": 1e-4},
    "squeezenet/glorot-l2-bn": {"initializer": "glorot_uniform", "l2": 1e-4, "bn": True},
    "squeezenet/he-bn": {"initializer": "he_normal", "l2": 0.0, "bn": True},
    "squeezenet/dropout": {"dropout": 0.5, "bn": True, "l2": 1e-4},
    "squeezenet/no-pool-1-4": {"stride": 1, "pools": ((8, 2),), "dropout": 0.5},
    "squeezenet/stride-1-pool-1-4": {"stride": 1, "pools": ((1, 1), (4, 1), (8, 2))},
    "squeezenet/stride-1-pool-1": {"stride": 1, "pools": ((1, 1), (4, 2), (8, 2))},
    "squeezenet/no-pool-1": {"stride": 1, "pools": ((4, 2), (8, 2)), "dropout": 0.5},
    "squeezenet/complex-bypass": {"bypass": "complex", "pools": ((4, 2), (8, 2))},
    "squeezenet/no-pool-1-no-dropout": {"dropout": 0.0, "pools": ((4, 2), (8, 2))},
    "minigooglenet/lr-5e-3": {},
    "minigooglenet/l2": {"l2": 5e-4},
    "densenet/growth-32": {"blocks": (4, 8, 16), "growth": 32},
    "deepergooglenet/shallow-sgd": {"deep": False, "l2": 5e-4},
    "deepergooglenet/deep-adam": {"deep": True, "l2": 2e-4},
    "deepergooglenet/deep-adam-l2-5e-4": {"deep": True, "l2": 5e-4},
    "deepergooglenet/shallow-adam-70": {"deep": False, "l2": 2e-4},
    "deepergooglenet/relu-bn": {"deep": True, "l2": 2e-4, "order": "relu-bn"},
    "deepergooglenet/elu": {"deep": True, "l2": 2e-4, "activation": "elu"},
}


@pytest.mark.parametrize("id", ARGUMENTS)
def test_networks_are_given_what_the_sources_say(id):
    assert experiments.get(id).arguments.items() >= ARGUMENTS[id].items()


def test_design_space_is_that_of_the_paper():
    design = [experiments.get(id) for id in ALL if re.search("/(ratio|share)", id)]
    points = sorted((e.arguments["squeeze_ratio"], e.arguments.get("share", 0.5)) for e in design)
    assert points == [
        (0.125, 0.5), (0.25, 0.5), (0.5, 0.01), (0.5, 0.25), (0.5, 0.5), (0.5, 0.75), (0.5, 0.99),
        (0.75, 0.5), (1.0, 0.5),
    ]  # fmt: skip
    assert {e.arguments["pools"] for e in design} == {((4, 2), (8, 2))}
    assert {e.arguments["width"] for e in design} == {0.5}
    assert "half the paper's widths" in experiments.get("squeezenet/ratio-0.125").note


# --- counts ---------------------------------------------------------------------------------------

# Total, trainable where the source says, millions of multiply-accumulates.
COUNTS = {
    "squeezenet/plain": (729_144, 729_144, 13.1),
    "squeezenet/he-l2": (729_144, 729_144, 13.1),
    "squeezenet/he": (729_144, 729_144, 13.1),
    "squeezenet/l2": (729_144, 729_144, 13.1),
    "squeezenet/plain-linear-head": (729_144, 729_144, 13.1),
    "squeezenet/he-linear-head": (729_144, 729_144, 13.1),
    "squeezenet/bn": (741_088, 735_116, 13.1),
    "squeezenet/glorot-bn": (741_088, 735_116, 13.1),
    "squeezenet/he-bn": (741_088, 735_116, 13.1),
    "squeezenet/glorot-l2-bn": (741_088, 735_116, 13.1),
    "squeezenet/no-conv10": (740_938, 734_986, 13.1),
    "squeezenet/dropout": (741_088, 735_116, 13.1),
    "squeezenet/stride-1": (741_088, 735_116, None),
    "squeezenet/no-pool-1-4": (741_088, 735_116, 588.5),
    "squeezenet/stride-1-pool-1-4": (741_088, 735_116, 588.5),
    "squeezenet/stride-1-pool-1": (741_088, 735_116, 202.2),
    "squeezenet/no-pool-1": (741_088, 735_116, 202.2),
    "squeezenet/no-pool-1-no-dropout": (741_088, 735_116, 202.2),
    "squeezenet/simple-bypass": (741_088, 735_116, 202.2),
    "squeezenet/complex-bypass": (1_087_456, 1_078_924, 323.8),
    "densenet/growth-32": (1_382_814, 1_359_842, 238.9),
    "resnet-v1/20": (274_442, None, 40.8),
    "resnet-v1/20-no-mean": (274_442, None, 40.8),
    "resnet-v1/20-no-augmentation": (274_442, None, 40.8),
    "resnet-v1/20-batch-128": (274_442, None, 40.8),
    "resnet-v1/20-on-time": (274_442, None, 40.8),
    "resnet-v1/32": (470_218, None, 69.1),
    "resnet-v1/44": (665_994, None, 97.4),
    "resnet-v1/56": (861_770, None, 125.7),
    "resnet-v1/110": (1_742_762, None, 253.1),
    "resnet-v1/164": (2_623_754, None, 380.6),
    "resnet-v2/20": (574_090, None, 66.2),
    "resnet-v2/56": (1_673_738, None, 193.1),
    "resnet-v2/110": (3_323_210, None, 383.4),
    "resnet-v2/164": (4_972_682, None, 573.8),
    "minigooglenet/lr-1e-3": (1_656_250, 1_652_826, 234.6),
    "minigooglenet/lr-1e-2": (1_656_250, 1_652_826, 234.6),
    "minigooglenet/lr-5e-3": (1_656_250, 1_652_826, 234.6),
    "minigooglenet/l2": (1_656_250, 1_652_826, 234.6),
    "minigooglenet/relu-bn": (1_656_250, 1_652_826, 234.6),
    "minigooglenet/elu": (1_656_250, 1_652_826, 234.6),
    "deepergooglenet/shallow-sgd": (773_752, 771_096, 278.4),
    "deepergooglenet/shallow-adam": (773_752, 771_096, 278.4),
    "deepergooglenet/deep-adam": (3_667_976, None, 458.0),
    "deepergooglenet/deep-adam-l2-5e-4": (3_667_976, None, 458.0),
    "deepergooglenet/shallow-adam-70": (773_752, 771_096, 278.4),
    "deepergooglenet/relu-bn": (3_667_976, None, 458.0),
    "deepergooglenet/elu": (3_667_976, None, 458.0),
}


@pytest.mark.parametrize("id", COUNTS)
def test_counts_are_those_of_the_sources(id):
    e = experiments.get(id)
    total, trainable, millions = COUNTS[id]
    assert e.parameters.total == total
    assert trainable is None or e.parameters.trainable == trainable
    assert millions is None or round(e.macs / 1e6, 1) == millions


def test_all_counts_of_the_sources_are_looked_at():
    ours = r"ratio-|share-|miniature|plain-\d|narrow|resnet-v2/1001"  # of the last it says: compute
    assert [id for id in ALL if id not in COUNTS and not re.search(ours, id)] == []


@pytest.mark.parametrize("id", BUILT)
def test_declared_counts_are_those_of_the_built_network(id, built):
    e = experiments.get(id)
    assert counting.parameters(built(id)) == e.parameters
    assert built(id).count_params() == e.parameters.total  # Keras' own count
    assert counting.macs(built(id)) == e.macs


def resnet_counts(version, depth, width=16, residual=True):
    """Total, trainable and multiply-accumulates of a ResNet, layer by layer by hand."""
    convolutions, normalised, channels = [(3, 3, width, 32)], [width], width
    for stage in range(3):
        size = 32 // 2**stage
        for block in range((depth - 2) // {1: 6, 2: 9}[version]):
            if version == 1:
                outer = width * 2**stage
                convolutions += [(3, channels, outer, size), (3, outer, outer, size)]
                normalised += [outer, outer]
            else:
                inner, outer = ((16, 64), (64, 128), (128, 256))[stage]
                convolutions += [(1, channels, inner, size), (3, inner, inner, size)]
                convolutions += [(1, inner, outer, size)]
                normalised += [inner, inner] + [channels] * bool(stage or block)
            if residual and block == 0 and (stage or version == 2):
                convolutions.append((1, channels, outer, size))
            channels = outer
    normalised += [channels] if version == 2 else []
    weights = sum(k * k * a * b + b for k, a, b, _ in convolutions) + 10 * channels + 10
    macs = sum(k * k * a * b * size * size for k, a, b, size in convolutions) + 10 * channels
    return weights + 4 * sum(normalised), weights + 2 * sum(normalised), macs


@pytest.mark.parametrize("id", [id for id in ALL if id.startswith("resnet")])
def test_counts_of_the_resnets_follow_from_their_formula(id):
    e = experiments.get(id)
    found = e.parameters.total, e.parameters.trainable, e.macs
    given = {name: e.arguments[name] for name in ("depth", "width", "residual")}
    assert found == resnet_counts(int(e.builder[-1]), **given)


# --- protocols ------------------------------------------------------------------------------------

COMMON = {
    "deviation": (1.0, 1.0, 1.0),
    "whole_batches": False,
    "validation": 0,
    "callbacks": (),
    "choose": "",
    "keep_every": 0,
    "first_classes": 0,
    "quick": None,
}
SHIFT_AND_FLIP = {"shift": 0.1, "flip": True, "fill": "nearest"}
PROTOCOLS = {
    "squeezenet": COMMON
    | {
        "dataset": "cifar10",
        "mean": (125.307, 122.95, 113.865),
        "deviation": (62.9932, 62.0887, 66.7048),
        "augmentation": {"shift": 4 / 32, "flip": True, "fill": "constant"},
        "optimizer": {"name": "SGD", "momentum": 0.9, "nesterov": True},
        "batch": 64,
        "epochs": 300,
    },
    "densenet": COMMON
    | {
        "dataset": "cifar10",
        "mean": (0.0, 0.0, 0.0),
        "deviation": (255.0, 255.0, 255.0),
        "augmentation": {
            "rotation": 40,
            "shift": 0.2,
            "zoom": 0.2,
            "shear": 0.2,
            "flip": True,
            "fill": "nearest",
        },  # fmt: skip
        "optimizer": {"name": "Adam"},
        "batch": 128,
        "epochs": 200,
        "whole_batches": True,
        "validation": 5_000,
        "callbacks": ({"name": "EarlyStopping", "monitor": "loss", "patience": 4},),
        "choose": "lowest validation_loss",
    },
    "resnet": COMMON
    | {
        "dataset": "cifar10",
        "mean": "pixel",
        "deviation": (255.0, 255.0, 255.0),
        "augmentation": SHIFT_AND_FLIP,
        "optimizer": {"name": "Adam"},
        "batch": 32,
        "epochs": 200,
        "callbacks": (
            {
                "name": "ReduceLROnPlateau",
                "factor": 0.1**0.5,
                "patience": 5,
                "min_lr": 0.5e-6,
            },
        ),
        "choose": "highest test_accuracy",
    },
    "minigooglenet": COMMON
    | {
        "dataset": "cifar10",
        "mean": "pixel",
        "augmentation": SHIFT_AND_FLIP,
        "optimizer": {"name": "SGD", "momentum": 0.9},
        "batch": 64,
        "epochs": 70,
        "whole_batches": True,
    },
    "deepergooglenet": COMMON
    | {
        "dataset": "tiny-imagenet",
        "mean": "channel",
        "augmentation": {
            "rotation": 18,
            "zoom": 0.15,
            "shift": 0.2,
            "shear": 0.15,
            "flip": True,
            "fill": "nearest",
        },  # fmt: skip
        "optimizer": {"name": "Adam"},
        "batch": 64,
        "epochs": 70,
        "whole_batches": True,
        "keep_every": 5,
    },
}
MINIATURE = {"epochs": 40, "images": 1_000, "test_images": 1_000}
OTHERWISE = {
    "resnet-v1/20-no-mean": {"mean": (0.0, 0.0, 0.0)},
    "resnet-v1/20-no-augmentation": {"augmentation": {}},
    "resnet-v1/20-batch-128": {"batch": 128},
    "deepergooglenet/shallow-sgd": {"optimizer": {"name": "SGD", "momentum": 0.9}, "epochs": 65},
    "deepergooglenet/shallow-adam": {"epochs": 40},
    "deepergooglenet/miniature": {"epochs": 40, "first_classes": 20, "quick": MINIATURE},
}


def family(id) -> str:
    return re.match(r"[a-z]+", id)[0]


@pytest.mark.parametrize("id", ALL)
def test_protocol_is_that_of_the_source(id):
    wanted = PROTOCOLS[family(id)] | OTHERWISE.get(id, {})
    found = {name: getattr(experiments.get(id), name) for name in wanted}
    assert found == wanted


# Just before and just after every drop, and the last epoch; epochs count from 0.
STAIRS = {
    "squeezenet": {0: 1e-2, 99: 1e-2, 100: 1e-3, 199: 1e-3, 200: 1e-4, 299: 1e-4},
    "densenet": {0: 1e-3, 199: 1e-3},
    # "Greater than 80", so epoch 80 still has the first rate: one epoch late.
    "resnet": {
        0: 1e-3,
        80: 1e-3,
        81: 1e-4,
        120: 1e-4,
        121: 1e-5,
        160: 1e-5,
        161: 1e-6,
        180: 1e-6,
        181: 5e-7,
        199: 5e-7,
    },  # fmt: skip
    "minigooglenet": {0: 1e-2, 1: 1e-2 * 69 / 70, 35: 5e-3, 69: 1e-2 / 70},
    "deepergooglenet": {0: 1e-3, 39: 1e-3, 40: 1e-4, 59: 1e-4, 60: 1e-5, 69: 1e-5},
}
STAIRS_OTHERWISE = {
    "resnet-v1/20-on-time": {
        79: 1e-3,
        80: 1e-4,
        119: 1e-4,
        120: 1e-5,
        159: 1e-5,
        160: 1e-6,
        179: 1e-6,
        180: 5e-7,
    },  # fmt: skip
    "minigooglenet/lr-1e-3": {0: 1e-3, 35: 5e-4, 69: 1e-3 / 70},
    "minigooglenet/lr-5e-3": {0: 5e-3, 35: 2.5e-3, 69: 5e-3 / 70},
    "deepergooglenet/shallow-sgd": {0: 1e-2, 24: 1e-2, 25: 1e-3, 34: 1e-3, 35: 1e-4, 64: 1e-4},
    "deepergooglenet/shallow-adam": {0: 1e-3, 19: 1e-3, 20: 1e-4, 29: 1e-4, 30: 1e-5, 39: 1e-5},
    "deepergooglenet/miniature": {0: 1e-3, 19: 1e-3, 20: 1e-4, 29: 1e-4, 30: 1e-5, 39: 1e-5},
}


@pytest.mark.parametrize("id", ALL)
def test_learning_rates_are_those_of_the_source_epoch_by_epoch(id):
    e = experiments.get(id)
    wanted = STAIRS_OTHERWISE.get(id, STAIRS[family(id)])
    assert {epoch: e.schedule(epoch) for epoch in wanted} == pytest.approx(wanted)
    rates = [e.schedule(epoch) for epoch in range(e.epochs)]
    assert sorted(rates, reverse=True) == rates
    if family(id) != "minigooglenet":
        assert set(rates) == set(wanted.values()), "no other rate in between"


@pytest.mark.parametrize(
    "id, images, steps",
    [
        ("squeezenet/bn", 50_000, 782),
        ("resnet-v1/20", 50_000, 1_563),
        ("resnet-v1/20-batch-128", 50_000, 391),
        ("minigooglenet/lr-5e-3", 50_000, 781),
        ("densenet/growth-32", 45_000, 351),
        ("deepergooglenet/deep-adam", 90_000, 1_406),
    ],
)
def test_an_epoch_has_as_many_steps_as_in_the_source(id, images, steps):
    e = experiments.get(id)
    assert feeding.steps_per_epoch(images, e) == steps
    assert images == {"cifar10": 50_000, "tiny-imagenet": 90_000}[e.dataset] - e.validation


@pytest.mark.parametrize("id", ALL)
def test_keras_takes_the_optimizer_and_the_callbacks(id):
    """Names and arguments that exist: a wrong one would show only when a long run begins."""
    from course_lib.backend import keras

    e = experiments.get(id)
    options = dict(e.optimizer)
    getattr(keras.optimizers, options.pop("name"))(e.schedule(0), **options)
    for callback in e.callbacks:
        options = dict(callback)
        getattr(keras.callbacks, options.pop("name"))(**options)


# --- reported results -----------------------------------------------------------------------------

REPORTED = {
    "squeezenet/plain": (10.0, "10 %"),
    "squeezenet/he-l2": (None, "85 % and more"),
    "squeezenet/bn": (None, "86 % and more"),
    "squeezenet/no-conv10": (None, "about the same"),
    "squeezenet/dropout": (None, "slightly worse"),
    "squeezenet/no-pool-1-4": (None, "above 90 %"),
    "squeezenet/stride-1-pool-1-4": (None, "below no-pool-1-4"),
    "squeezenet/stride-1-pool-1": (None, "above 91 %"),
    "squeezenet/no-pool-1": (None, "just under 92 %"),
    "squeezenet/simple-bypass": (None, "no clear effect"),
    "squeezenet/complex-bypass": (None, "does not beat no-pool-1"),
    "densenet/growth-32": (90.07, "90.07 %"),
    "resnet-v1/20": (92.16, "92.16 %"),
    "resnet-v1/32": (92.46, "92.46 %"),
    "resnet-v1/44": (92.50, "92.50 %"),
    "resnet-v1/56": (92.71, "92.71 %"),
    "resnet-v1/110": (92.65, "92.65 %"),
    "resnet-v2/56": (93.01, "93.01 %"),
    "resnet-v2/110": (93.15, "93.15 %"),
    "minigooglenet/lr-1e-3": (88.15, "88.15 %"),
    "minigooglenet/lr-1e-2": (92.19, "92.19 %"),
    "minigooglenet/lr-5e-3": (90.79, "90.79 %"),
    # On validation images; only the third was tested, and an accuracy is one of test images.
    "deepergooglenet/shallow-sgd": (None, "validation 52.25 %"),
    "deepergooglenet/shallow-adam": (None, "validation 54.20 %"),
    "deepergooglenet/deep-adam": (54.38, "54.38 % rank-1, 78.96 % rank-5"),
}
SOURCES = {
    "squeezenet": "S1, 【Keras-SqueezeNet】CIFAR-10",
    "densenet": "S3, 应用Tensorflow2.x训练DenseNet模型在Cifar10数据上",
    "resnet": "S4, 23.6 CIFAR-10 ResNet",
    "minigooglenet": "S5, 深度学习与计算机视觉 (PB-11)-GoogLeNet",
    "deepergooglenet": "S5, 深度学习与计算机视觉 (PB-11)-GoogLeNet",
}


@pytest.mark.parametrize("id", ALL)
def test_reported_results_are_those_of_the_source_and_all_else_has_none(id):
    reported = experiments.get(id).reported
    if id not in REPORTED:
        assert reported is None, "a child does not inherit its parent's result"
        return
    accuracy, words = REPORTED[id]
    assert reported.accuracy == accuracy and words in reported.text
    assert reported.source == SOURCES[family(id)]


def test_what_no_article_ran_says_so_in_its_note():
    said = r"control|Design space|miniature|Not run by the article|not run by it|Proposed|expects"
    silent = [
        id
        for id in ALL
        if not experiments.get(id).reported and not re.search(said, experiments.get(id).note)
    ]
    # Points of the design space after the first one, and the article's switch and taste.
    assert all(re.search("/(ratio|share)-|/20-no-augmentation|/relu-bn", id) for id in silent)


# --- as a whole -----------------------------------------------------------------------------------


def test_every_experiment_is_whole():
    everyone = [experiments.get(id) for id in experiments.ids()]
    assert len({e.question for e in everyone}) == len(everyone)
    for e in everyone:
        assert e.question.endswith("?")
        assert e.parent is None or e.parent in experiments.ids()
        assert json.loads(json.dumps(e.configuration())) == e.configuration()


def test_digest_follows_what_decides_the_result_and_nothing_else():
    def digest(experiment):
        return records.digest(experiment.configuration())

    plain = experiments.get("squeezenet/plain")
    assert len({digest(experiments.get(id)) for id in ALL}) == len(ALL)
    assert digest(replace(plain, question="?", note="new", reported=None)) == digest(plain)
    assert digest(replace(plain, batch=65)) != digest(plain)


# --- a tenth --------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", ALL)
def test_a_tenth_divides_every_number_of_epochs_and_nothing_else(id):
    e, tenth = experiments.get(id), experiments.get(id).divided(10)
    assert tenth.epochs == int(e.epochs / 10 + 0.5) >= 1
    rates = [tenth.schedule(epoch) for epoch in range(tenth.epochs)]
    if isinstance(e.schedule, Steps):
        starts = [start for start, _ in tenth.schedule.rates]
        assert starts[0] == 0 and sorted(set(starts)) == starts and starts[-1] < tenth.epochs
        assert sorted(set(rates)) == sorted(rate for _, rate in e.schedule.rates), "none is lost"
        assert tenth.schedule.late == 0
    else:
        assert tenth.schedule.epochs == tenth.epochs, "the decay ends with the run"
        assert rates == sorted(rates, reverse=True) and rates[-1] > 0
    assert [c["patience"] for c in tenth.callbacks if "patience" in c] == [
        max(1, int(c["patience"] / 10 + 0.5)) for c in e.callbacks if "patience" in c
    ]
    assert bool(tenth.keep_every) == bool(e.keep_every)
    divided = ("epochs", "schedule", "callbacks", "keep_every")
    assert replace(tenth, **{name: getattr(e, name) for name in divided}) == e


# id -> epochs, then epoch: rate at and before every drop.
TENTHS = {
    "squeezenet/bn": (30, {9: 1e-2, 10: 1e-3, 19: 1e-3, 20: 1e-4}),
    "resnet-v1/20": (20, {7: 1e-3, 8: 1e-4, 12: 1e-5, 16: 1e-6, 17: 1e-6, 18: 5e-7}),
    "minigooglenet/lr-1e-2": (7, {0: 1e-2, 1: 1e-2 * 6 / 7, 6: 1e-2 / 7}),
    "densenet/growth-32": (20, {0: 1e-3, 19: 1e-3}),
    "deepergooglenet/shallow-sgd": (7, {2: 1e-2, 3: 1e-3, 4: 1e-4}),
    "deepergooglenet/deep-adam": (7, {3: 1e-3, 4: 1e-4, 5: 1e-4, 6: 1e-5}),
}


@pytest.mark.parametrize("id", TENTHS)
def test_a_tenth_by_hand(id):
    epochs, rates = TENTHS[id]
    tenth = experiments.get(id).divided(10)
    assert tenth.epochs == epochs
    assert {epoch: tenth.schedule(epoch) for epoch in rates} == pytest.approx(rates)


def test_nothing_is_divided_by_1():
    e = experiments.get("resnet-v1/20")
    assert e.divided(1) is e, "its schedule keeps its lateness"


# --- ids and differences --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong, near",
    [
        ("squeezenet/BN", "squeezenet/bn"),
        ("squeeznet/plain", "squeezenet/plain"),
        ("squeezenet/glorot_bn", "squeezenet/glorot-bn"),
        ("squeezenet/he-l3", "squeezenet/he-l2"),
        ("glorot-bn", "squeezenet/glorot-bn"),
        ("he", "squeezenet/he"),
        ("l2", "squeezenet/l2"),
        ("BN", "squeezenet/bn"),
        ("resnet/bn", "squeezenet/bn"),
    ],
)
def test_wrong_id_names_the_nearest_first(wrong, near):
    with pytest.raises(CourseError) as error:
        experiments.get(wrong)
    message = str(error.value)
    assert repr(wrong) in message and "\n" not in message
    assert message.split("did you mean ")[1].rstrip("?").split(" or ")[0] == near


@pytest.mark.parametrize(
    "id, against, lines",
    [
        ("squeezenet/bn", None, ["batch normalisation after each convolution: no → yes"]),
        (
            "squeezenet/he-l2",
            None,
            [
                "initialiser of the convolutions: glorot uniform → he normal",
                "L2 weight decay on the convolutions: none → 0.0001",
            ],
        ),
        (
            "squeezenet/plain",
            "squeezenet/l2",
            ["L2 weight decay on the convolutions: 0.0001 → none"],
        ),
        ("squeezenet/no-conv10", None, ["conv10: yes → no"]),
        ("squeezenet/dropout", None, ["dropout before the head: none → 0.5"]),
        (
            "squeezenet/no-pool-1",
            None,
            [
                "stride of the first convolution: 2 → 1",
                "max-pools, [after layer, stride]: [[1, 2], [4, 2], [8, 2]] → [[4, 2], [8, 2]]",
            ],
        ),
        ("squeezenet/complex-bypass", None, ["bypass: simple → complex"]),
        (
            "squeezenet/ratio-0.125",
            None,
            [
                "squeeze ratio, none for the numbers of table 1: none → 0.125",
                "width, times the source's: 1.0 → 0.5",
            ],
        ),
        ("squeezenet/share-1", None, ["share of 3x3 among the expand filters: 0.5 → 0.01"]),
        ("minigooglenet/lr-1e-2", None, ["schedule, rate: 0.001 → 0.01"]),
        ("minigooglenet/relu-bn", None, ["order after each convolution: bn-relu → relu-bn"]),
        ("minigooglenet/elu", None, ["activation: relu → elu"]),
        (
            "minigooglenet/l2",
            None,
            ["L2 weight decay on the convolutions and the dense layer: none → 0.0005"],
        ),
        ("resnet-v1/32", None, ["depth: 20 → 32"]),
        ("resnet-v1/plain-20", None, ["shortcuts: yes → no"]),
        ("resnet-v1/20", "resnet-v1/plain-20", ["shortcuts: no → yes"]),
        ("resnet-v1/narrow-20", None, ["filters of the first stage: 16 → 8"]),
        ("resnet-v1/20-on-time", None, ["epochs by which every drop comes late: 1 → none"]),
        ("resnet-v2/20", None, ["builder: resnet.resnet v1 → resnet.resnet v2"]),
        (
            "resnet-v1/20-no-augmentation",
            None,
            [
                "augmentation, shift: 0.1 → none",
                "augmentation, flip: yes → no",
                "augmentation, fill: nearest → none",
            ],
        ),
        ("densenet/miniature", None, ["blocks: [4, 8, 16] → [2, 4, 8]", "growth: 32 → 12"]),
        (
            "deepergooglenet/deep-adam",
            None,
            [
                "modules 4a to 4e: no → yes",
                "L2 weight decay on the convolutions and the dense layer: 0.0005 → 0.0002",
                "schedule, rates: [[0, 0.001], [20, 0.0001], [30, 1e-05]] → "
                "[[0, 0.001], [40, 0.0001], [60, 1e-05]]",
                "epochs: 40 → 70",
            ],
        ),
        (
            "deepergooglenet/miniature",
            None,
            [
                "width, times the source's: 1.0 → 0.25",
                "classes of the network: 200 → 20",
                "classes of the data set: all → 20",
            ],
        ),
    ],
)
def test_diff_says_in_words_what_changed(id, against, lines):
    first, *found = experiments.get(id).diff(against).splitlines()
    assert first == f"{id} against {against or experiments.get(id).parent}"
    assert found == [f"  {line}" for line in lines]


@pytest.mark.parametrize("id", CHILDREN)
def test_diff_has_words_for_every_change(id):
    for line in experiments.get(id).diff().splitlines()[1:]:
        name, _, change = line.strip().partition(": ")
        before, _, after = change.partition(" → ")
        assert before and after and before != after
        assert not re.search("_|arguments|None|True|False", line)


def test_diff_of_two_families_leaves_out_what_has_no_counterpart():
    said = experiments.get("resnet-v1/20").diff("squeezenet/bn")
    assert "builder: squeezenet.squeezenet → resnet.resnet v1" in said
    assert "batch: 64 → 32" in said and "optimizer, name: SGD → Adam" in said
    # What a ResNet is not told has no counterpart, and what bears one name need not be one thing.
    assert not re.search("normalisation|initialiser|decay|depth|width|first stage", said)


def test_diff_without_a_parent_or_a_difference_is_a_sentence():
    assert "no parent" in experiments.get("squeezenet/plain").diff()
    assert "the same network" in experiments.get("squeezenet/bn").diff("squeezenet/bn")


# --- the TOML files -------------------------------------------------------------------------------

WHOLE = """
source = "S9, a paper"

["mine/first"]
question = "Is it read?"
builder = "squeezenet.squeezenet"
arguments = {bn = true, pools = [[1, 2], [4, 2]]}
parameters = [3, 2, 1]
macs = 5
dataset = "cifar10"
mean = [1.0, 2.0, 3.0]
deviation = [1.0, 1.0, 1.0]
augmentation = {}
optimizer = {name = "SGD"}
schedule = {rates = [[0, 0.1]]}
batch = 64
epochs = 3
reported = {text = "50 %", accuracy = 50.0}
note = "A note."
quick = {epochs = 2}

["mine/second"]
parent = "mine/first"
question = "Is it a variant?"
arguments = {dropout = 0.5}
"""


@pytest.fixture
def read(monkeypatch, tmp_path):
    """The experiments of a TOML file with that text, the only one there is."""

    def of(text):
        (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
        monkeypatch.setattr(experiments, "__file__", str(tmp_path / "__init__.py"))
        monkeypatch.setattr(experiments, "FAMILIES", ("mine",))
        return experiments._read()

    return of


def test_a_variant_takes_all_but_words_from_its_parent(read):
    first, second = read(WHOLE).values()
    assert first.reported == experiments.Reported("50 %", "S9, a paper", 50.0)
    assert first.arguments["pools"] == ((1, 2), (4, 2)), "arrays are tuples, at any depth"
    assert first.parameters == counting.Parameters(3, 2, 1)
    assert second.arguments == {**first.arguments, "dropout": 0.5}
    assert (second.parent, second.changes) == ("mine/first", ("dropout",))
    assert (second.reported, second.note, second.quick) == (None, "", None)
    assert (second.parameters, second.epochs) == (first.parameters, 3)


@pytest.mark.parametrize(
    "old, new, id, says",
    [
        ('parent = "mine/first"', 'parent = "mine/fist"', "mine/second", "mine/first"),
        ('parent = "mine/first"', 'parent = "mine/second"', "mine/second", "mine/first"),
        ("arguments = {dropout", "argument = {dropout", "mine/second", "argument"),
        ("batch = 64", "bach = 64", "mine/first", "bach"),
        ("batch = 64", "", "mine/first", "batch"),
        ("rates", "rate", "mine/first", "schedule"),
        ("[3, 2, 1]", "[3, 2]", "mine/first", "parameters"),
        ("batch = 64", 'batch = "64"', "mine/first", "batch"),
        ("[[0, 0.1]]", "[[0, true]]", "mine/first", "schedule.rates[0][1]"),
        ("accuracy = 50.0", "acuracy = 50.0", "mine/first", "acuracy"),
    ],
    ids=["unknown parent", "its own parent", "unknown key of a variant", "unknown key", "no batch",
         "wrong schedule", "a count too few", "a number in quotes",
         "no rate", "unknown key below"],
)  # fmt: skip
def test_a_wrong_entry_is_one_line_that_names_it(read, old, new, id, says):
    assert old in WHOLE
    with pytest.raises(CourseError) as error:
        read(WHOLE.replace(old, new))
    message = str(error.value)
    assert message.startswith(f"mine.toml, {id}: ") and says in message and "\n" not in message


# --- networks and data ----------------------------------------------------------------------------


def test_building_from_a_seed_draws_the_same_weights_again():
    experiment = experiments.get("squeezenet/he")
    first, again, other = (
        [w.numpy() for w in experiment.build(seed=seed).trainable_weights] for seed in (3, 3, 4)
    )
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert any((a != b).any() for a, b in zip(first, other, strict=True))


def test_experiments_name_data_sets_that_the_course_has():
    from course_lib import datasets

    assert {experiments.get(id).dataset for id in experiments.ids()} <= set(datasets.NAMES)
    stand_in = [p.data or {} for p in settings.PROFILES.values()]
    assert {name for d in stand_in for pair in d.items() for name in pair} <= set(datasets.NAMES)
    assert {experiments.get(id).dataset for id in ALL} == set(settings.PROFILES["ci"].data)
