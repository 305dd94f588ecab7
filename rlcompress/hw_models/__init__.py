"""Energy and latency of compressed networks on embedded accelerators: transparent equations, described in YAML.

    >>> from rlcompress import hw_models
    >>> from rlcompress.spec import LayerChoice, LayerSpec
    >>> model = hw_models.load("scalable_sparse_16x32")
    >>> spec = LayerSpec(name="fc", kind="linear", out_channels=10, in_channels=64)
    >>> model.cost([spec], {"fc": LayerChoice(weight_bits=4)}).cycles > 0
    True

Imports numpy, pydantic and PyYAML, never torch.
"""

from rlcompress.hw_models.bops import bops, bops_of
from rlcompress.hw_models.cost import BatchCost, LayerCost, NetworkCost, million_of
from rlcompress.hw_models.description import Description
from rlcompress.hw_models.figures import LEVELS
from rlcompress.hw_models.library import DEFAULT_HARDWARE, available, load, parse_description, read_description
from rlcompress.hw_models.model import HardwareModel
from rlcompress.hw_models.table import TableModel
from rlcompress.hw_models.timeloop import to_timeloop
from rlcompress.hw_models.widths import fixed_widths, unmeasured

__all__ = [
    "DEFAULT_HARDWARE",
    "LEVELS",
    "BatchCost",
    "Description",
    "HardwareModel",
    "LayerCost",
    "NetworkCost",
    "TableModel",
    "available",
    "bops",
    "bops_of",
    "fixed_widths",
    "load",
    "million_of",
    "parse_description",
    "read_description",
    "to_timeloop",
    "unmeasured",
]
