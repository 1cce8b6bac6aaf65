"""What runs an env: a Docker engine, a local virtual environment, or an interpreter the user names."""
