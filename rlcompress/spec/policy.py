"""`CompressionPolicy`: one `LayerChoice` a layer, with its versioned JSON (``policy.json``)."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rlcompress.errors import PolicyError, first_problem
from rlcompress.files import LimitError, parse_json, read_text, reason, write_atomic
from rlcompress.spec.choice import LayerChoice
from rlcompress.spec.granularity import check_applies
from rlcompress.spec.layer import MAX_SIZE, LayerSpec, fingerprint

_MAX_FILE_BYTES = 2_000_000
_MAX_LAYERS = 5_000

_Text = Annotated[str, Field(min_length=1, max_length=500)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]  # JSON has no NaN
_Integer = Annotated[int, Field(ge=-(2**63), lt=2**63)]


class LayerEntry(LayerChoice):
    """A `LayerChoice` with the full module name of its layer."""

    name: _Text

    @property
    def choice(self) -> LayerChoice:
        """The choice without the name."""
        return LayerChoice(**self.model_dump(exclude={"name"}))


class NetworkReference(BaseModel):
    """Which network a policy was made for: its name and the fingerprint of its structure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: _Text
    fingerprint: str = Field(pattern="^[0-9a-f]{16}$")


class CompressionPolicy(BaseModel):
    """What is done to every layer of one network, in execution order.

    Attributes:
        schema_version: of the JSON format.
        network: the network's name and structural fingerprint.
        hardware: name of the accelerator the policy was searched for.
        round_to: channels that stay under ``filter`` and ``channel`` are a multiple of it, see `LayerSpec`.
        metrics: figures recorded with the policy (energy saved, drop); informative only.
        layers: one entry a compressible layer, in execution order; what an entry leaves out is dense, 8 bits.

    Raises:
        PolicyError: unknown keys, a missing name, a value out of range, or a layer named twice.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", title="rlcompress compression policy")

    schema_version: Literal[1] = 1
    network: NetworkReference
    hardware: _Text
    round_to: int = Field(default=1, strict=True, ge=1, le=MAX_SIZE)
    metrics: dict[str, _Finite | _Integer | str | None] = Field(default_factory=dict, max_length=1000)
    layers: tuple[LayerEntry, ...] = Field(min_length=1, max_length=_MAX_LAYERS)

    def __init__(self, /, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise PolicyError(f"policy: {first_problem(error)}") from None
        counts = Counter(entry.name for entry in self.layers)
        doubled = next((name for name, count in counts.items() if count > 1), None)
        if doubled is not None:
            raise PolicyError(f"policy: layer {doubled!r} is listed twice; keep one entry a layer")

    def __iter__(self) -> Iterator[tuple[str, LayerChoice]]:  # type: ignore[override]
        return ((entry.name, entry.choice) for entry in self.layers)

    @property
    def choices(self) -> dict[str, LayerChoice]:
        """Layer name -> choice, in execution order."""
        return dict(self)

    @classmethod
    def of(
        cls,
        choices: Mapping[str, LayerChoice],
        *,
        network: NetworkReference,
        hardware: str,
        round_to: int = 1,
        metrics: Mapping[str, float | int | str | None] | None = None,
    ) -> Self:
        """Make a policy from a mapping of layer names to choices."""
        layers = [{"name": name, **choice.model_dump(exclude={"name"})} for name, choice in choices.items()]
        return cls(network=network, hardware=hardware, round_to=round_to, metrics=dict(metrics or {}), layers=layers)

    def to_json(self) -> str:
        """The policy as an indented JSON document, one layer a line, ending in a newline."""
        head = self.model_dump(exclude={"layers"})
        rows = [json.dumps(_row(entry)) for entry in self.layers]
        lines = [f" {json.dumps(key)}: {json.dumps(value)}," for key, value in head.items()]
        return "\n".join(["{", *lines, ' "layers": [', ",\n".join(f"  {row}" for row in rows), " ]", "}", ""])

    @classmethod
    def from_json(cls, text: str, *, source: str = "policy") -> Self:
        """Parse `to_json`'s format.

        Args:
            text: the JSON document.
            source: what to call it in error messages, such as the file's path.

        Raises:
            PolicyError: the text is not JSON or not a valid policy; the message names the entry and the mend.
        """
        try:
            values = parse_json(text)
        except LimitError as error:
            raise PolicyError(f"{source}: not valid JSON ({error}); write it again with `rlcompress search`") from None
        if not isinstance(values, dict):
            raise PolicyError(f"{source}: a policy is a JSON object with the keys {', '.join(cls.model_fields)}")
        try:
            return cls(**values)
        except PolicyError as error:
            raise PolicyError(f"{source}: {str(error).removeprefix('policy: ')}") from None

    def save(self, path: str | Path) -> None:
        """Write the policy to a JSON file."""
        write_atomic(path, self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a policy from a JSON file.

        Raises:
            PolicyError: the file cannot be read or does not hold a valid policy.
        """
        try:
            text = read_text(path, _MAX_FILE_BYTES)
        except (OSError, LimitError) as error:
            raise PolicyError(
                f"{path}: cannot read the policy ({reason(error)}); give the path of a policy.json"
            ) from None
        return cls.from_json(text, source=str(path))

    def check_fits(self, specs: Sequence[LayerSpec]) -> None:
        """Check that the policy was made for this structure and keeps coupled layers together.

        Raises:
            PolicyError: a layer is missing or unknown, out of order, of another shape, removes outputs that cannot be
                removed, is pruned in a way that it cannot be, or coupled layers, or readers of one tensor, disagree.
        """
        wanted = [spec.name for spec in specs if spec.compressible]
        have = [entry.name for entry in self.layers]
        missing, unknown = sorted(set(wanted) - set(have)), sorted(set(have) - set(wanted))
        if missing:
            raise PolicyError(
                f"policy made for {self.network.name}: layer {missing[0]!r} of this network is missing "
                f"({len(missing)} in all); give this network's own policy"
            )
        if unknown:
            raise PolicyError(
                f"policy made for {self.network.name}: this network has no layer {unknown[0]!r} ({len(unknown)} such); "
                "give this network's own policy"
            )
        if have != wanted:
            raise PolicyError(f"policy: layers are out of execution order; begin with {wanted[0]!r}")
        choices = self.choices
        _check_coupling(specs, choices)
        _check_readers(specs, choices)
        for spec in specs:
            if spec.compressible:
                check_applies(spec, choices[spec.name])
        if self.network.fingerprint != (own := fingerprint(specs)):
            raise PolicyError(
                f"policy made for {self.network.name}, structure {self.network.fingerprint}: this network has the same "
                f"layers, but other shapes or connections ({own}); give this network's own policy"
            )


