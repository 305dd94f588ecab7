"""The real weights and images that the reproduction tests need; without them those tests skip."""

import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared"


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Folders: `weights`, `data` as it lies there, and `cifar`, unpacked into the official binary version."""
    if not SHARED.is_dir():
        pytest.skip("../shared, which holds the real weights and data, is not beside the repository")
    script, out = SHARED / "data" / "unpack.py", tmp_path_factory.mktemp("unpacked")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(script), str(out), "cifar10", "cifar100"])
        runpy.run_path(str(script), run_name="__main__")
    return SimpleNamespace(weights=SHARED / "weights", data=SHARED / "data", cifar=out)
