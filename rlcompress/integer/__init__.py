"""Compressed networks in integers: one definition, engines that agree in every bit."""

from rlcompress.integer.lowering import ENGINES, engine_named, lower
from rlcompress.integer.network import IntegerNetwork
from rlcompress.integer.resuming import Reference, Resumed

__all__ = ["ENGINES", "IntegerNetwork", "Reference", "Resumed", "engine_named", "lower"]