def _row(entry: LayerEntry) -> dict[str, Any]:
    order = ("name", "granularity", "keep_ratio", "weight_bits", "activation_bits")
    values = {key: getattr(entry, key) for key in order}
    defaults = {"criterion": "default", "weight_quantizer": "uniform"}
    return values | {key: getattr(entry, key) for key, default in defaults.items() if getattr(entry, key) != default}


def _check_coupling(specs: Sequence[LayerSpec], choices: Mapping[str, LayerChoice]) -> None:
    leaders: dict[str, str] = {}
    for spec in (spec for spec in specs if spec.compressible):
        choice = choices[spec.name]
        if spec.coupling is None:
            if choice.granularity == "filter":
                raise PolicyError(
                    f"layer {spec.name!r}: its outputs are the network's outputs and cannot be removed; "
                    "choose another granularity than 'filter'"
                )
            continue
        leader = leaders.setdefault(spec.coupling, spec.name)
        if _removal(choice) != _removal(choices[leader]):
            raise PolicyError(
                f"layer {spec.name!r}: its output channels are coupled with those of {leader!r}; "
                f"give both granularity 'filter' with the same keep_ratio and criterion, or neither"
            )


def _check_readers(specs: Sequence[LayerSpec], choices: Mapping[str, LayerChoice]) -> None:
    first: dict[tuple[str, ...], str] = {}
    for spec in (spec for spec in specs if spec.compressible):
        other = first.setdefault(spec.inputs, spec.name)
        if choices[spec.name].activation_bits != choices[other].activation_bits:
            raise PolicyError(
                f"layer {spec.name!r}: reads the same activation as {other!r}; give both the same activation_bits"
            )


def _removal(choice: LayerChoice) -> tuple[float, str]:
    return (choice.keep_ratio, choice.criterion) if choice.granularity == "filter" else (1.0, "default")


def policy_json_schema() -> dict[str, Any]:
    """The JSON Schema of policy.json (the package ships it as ``rlcompress/spec/policy.schema.json``)."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **CompressionPolicy.model_json_schema()}
