import json
import signal
from collections import Counter, namedtuple
from functools import cache

import pytest

from course_lib import experiments, processor, records, settings
from course_lib.experiments import runs

# In the background of a shell Ctrl-C is ignored, and by all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

Node = namedtuple("Node", "kind config inputs shape")

# What Keras writes into a configuration from 3.14 on only, as it is before: the alpha that an ELU
# has unless it is told another, and no renorm.
NOT_WRITTEN = {
    "ELU": {"alpha": 1.0},
    "BatchNormalization": {"renorm": False, "renorm_clipping": None, "renorm_momentum": 0.99},
}


@pytest.fixture(autouse=True)
def _own_threads():
    """What a test sets for the processes that it starts reaches no other test."""
    yield
    processor.use_threads(1)


@pytest.fixture(scope="session")
def graph():
    """model -> {layer name: Node}: class, JSON configuration, what it reads in order, shape."""

    def of(model) -> dict[str, Node]:
        nodes = {}
        for layer in model.layers:
            read = layer.input if isinstance(layer.input, list) else [layer.input]
            sources = [t._keras_history.operation.name for t in read]
            kind = type(layer).__name__
            config = {**NOT_WRITTEN.get(kind, {}), **layer.get_config()}
            del config["name"]
            nodes[layer.name] = Node(
                kind,
                json.loads(json.dumps(config)),
                [s for s in sources if s != layer.name],
                tuple(layer.output.shape[1:]),
            )
        return nodes

    return of


@pytest.fixture(scope="session")
def built():
    """id -> the experiment's network, built once."""
    return cache(lambda id: experiments.get(id).build())


@pytest.fixture(scope="session")
def kinds():
    """model -> how many layers of each class."""
    return lambda model: Counter(type(layer).__name__ for layer in model.layers)


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Published records and weights below tmp_path, where local runs are already."""
    monkeypatch.setattr(settings, "RECORDS_DIR", tmp_path / "records")
    monkeypatch.setattr(settings, "WEIGHTS_DIR", tmp_path / "weights")
    return tmp_path


@pytest.fixture
def make_record():
    """(id, profile, seed, last accuracy, restarts) -> a whole record; its second epoch is best."""

    def make(id="squeezenet/bn", profile="quick", seed=0, last=0.5, restarts=()) -> dict:
        experiment = experiments.get(id)
        config = runs.named(experiment, profile, 0).configuration()
        epochs = config["epochs"]
        accuracy = [0.1] * (epochs - 1) + [last]
        accuracy[1] = max(accuracy[1], last + 0.01) if epochs > 2 else accuracy[1]
        rate = experiment.divided(settings.PROFILES[profile].divide).schedule
        history = {
            "loss": [2.3 - 0.001 * k for k in range(epochs)],
            "accuracy": accuracy,
            "cross_entropy": [2.2 - 0.001 * k for k in range(epochs)],
            "test_loss": [2.2 - 0.001 * k for k in range(epochs)],
            "test_accuracy": accuracy,
            "test_cross_entropy": [2.1 - 0.001 * k for k in range(epochs)],
            "learning_rate": [
                ([r for start, r in restarts if k >= start] or [rate(k)])[-1] for k in range(epochs)
            ],
        }
        if experiment.validation:  # its lowest loss is that of the first epoch
            history |= {
                "validation_loss": [2.2 + 0.001 * k for k in range(epochs)],
                "validation_accuracy": accuracy,
                "validation_cross_entropy": [2.1 + 0.001 * k for k in range(epochs)],
            }
        record = {
            "schema": records.SCHEMA,
            "experiment": id,
            "profile": profile,
            "seed": seed,
            "config": config,
            "config_hash": runs.digest(config),
            "network": "00",
            "data": {
                "name": config["data"],
                "content": "00",
                "fingerprint": "00",
                "order": "00",
                "images": 1,
                "test_images": 1,
            },
            "commit": "0123456789ab",
            "finished": "2026-01-01T00:00:00+00:00",
            "versions": {"python": "3.11", "keras": "3.15", "tensorflow": "2.20", "numpy": "2.4"},
            "backend": "tensorflow",
            "precision": "float32",
            "threads": 1,
            "hardware": {
                "processor": "any",
                "instructions": [],
                "cores": 2,
                "accelerators": [],
            },
            "seconds_per_epoch": [1.0] * epochs,
            "segments": [[1, epochs]],
            "history": history,
            **records.outcome(history, experiment.choose),
        }
        record |= {"restarts": restarts} if restarts else {}
        return json.loads(json.dumps(record))

    return make
