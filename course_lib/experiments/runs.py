"""What names one run of an experiment, what it goes through and where it leaves its files."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

from course_lib import experiments, settings

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


@dataclass(frozen=True)
class Run:
    """An experiment under a profile, from a seed. `named` makes one from words.

    precision: a Keras dtype policy, of PRECISIONS; None for that of the profile which suits the
        processor.
    restarts: (epoch, learning rate) of each time it is started again by hand.
    images, test_images, epochs: less than the profile's, for a live run that is in a hurry.
    """

    experiment: "experiments.Experiment"
    profile: settings.Profile
    seed: int = 0
    precision: str | None = None
    restarts: tuple[tuple[int, float], ...] = ()
    images: int | None = None
    test_images: int | None = None
    epochs: int | None = None

    def __str__(self):
        words = self.experiment.id, self.profile.name, str(self.seed), self.precision or ""
        return " ".join(words).strip()

    @property
    def is_live(self) -> bool:
        """Does it go through less than experiment and profile say, so that it has no record?"""
        known = experiments.get(self.experiment.id)
        return bool(self.images or self.test_images or self.epochs) or self.experiment != known

    @property
    def protocol(self) -> "experiments.Experiment":
        """The experiment with its epoch numbers divided as the profile says."""
        return self.experiment.divided(self.profile.divide)

    def configuration(self) -> dict:
        """All that decides its result, as plain JSON values."""
        protocol, profile = self.protocol, self.profile
        config = protocol.configuration()
        config["protocol_epochs"] = self.experiment.epochs
        config["data"] = (profile.data or {}).get(config["dataset"], config["dataset"])
        config["images"] = profile.images
        config["test_images"] = profile.test_images
        config["epochs"] = profile.epochs or protocol.epochs
        config.update((self.experiment.quick or {}) if profile.name == "quick" else {})
        if profile.name != "ci":  # whose budget is smaller than any live cell asks for
            asked = {k: getattr(self, k) for k in ("images", "test_images", "epochs")}
            config.update({k: v for k, v in asked.items() if v is not None})
        return config

    def file(self, folder: Path | None = None) -> Path:
        """Where its record stands: below `folder`, by default among the published ones.

        A run with restarts or in a precision that is not the profile's has a file of its own, which
        is in no table. Checkpoints stand beside it, see `checkpoints`.
        """
        name = f"{self.profile.name}-seed{self.seed}"
        name += "".join(f"-from{epoch}-at{rate:g}" for epoch, rate in self.restarts)
        if self.precision not in (None, *self.profile.precisions):
            name += f"-{self.precision}"
        return (folder or settings.RECORDS_DIR) / self.experiment.id / f"{name}.json"

    def checkpoints(self, folder: Path) -> Path:
        """The folder of its checkpoints below `folder`."""
        return self.file(folder).with_suffix("")

    def left(self) -> "Run":
        """The run from which its last restart branches off."""
        return replace(self, restarts=self.restarts[:-1])


def named(experiment, profile=None, seed=None, *, precision=None, restarts=(), **budget) -> Run:
    """A Run. experiment: it or its id; profile: it or its name; profile and seed default to
    COURSE_PROFILE and COURSE_SEED. A CourseError says what is unknown or does not fit."""
    experiment = experiments.get(experiment) if isinstance(experiment, str) else experiment
    if not isinstance(profile, settings.Profile):
        profile = settings.profile(profile)
    seed = settings.seed() if seed is None else settings.seed_from(seed, "seed")
    if precision not in (None, *PRECISIONS):
        raise settings.nearest(precision, PRECISIONS, "precision")
    budget = {k: settings.whole_number(v, k, 1) for k, v in budget.items() if v is not None}
    run = Run(experiment, profile, seed, precision, tuple(map(tuple, restarts)), **budget)
    if run.restarts and run.restarts[-1][0] >= (last := run.configuration()["epochs"]):
        raise settings.CourseError(f"nothing follows epoch {run.restarts[-1][0]} of {last}")
    return run


def of(record: dict) -> Run:
    """The run that left that record, which has passed `records.check`."""
    names = record["experiment"], record["profile"], record["seed"]
    return named(*names, precision=record["precision"], restarts=record.get("restarts", ()))


def digest(config: dict) -> str:
    """SHA-256 of a configuration."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
