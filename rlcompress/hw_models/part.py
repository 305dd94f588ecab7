"""`Part`: what all parts of a description have in common."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0)]


class Part(BaseModel):
    """Base of all parts: frozen, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")
