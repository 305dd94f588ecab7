"""What an accelerator does not reward."""

from collections.abc import Iterable

from rlcompress.hw_models.model import HardwareModel
from rlcompress.hw_models.table import TableModel


def fixed_widths(hardware: HardwareModel, *, weight_bits: int, activation_bits: int) -> list[str]:
    """A line for each operand whose least wanted width is below what the accelerator computes or was measured with.

    Args:
        hardware: the accelerator.
        weight_bits: least width wanted.
        activation_bits: least width wanted.
    """
    bits, gated = hardware.description.bits, hardware.description.mac.type == "gated"
    runs = "was measured" if isinstance(hardware, TableModel) else "computes"
    saved = ["storage", "traffic"] * bits.packed + ["energy of multipliers"] * gated
    saves = f"saves {', '.join(saved)}, but no {'cycles' if gated else 'arithmetic'}" if saved else "saves nothing"
    wanted = {"weight": weight_bits, "activation": activation_bits}
    return [
        f"{hardware.name} {runs} with {operand}s of {min(getattr(bits, operand))} bits and more: fewer {saves}"
        for operand, least in wanted.items()
        if least < min(getattr(bits, operand))
    ]


def unmeasured(hardware: HardwareModel, prunings: Iterable[tuple[str, float]]) -> list[str]:
    """A line for each granularity that is wanted at a keep ratio below all that a table of measured costs has.

    Args:
        hardware: the accelerator; descriptions have nothing unmeasured.
        prunings: granularities and keep ratios wanted.
    """
    if not isinstance(hardware, TableModel):
        return []
    wanted: dict[str, float] = {}
    for granularity, keep_ratio in prunings:
        wanted[granularity] = min(keep_ratio, wanted.get(granularity, 1.0))
    measured = {granularity: hardware.least_keep_ratio(granularity) for granularity in wanted}
    return [
        f"{hardware.name} has no rows for {granularity!r} pruning, which saves nothing: leave it out, or measure it"
        if measured[granularity] == 1.0
        else f"{hardware.name} was measured with {granularity!r} keep ratios of {measured[granularity]:g} and more: "
        "less saves nothing"
        for granularity, least in wanted.items()
        if least < measured[granularity]
    ]
