"""Learn how to prune and quantize every layer of a trained CNN for a given accelerator, without retraining.

    >>> import rlcompress as rlc
    >>> model = rlc.hw_models.load("scalable_sparse_16x32")
    >>> "search" in dir(rlc)
    True

`search` and `trace` are imported when they are first used, so that hardware models start without torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlcompress import envs, hw_models
    from rlcompress.network.trace import trace
    from rlcompress.searches import search

__version__ = "0.1.0"
__all__ = ["__version__", "envs", "hw_models", "search", "trace"]

_LAZY = {
    "envs": "rlcompress.envs",
    "hw_models": "rlcompress.hw_models",
    "search": "rlcompress.searches:search",
    "trace": "rlcompress.network.trace:trace",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'rlcompress' has no attribute {name!r}")
    module, _, attribute = _LAZY[name].partition(":")
    found = importlib.import_module(module)
    return getattr(found, attribute) if attribute else found
