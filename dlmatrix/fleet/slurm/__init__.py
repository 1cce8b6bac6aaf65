"""A cluster through Slurm: its programs are called, and their text is read, which is the same in every version."""
