"""This machine's GPUs: what they can run, and why one is not used."""
