"""Two runs compared, a machine among its siblings, and the ratios within one run.

The unit of all of it is the process: windows of one process agree with each other far better than
processes do, so an interval from windows would be too narrow.
"""
