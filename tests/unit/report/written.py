"""A report as it is written to a folder, and its summary."""

from __future__ import annotations

import datetime
from pathlib import Path

from dlmatrix.report import write as report
from dlmatrix.report.history import History
from dlmatrix.report.summary import summary
from dlmatrix.report.table import COLUMNS, row
from dlmatrix.run.result import EnvResult

NOW = datetime.datetime(2026, 11, 24, 8, 0, 0, tzinfo=datetime.timezone.utc)


ENGINE = {"engine": "host", "version": "Linux 6"}


HOST = {"name": "gpu07"}


def written(folder: Path, results: list[EnvResult]) -> Path:
    return report.write_report(folder.parent, folder, results, report.as_json(results, ENGINE, NOW, HOST), History())


def markdown(results: list[EnvResult]) -> str:
    rows = [row(result) for result in results]
    data = {"engine": ENGINE, "host": HOST}
    return summary(results, data, COLUMNS, rows, report.parity_of(results))
