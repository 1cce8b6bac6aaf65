"""What envs/ says, and what will be done for an env, computed before anything is."""
