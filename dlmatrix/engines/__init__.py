"""What runs an env: a Docker engine, Apptainer, a local virtual environment, or an interpreter the user names."""
