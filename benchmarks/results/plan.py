"""Which searches the table consists of, the most telling first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results.subjects import NETWORKS, Tested
from rlcompress.sweeps import Job

HARDWARE = ("scalable_sparse_16x32", "bitfusion_16x32", "npu_int8")
METHODS = ("composite", "dp", "uniform", "balaskas2023")
REPAIRS = ("t1", "t2")
UNREPAIRED = "none"
SEEDS = (0, 1, 2)

_LEADING, _REPAIRED = METHODS[:2], METHODS[:3]  # balaskas2023 repairs nothing


@dataclass(frozen=True)
class Cell:
    """A search of the table.

    Attributes:
        network: name in `NETWORKS`.
        hardware: accelerator.
        repair: tier; `UNREPAIRED` for balaskas2023.
        method: of the search.
        seed: of everything drawn by chance.
    """

    network: str
    hardware: str
    repair: str
    method: str
    seed: int

    @property
    def tested(self) -> Tested:
        """The network."""
        return NETWORKS[self.network]

    def job(self, weights: Path, data: Path, evaluations: int | None = None) -> Job:
        """The sweep's job, from the folders of weights and images; fewer evaluations than the table's if given."""
        first, *others = self.tested.goals
        return Job(
            subject=self.tested.subject(weights, data),
            hardware=self.hardware,
            max_drop=first,
            evaluations=evaluations or self.tested.evaluations,
            agent=self.method,
            seed=self.seed,
            settings={"goals": others, "repair": self.repair},
        )


def whole_table() -> list[Cell]:
    """Every search once: tier by tier, the leading accelerator, methods and seed first."""
    return list(dict.fromkeys(cell for repair in REPAIRS for cell in _tier(repair)))


def _tier(repair: str) -> Iterator[Cell]:
    main, *others = HARDWARE
    yield from _cells([main], repair, _LEADING, SEEDS[:1])
    yield from _cells([main], repair, _REPAIRED, SEEDS[:1])
    yield from _cells([main], UNREPAIRED, METHODS[3:], SEEDS[:1])
    yield from _cells(others, repair, _REPAIRED, SEEDS[:1])
    yield from _cells(others, UNREPAIRED, METHODS[3:], SEEDS[:1])
    yield from _cells([main], repair, _LEADING, SEEDS[1:])


def _cells(hardware: Sequence[str], repair: str, methods: Sequence[str], seeds: Sequence[int]) -> Iterator[Cell]:
    for name in hardware:
        for seed in seeds:
            for network in NETWORKS:
                for method in methods:
                    yield Cell(network, name, repair, method, seed)


def chosen(
    networks: Sequence[str] = (),
    hardware: Sequence[str] = (),
    repairs: Sequence[str] = (),
    methods: Sequence[str] = (),
    seeds: Sequence[int] = (),
) -> list[Cell]:
    """The searches of the table that pass every filter; an empty filter lets all pass."""
    filters = {"network": networks, "hardware": hardware, "repair": repairs, "method": methods, "seed": seeds}
    return [
        cell
        for cell in whole_table()
        if all(not allowed or getattr(cell, key) in allowed for key, allowed in filters.items())
    ]
