"""Policies as one cell of a CSV file."""

import re
from collections.abc import Iterable

from rlcompress.errors import PolicyError
from rlcompress.spec import GRANULARITIES, LayerChoice

_LETTERS = {name: name[0] for name in GRANULARITIES if name != "none"}
_NAMES = {letter: name for name, letter in _LETTERS.items()}
_WORD = re.compile(r"(?:([a-z])(\d{1,2}))?(?:\((\w+)\))?w(\d{1,2})a(\d{1,2})")


def to_text(choices: Iterable[LayerChoice]) -> str:
    """A word a layer, in execution order: first letter of the granularity with the percentage kept, then the bits.

    A criterion other than the default stands in brackets.

    >>> to_text([LayerChoice(), LayerChoice(granularity="element", keep_ratio=0.8, weight_bits=6, activation_bits=5)])
    'w8a8 e80w6a5'
    """
    return " ".join(_word(choice) for choice in choices)


def _word(choice: LayerChoice) -> str:
    pruned = choice.granularity != "none"
    pruning = f"{_LETTERS[choice.granularity]}{round(100 * choice.keep_ratio)}" if pruned else ""
    criterion = "" if choice.criterion == "default" else f"({choice.criterion})"
    return f"{pruning}{criterion}w{choice.weight_bits}a{choice.activation_bits}"


def from_text(text: str) -> list[LayerChoice]:
    """The choices that `to_text` wrote.

    Raises:
        PolicyError: a word is none of a policy.
    """
    return [_choice(word) for word in text.split()]


def _choice(word: str) -> LayerChoice:
    match = _WORD.fullmatch(word)
    if match is None or (match[1] and match[1] not in _NAMES):
        raise PolicyError(f"{word!r} is no layer of a policy; such a word looks like w8a8 or e80w6a5")
    pruning = {"granularity": _NAMES[match[1]], "keep_ratio": int(match[2]) / 100} if match[1] else {}
    criterion = match[3] or "default"
    return LayerChoice(**pruning, criterion=criterion, weight_bits=int(match[4]), activation_bits=int(match[5]))
