"""`Costs`: a network on an accelerator, dense and under a policy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from rlcompress.errors import HardwareError
from rlcompress.hw_models import HardwareModel, NetworkCost
from rlcompress.report.run_folder import RunData
from rlcompress.spec import REFERENCE_BITS, LayerChoice, LayerSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What one inference costs.

    Attributes:
        specs: the network's operators.
        hardware: the accelerator.
        reference: dense at 16 bits; None where the accelerator has no such width.
        dense: at 8 bits.
        policy: under the policy; None without one.
        choices: the policy.
    """

    specs: tuple[LayerSpec, ...]
    hardware: HardwareModel
    reference: NetworkCost | None
    dense: NetworkCost
    policy: NetworkCost | None
    choices: Mapping[str, LayerChoice]

    @classmethod
    def of(
        cls, specs: Sequence[LayerSpec], hardware: HardwareModel, choices: Mapping[str, LayerChoice] | None = None
    ) -> Self:
        """Cost a network.

        Raises:
            HardwareError: the accelerator cannot run a layer, or not at a width of the policy.
            PolicyError: a layer has no choice.
        """
        specs = tuple(specs)
        names = [spec.name for spec in specs if spec.compressible]
        try:
            wide = LayerChoice(weight_bits=REFERENCE_BITS, activation_bits=REFERENCE_BITS)
            reference = hardware.cost(specs, dict.fromkeys(names, wide))
        except HardwareError:
            reference = None
        return cls(
            specs=specs,
            hardware=hardware,
            reference=reference,
            dense=hardware.cost(specs, dict.fromkeys(names, LayerChoice())),
            policy=hardware.cost(specs, choices) if choices else None,
            choices=dict(choices or {}),
        )

    @property
    def columns(self) -> dict[str, NetworkCost]:
        """Title -> cost, from dear to cheap."""
        rows = {"dense 16 bits": self.reference, "dense 8 bits": self.dense, "policy": self.policy}
        return {title: cost for title, cost in rows.items() if cost is not None}

    @property
    def levels(self) -> tuple[str, ...]:
        """Levels on which energy is spent."""
        return tuple(
            level for level in self.dense.energy_pj if any(cost.energy_pj[level] > 0 for cost in self.columns.values())
        )


def run_costs(data: RunData) -> Costs:
    """Costs of the final policy, or of the leading candidate while there is none."""
    choices: Mapping[str, LayerChoice] | None = None
    if data.policy is not None:
        choices = data.policy.choices
    elif data.leading is not None and data.leading.choices:
        choices = dict(zip(data.layers, data.leading.layer_choices(), strict=True))
    return Costs.of(data.specs, data.hardware, choices)


def saved_pct(before: float, after: float) -> float:
    """Percent saved; 0 where there was nothing to save."""
    return 100.0 * (1.0 - after / before) if before else 0.0
