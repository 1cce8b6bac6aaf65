"""Makes docs/gpu-runs.md of the folders that the suite wrote: ``python -m tests.gpu.page FOLDER…``.

Date, card, driver, outcomes and rows of throughput; no serial numbers, no host names, no paths.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dlmatrix.document.rates import label, median, rows_of
from dlmatrix.document.result import read_result
from dlmatrix.errors import DlmatrixError, UsageError
from dlmatrix.system.checkout import find_root
from dlmatrix.system.files import replace
from tests.gpu.transcript import OUTCOMES, table

_HEAD = (
    "# Runs on real GPUs\n\n"
    "Written by `python -m tests.gpu.page` from the folders of `python -m tests.gpu`, which stages each fault for real "
    "and holds the doctor's answer against it, then runs every check and the default throughput. How to run it: "
    "[development.md](development.md#on-a-machine-with-a-gpu).\n"
)


def page(folders: Sequence[Path]) -> str:
    """The whole page. Raises UsageError or ReportError for a folder that the suite did not write."""
    return "\n".join([_HEAD, *(line for folder in folders for line in _section(folder))])


def _section(folder: Path) -> Iterator[str]:
    file = folder / OUTCOMES
    if not file.is_file():
        raise UsageError(f"{folder} holds no {OUTCOMES}", "name a folder that python -m tests.gpu wrote")
    data = json.loads(file.read_text(encoding="utf-8"))
    counted = Counter(row["outcome"] for row in data["rows"])
    yield f"## {_cards(data['cards'])}, driver {data['driver']}, {data['date']}\n"
    yield f"{data['framework']}, Python {data['python']}, {data['env']}.\n"
    yield f"{counted['passed']} as expected, {counted['failed']} not, {counted['skipped']} skipped.\n"
    yield from table(data["rows"])
    yield ""
    if (folder / "report").is_dir():
        yield from _report(read_result(folder / "report").data)


def _cards(names: Sequence[str]) -> str:
    counts = Counter(names)
    return ", ".join(name if count == 1 else f"{count} × {name}" for name, count in counts.items())  # noqa: RUF001


def _report(data: Mapping[str, Any]) -> Iterator[str]:
    for env in data["envs"]:
        document = env["document"] or {}
        checks = Counter(check["outcome"] for check in document.get("checks", ()))
        counted = ", ".join(f"{count} {word}" for word, count in sorted(checks.items()))
        yield f"### {env['name']}: {env['outcome']}\n"
        yield f"Checks: {counted or 'none'}.\n"
        yield from _throughput(document)


def _throughput(document: Mapping[str, Any]) -> Iterator[str]:
    """The row table, images per second with the 95 % interval of the median."""
    throughput = document.get("throughput")
    if not isinstance(throughput, Mapping):
        return
    yield "| row | images/s | 95 % interval | processes | share of roof |"
    yield "|---|---|---|---|---|"
    skipped: dict[str, list[str]] = {}
    for _, row in rows_of(document):
        name = f"{row['model']} {row['kind']}, {label(row)}, batch {row['batch']}"
        value = median(row)
        if value is None:
            skipped.setdefault(" ".join(row["reason"].split()), []).append(name)
            continue
        stat, processes, share = row["images_per_second"], len(row["samples"]), row["roof_share"]
        interval = f"{stat['low']:,.0f} to {stat['high']:,.0f}" if processes > 1 else "-"
        part = f"{100 * share:.3g} %" if share is not None else "-"
        yield f"| {name} | {value:,.0f} | {interval} | {processes} | {part} |"
    yield ""
    for reason, names in skipped.items():
        yield f"Not measured: {'; '.join(names)}: {reason}.\n"
    roofs = [f"{roof['name']} ({roof['detail']}) {roof['value']['median']:.3g} {roof['unit']}"
             for roof in throughput["roof"]]  # fmt: skip
    yield f"Roof: {'; '.join(roofs) or 'not measured'}.\n"


def main(arguments: Sequence[str]) -> int:
    """Write docs/gpu-runs.md of this checkout."""
    if not arguments:
        print("name folders that python -m tests.gpu wrote", file=sys.stderr)
        return 2
    try:
        text = page([Path(argument) for argument in arguments])
    except DlmatrixError as error:
        print(f"{error.message}; {error.next_step}", file=sys.stderr)
        return error.exit_code
    replace(find_root(Path(__file__).parent) / "docs" / "gpu-runs.md", text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
