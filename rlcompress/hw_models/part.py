"""`Part`: what all parts of a description have in common."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_MOST = 1e9  # of any unit: far beyond hardware, far below what arithmetic loses


def _not_tiny(value: float) -> float:
    if value < 1 / _MOST:
        raise ValueError(f"must be at least {1 / _MOST:g}")
    return value


Positive = Annotated[float, Field(gt=0, le=_MOST, allow_inf_nan=False), AfterValidator(_not_tiny)]
NonNegative = Annotated[float, Field(ge=0, le=_MOST, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0, le=1_000_000)]
Width = Annotated[int, Field(gt=0, le=64)]
Text = Annotated[str, Field(max_length=2000)]


class Part(BaseModel):
    """Base of all parts: frozen, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")
