"""What a sweep's file says, validated, and the searches that it stands for."""

import hashlib
import itertools
import json
import re
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from rlcompress.errors import RlcompressError, RunError
from rlcompress.files import LimitError, read_text, reason
from rlcompress.network.cards import get_card
from rlcompress.yaml_files import mistake, parse_yaml

_MAX_FILE_BYTES = 200_000
_MAX_JOBS = 10_000

_AXES = {
    "max_drop": "max_drops: [...]", "evaluations": "evaluations: [...]", "agent": "agents: [...]",
    "seed": "seeds: [...]",
}  # fmt: skip
"""Settings of a search that a sweep goes through -> what its file says in their place."""

Text = Annotated[str, Field(min_length=1, max_length=1000)]
Drop = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]
Evaluations = Annotated[int, Field(ge=1, le=10_000_000)]
Channel = Annotated[float, Field(allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Subject(_Entry):
    """A network with its weights and data, each as the search command takes it.

    Attributes:
        mean: what inputs are normalised by, on the scale 0 to 1, one value a channel; networks in code need it.
        std: see there.
    """

    network: Text
    data: Text
    weights: Text | None = None
    metric: Text | None = None
    mean: tuple[Channel, ...] | None = Field(default=None, min_length=1, max_length=1000)
    std: tuple[Channel, ...] | None = Field(default=None, min_length=1, max_length=1000)

    @model_serializer(mode="wrap")
    def _said(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without a normalisation where none is said, so that the folders of older sweeps keep their names."""
        values: dict[str, Any] = serialize(self)
        return {key: value for key, value in values.items() if value is not None or key not in ("mean", "std")}


class Job(_Entry):
    """One search of a sweep.

    Attributes:
        subject: what is compressed.
        hardware: for which accelerator.
        max_drop: allowed loss in the metric's unit.
        evaluations: real evaluations.
        agent: search method.
        seed: of everything drawn by chance.
        settings: further settings of the search, the same for all.
    """

    subject: Subject
    hardware: Text
    max_drop: Drop
    evaluations: Evaluations
    agent: Text
    seed: Seed
    settings: dict[str, Any]

    @property
    def id(self) -> str:
        """Name of the job's folder: readable, and different for different jobs."""
        digest = hashlib.sha256(json.dumps(self.model_dump(), sort_keys=True).encode()).hexdigest()[:8]
        words = (self.subject.network, Path(self.hardware).stem, self.agent, f"{self.max_drop:g}", f"s{self.seed}")
        return "-".join([*(re.sub(r"[^A-Za-z0-9_.]+", "_", word)[:40] for word in words), digest])

    @property
    def search_settings(self) -> dict[str, Any]:
        """What `SearchSettings.of` takes."""
        own = {name: getattr(self, name) for name in ("max_drop", "evaluations", "agent", "seed")}
        return {**self.settings, **own}


class Sweep(_Entry):
    """A sweep: every combination of networks, hardware, budgets, agents and seeds is a search.

    Attributes:
        networks: with their weights and data.
        hardware: names of built-in descriptions, or files.
        max_drops: budgets of accuracy: allowed losses in the metric's unit.
        evaluations: budgets of search: real evaluations.
        agents: search methods.
        seeds: of each.
        settings: further settings of every search (``target``, ``granularities``, ``min_bits``, ...).
    """

    networks: tuple[Subject, ...] = Field(min_length=1, max_length=1000)
    hardware: tuple[Text, ...] = Field(min_length=1, max_length=1000)
    max_drops: tuple[Drop, ...] = Field(default=(1.0,), min_length=1, max_length=1000)
    evaluations: tuple[Evaluations, ...] = Field(default=(200,), min_length=1, max_length=1000)
    agents: tuple[Text, ...] = Field(default=("composite",), min_length=1, max_length=100)
    seeds: tuple[Seed, ...] = Field(default=(0,), min_length=1, max_length=10_000)
    settings: dict[str, Any] = Field(default_factory=dict, max_length=100)

    @field_validator("settings")
    @classmethod
    def _plain(cls, settings: dict[str, Any]) -> dict[str, Any]:
        for name, value in settings.items():
            if name in _AXES:
                raise ValueError(f"{name} stands beside settings, not among them; give {_AXES[name]}")
            try:
                json.dumps(value)
            except (TypeError, ValueError):
                raise ValueError(
                    f"{name} is a {type(value).__name__}; quote it, or give text, numbers or lists"
                ) from None
        return settings

    @model_validator(mode="after")
    def _not_too_many(self) -> Self:
        counts = [len(getattr(self, name)) for name in ("networks", "hardware", "max_drops", "evaluations", "agents")]
        jobs = len(self.seeds)
        for count in counts:
            jobs *= count
        if jobs > _MAX_JOBS:
            raise ValueError(f"stands for {jobs} searches; split it so that there are at most {_MAX_JOBS}")
        return self

    @property
    def jobs(self) -> list[Job]:
        """Every combination once, seeds changing fastest."""
        axes = (self.networks, self.hardware, self.max_drops, self.evaluations, self.agents, self.seeds)
        jobs = (
            Job(subject=n, hardware=h, max_drop=d, evaluations=e, agent=a, seed=s, settings=self.settings)
            for n, h, d, e, a, s in itertools.product(*axes)
        )
        return list({job.id: job for job in jobs}.values())


def read_sweep(path: str | Path, *, trusted: bool = False) -> Sweep:
    """Read a sweep's file.

    Args:
        path: of the YAML file.
        trusted: whether it may name networks, data sets and metrics in code (``package.module:function``), which is
            then run.

    Raises:
        RunError: the file cannot be read or is not valid; the message names the line, the key and the mend.
    """
    try:
        values, document = parse_yaml(read_text(path, _MAX_FILE_BYTES))
        sweep = Sweep.model_validate(values)
    except (OSError, LimitError) as error:
        raise RunError(f"sweep {path}: {reason(error)}; give a YAML file as `rlcompress sweep --help` shows") from None
    except ValidationError as error:
        raise RunError(f"sweep {path}: {mistake(error, Sweep, document, 'a sweep')}") from None
    for subject in sweep.networks:
        try:
            _check_subject(subject, trusted)
        except RlcompressError as error:
            raise RunError(f"sweep {path}: {error}") from None
    return sweep


def _check_subject(subject: Subject, trusted: bool) -> None:
    if ":" not in subject.network:
        get_card(subject.network)
    elif not trusted:
        raise RunError(f"network {subject.network!r} is code, which a file does not get run; allow it with --trust")
    elif subject.mean is None or subject.std is None:
        raise RunError(
            f"network {subject.network!r} does not say how its input is normalised; give it mean and std, such as "
            "mean: [0.5, 0.5, 0.5]"
        )
    if re.split("[:?]", subject.data, maxsplit=1)[0] not in _DATA and not trusted:
        raise RunError(f"data {subject.data!r} is code or unknown; name one of {', '.join(_DATA)}, or allow --trust")
    if ":" in (subject.metric or "") and not trusted:
        raise RunError(f"metric {subject.metric!r} is code, which a file does not get run; allow it with --trust")
    check_weights(subject)


def check_weights(subject: Subject) -> None:
    """Refuse weights that are no file.

    Raises:
        RunError: they are none.
    """
    if subject.weights is not None and not Path(subject.weights).is_file():
        raise RunError(f"weights {subject.weights}: no such file; paths start at the folder that you are in")


_DATA = ("digits", "cifar10", "cifar100", "imagefolder", "set5")
