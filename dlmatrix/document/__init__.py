"""The contract with smoke/: what a document holds, and how it is read."""
