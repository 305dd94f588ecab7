"""What the hardware models' tests share."""

from pathlib import Path

import pytest

from rlcompress.spec import NetworkStructure
from tests.hw_models.networks import residual_network


@pytest.fixture(scope="session")
def specs():
    return residual_network()


@pytest.fixture(scope="session")
def structure(specs):
    return NetworkStructure(specs)


@pytest.fixture(scope="session")
def reference():
    folder = Path(__file__).parents[2] / "../shared/hw_reference"
    if not folder.is_dir():
        pytest.skip("the reference figures (../shared/hw_reference) are not here")
    return folder
