"""Sensitivity tables that other runs have measured."""

import json
from collections.abc import Callable
from dataclasses import astuple

import torch
from torch import Tensor

from rlcompress.candidates import Candidates, Key
from rlcompress.candidates.store import digest_of
from rlcompress.planning.sensitivity import SensitivityRow
from rlcompress.planning.space import ChoiceSpace


def kept_sensitivity(
    bank: Candidates, space: ChoiceSpace, images: Tensor, most_bytes: int, measure: Callable[[], list[SensitivityRow]]
) -> list[SensitivityRow]:
    """What ``measure`` gives, from the bank's cache where that has it.

    Args:
        bank: that is measured with.
        space: that is measured.
        images: that it is measured on.
        most_bytes: see `measure_sensitivity`; how many images run at once decides the order of sums.
        measure: measures the table.
    """

    def compute() -> dict[str, Tensor]:
        text = json.dumps([astuple(row) for row in measure()])
        return {"rows": torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)}

    widths = (space.min_bits, space.max_bits, space.index_bits)
    measured = (digest_of({"images": images}), most_bytes)
    key: Key = ("sensitivity", *measured, *widths, space.min_keep_ratio, *space.granularities)
    text = bytes(bank.kept(key, compute)["rows"].tolist()).decode()
    return [SensitivityRow(*row) for row in json.loads(text)]
