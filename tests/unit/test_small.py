"""The layer graph of the course's own small network against what its file says."""

import pytest

from course_lib.models import small
from tests.unit.layer_graphs import Wanted, faults


def wanted(filters=(16, 32, 64), bn=False):
    """Convolution, ReLU; a 2x2 max-pool before each block but the first; GAP, dense."""
    net = Wanted(32, conv={"kernel_initializer": "HeNormal"})
    x = "images"
    for k, count in enumerate(filters, start=1):
        if k > 1:
            x = net.pool(f"pool{k - 1}", x, 2, "valid", size=2)
        x = net.conv(f"conv{k}", x, count, 3)
        x = net.active(f"conv{k}", net.bn(f"conv{k}", x) if bn else x)
    return net.head(x, 10)


@pytest.mark.parametrize("arguments", [{}, {"bn": True}, {"filters": (4, 8)}], ids=str)
def test_layers_joins_shapes_and_settings(arguments, graph):
    assert faults(graph(small.small_cnn(**arguments)), wanted(**arguments)) == set()
