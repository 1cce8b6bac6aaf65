"""Faults, each staged once against a real engine, and all judged alike: python -m tests.faults."""
