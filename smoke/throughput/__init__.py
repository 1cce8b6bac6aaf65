"""Throughput that can be trusted: fresh processes, windows after a warm-up, intervals, and the machine's own roof.

The parent (collect.py) plans rows, starts processes (process.py) and judges; only they import the framework.
What is measured for one row in one process is in windows.py, which row comes next in schedule.py.
"""
