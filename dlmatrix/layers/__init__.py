"""A layer for each wheel: what uv installs, as tars with fixed dates, kept under all that they are a function of."""
