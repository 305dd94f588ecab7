"""`Part`: what all parts of a description have in common."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

_MOST = 1e9  # of any unit: far beyond hardware, far below what arithmetic loses


def _not_tiny(value: float) -> float:
    if value < 1 / _MOST:
        raise ValueError(f"must be at least {1 / _MOST:g}")
    return value


def _number(value: Any) -> Any:
    """YAML reads yes and no as truth values, which would pass as 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("must be a number, no truth value")  # noqa: TRY004  # as pydantic wants it
    return value


Positive = Annotated[
    float, Field(gt=0, le=_MOST, allow_inf_nan=False), AfterValidator(_not_tiny), BeforeValidator(_number)
]
NonNegative = Annotated[float, Field(ge=0, le=_MOST, allow_inf_nan=False), BeforeValidator(_number)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), BeforeValidator(_number)]
Count = Annotated[int, Field(gt=0, le=1_000_000), BeforeValidator(_number)]
Width = Annotated[int, Field(gt=0, le=64), BeforeValidator(_number)]
Text = Annotated[str, Field(max_length=2000)]


class Part(BaseModel):
    """Base of all parts: frozen, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")
