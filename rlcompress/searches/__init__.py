"""Searches: agents let loose on a problem, the Pareto front that they find, and the run folder that keeps it."""

from rlcompress.searches.api import search
from rlcompress.searches.methods import METHODS
from rlcompress.searches.result import Figures, FrontEntry, SearchResult
from rlcompress.searches.run import Progress, run_search
from rlcompress.searches.settings import SearchSettings

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
