"""What the files of a run folder hold, validated; keys that a report does not need may come and go."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from rlcompress.spec import LayerChoice

Finite = Annotated[float, Field(allow_inf_nan=False)]


class Record(BaseModel):
    """A record of a file: unknown keys are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Settings(Record):
    """What a run was asked to do. Attributes are those of the search command."""

    model_config = ConfigDict(frozen=True, extra="allow")

    network: str = "network"
    data: str = "data"
    hardware: str = "hardware"
    weights: str | None = None
    agent: str = ""
    seed: int = 0
    target: str = "energy"
    max_drop: Finite = 1.0
    evaluations: int | None = None
    minutes: Finite | None = None
    granularities: tuple[str, ...] = ()
    min_bits: int | None = None
    max_bits: int | None = None
    end_bits: int | None = None

    @property
    def others(self) -> dict[str, Any]:
        """Settings that this version of the report knows nothing about."""
        return dict(self.model_extra or {})


_BINARY = ("top1", "top5", "agreement")
_OF_HUNDREDTHS = ("points", "dB", "px")


class MetricName(Record):
    """What networks were judged by.

    Attributes:
        name: on the command line.
        label: for tables.
        unit: of a difference of two values.
    """

    name: str = "top1"
    label: str = "top-1"
    unit: str = "points"

    @property
    def counts_images(self) -> bool:
        """Whether it is the percentage of images that something is true of."""
        return self.name in _BINARY

    def figure(self, value: float) -> str:
        """A difference as a number: two decimals, or three significant digits of units whose scale is not known.

        >>> MetricName().figure(0.0312), MetricName(unit="nats").figure(0.0312)
        ('0.03', '0.0312')
        """
        return f"{value:.2f}" if self.unit in _OF_HUNDREDTHS else f"{value:.3g}"

    def amount(self, value: float) -> str:
        """A difference in words.

        >>> MetricName().amount(1.0), MetricName(unit="dB").amount(0.5)
        ('1 point', '0.5 dB')
        """
        return f"{value:g} {'point' if value == 1 and self.unit == 'points' else self.unit}"


class Run(Record):
    """run.json."""

    settings: Settings
    rlcompress: str = "?"
    revision: str | None = None
    python: str = "?"
    libraries: dict[str, str] = Field(default_factory=dict)
    metric: MetricName = MetricName()
    images: dict[str, int] = Field(default_factory=dict)
    input: dict[str, Any] = Field(default_factory=dict)
    uncompressed: tuple[str, ...] = ()
    command: str | None = None


class Figures(Record):
    """Cost and metrics of a network; metrics in points."""

    energy_uj: Finite
    latency_ms: Finite
    metric_search: Finite | None = None
    metric_test: Finite | None = None


class Entry(Figures):
    """A policy of the front, or the best one."""

    id: str = ""
    energy_saved_pct: Finite = 0.0
    drop_search: Finite = 0.0
    drop_search_error: Finite | None = None
    drop_test: Finite | None = None
    drop_test_error: Finite | None = None
    images_test: int = 0


class Result(Record):
    """result.json."""

    network: str
    hardware: str
    evaluations: int
    seconds: Finite
    baseline: Figures
    baseline_16bit: Figures | None = None
    best: Entry
    best_by_goal: dict[str, Entry] = {}
    missed: str | None = None


class Score(Record):
    """What a candidate got right on the scoring images, in points."""

    metric: Finite
    drop: Finite
    drop_error: Finite = 0.0
    images: int = 0


class Candidate(Record):
    """A line of history.jsonl; choices by layer, in execution order."""

    evaluation: int
    policy: str
    source: str = ""
    energy_uj: Finite
    latency_ms: Finite
    saved_pct: Finite
    score: Score
    choices: dict[str, LayerChoice] = {}

    def layer_choices(self) -> list[LayerChoice]:
        """The policy, layer by layer."""
        return list(self.choices.values())


class Sensitivity(Record):
    """A row of sensitivity.csv."""

    layer: str
    factor: str
    value: Finite
    logit_mse: Finite
    kl: Finite | None = None
