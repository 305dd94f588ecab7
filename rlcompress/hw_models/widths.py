"""What fewer bits than an accelerator computes with do there."""

from rlcompress.hw_models.model import HardwareModel
from rlcompress.hw_models.table import TableModel


def fixed_widths(hardware: HardwareModel, *, weight_bits: int, activation_bits: int) -> list[str]:
    """A line for each operand whose least wanted width is below what the accelerator computes with.

    Args:
        hardware: the accelerator; measured tables say nothing about how they compute.
        weight_bits: least width wanted.
        activation_bits: least width wanted.
    """
    if isinstance(hardware, TableModel):
        return []
    bits = hardware.description.bits
    saves = "saves storage and traffic, but no arithmetic" if bits.packed else "saves nothing"
    wanted = {"weight": weight_bits, "activation": activation_bits}
    return [
        f"{hardware.name} computes with {operand}s of {min(getattr(bits, operand))} bits and more: fewer {saves}"
        for operand, least in wanted.items()
        if least < min(getattr(bits, operand))
    ]
