"""Images and containers, through a Docker engine."""
