"""Types of bounded numbers, for the parameters of methods and attacks, and for the config."""

from typing import Annotated

from pydantic import Field

Positive = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
BatchSize = Annotated[int, Field(gt=1)]  # batch-norm cannot normalise a single image
Ratio = Annotated[float, Field(ge=1e-4, le=1)]
Share = Annotated[float, Field(ge=1e-4, lt=1)]  # smaller ones have no plain decimal file name
