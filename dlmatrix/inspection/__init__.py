"""What is in an installation or an image, found without running any of it."""
