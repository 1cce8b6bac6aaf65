"""A whole lab or cluster validated through the engine that it already has, with nobody missing from the report."""
