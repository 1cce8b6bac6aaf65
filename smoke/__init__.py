"""What runs inside an environment: it verifies the installation and writes one JSON document.

Standard library, NumPy and the framework under test only, in Python 3.7 syntax.
"""

SCHEMA_VERSION = 2
