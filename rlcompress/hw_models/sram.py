"""Energy of SRAM accesses: log-bilinear interpolation in a table over capacity and port width (equation 8)."""

from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
import yaml

from rlcompress.hw_models.parts import SramEnergy


@lru_cache(maxsize=1)
def _table() -> dict[str, Any]:
    text = (files("rlcompress.hw_models") / "components" / "sram.yaml").read_text(encoding="utf-8")
    table: dict[str, Any] = yaml.safe_load(text)
    return table


def access_pj(kind: str, tech_nm: int, size_bytes: float, word_bits: float) -> float:
    """Energy of one access in pJ; beyond the table's ends the nearest cell's slope continues.

    Args:
        kind: ``read`` or ``write``.
        tech_nm: technology.
        size_bytes: of one bank.
        word_bits: of its port.
    """
    table = _table()
    sizes, words = np.log(table["sizes"]), np.log(table["word_bits"])
    energy = np.log(np.array(table[f"{kind}_pj"][tech_nm]))
    i = int(np.clip(np.searchsorted(sizes, np.log(size_bytes)) - 1, 0, len(sizes) - 2))
    j = int(np.clip(np.searchsorted(words, np.log(word_bits)) - 1, 0, len(words) - 2))
    u = (np.log(size_bytes) - sizes[i]) / (sizes[i + 1] - sizes[i])
    v = (np.log(word_bits) - words[j]) / (words[j + 1] - words[j])
    corners = energy[i : i + 2, j : j + 2]
    return float(np.exp(np.array([1 - u, u]) @ corners @ np.array([1 - v, v])))


@lru_cache(maxsize=256)
def access_pj_per_bit(sram: SramEnergy, kb: float) -> tuple[float, float]:
    """Energy of a bit read and of a bit written in a buffer of ``kb`` kilobytes, in pJ."""
    size = kb * 1024 / sram.banks
    read, write = (access_pj(kind, sram.tech_nm, size, sram.word_bits) for kind in ("read", "write"))
    return read / sram.word_bits, write / sram.word_bits
