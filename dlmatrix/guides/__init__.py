"""Installation guides: what their commands bring."""
