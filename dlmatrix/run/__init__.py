"""Carries out plans, and judges what came out."""
