"""A run for people and programs."""
