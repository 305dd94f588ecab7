"""Searches: agents let loose on a problem, the Pareto front that they find, and the run folder that keeps it."""

from rlcompress.search.api import search
from rlcompress.search.methods import METHODS
from rlcompress.search.result import Figures, FrontEntry, SearchResult
from rlcompress.search.run import Progress, run_search
from rlcompress.search.settings import SearchSettings

__all__ = [
    "METHODS",
    "Figures",
    "FrontEntry",
    "Progress",
    "SearchResult",
    "SearchSettings",
    "run_search",
    "search",
]
