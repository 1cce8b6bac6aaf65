"""Images as SIF files, and Apptainer, which runs them for any user: for clusters that have no Docker."""
