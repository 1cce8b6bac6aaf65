"""Faults staged for real on a machine with a GPU, and the doctor's answer held against each.

Nothing here outlives its process: mounts are in a namespace of their own, device nodes are copies in it, limits and
variables are a child's. Clocks, power, compute mode, MIG and persistence are never touched, and nothing is reset.
"""
