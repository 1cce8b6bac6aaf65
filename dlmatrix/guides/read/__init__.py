"""Readers of guides, one a format, all to ``guides.model.Guide``."""
