"""One file, one check: see smoke/catalog.py for what a file here must hold."""
