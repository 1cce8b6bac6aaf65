"""A machine with any GPU fault, without a GPU: compiled stub libraries, a fake file system, scenarios as data."""
