"""One file with all that envs need, for machines without a network: written, verified, unpacked, started from."""
