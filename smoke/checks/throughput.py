"""Images per second, measured by processes of their own: see smoke/throughput."""

from __future__ import annotations

from smoke.context import Context, Result, SkipError, passed

ID = "throughput"
KIND = "throughput"
ASSERTS = "every planned row is measured in fresh processes, after a warm-up, or left out for a reason"
APPLIES: dict[str, tuple[str, ...]] = {}
AFTER = True


def run(context: Context) -> Result:
    """Judge what was measured; the document has all of it."""
    measured = context.throughput
    if measured is True:
        return Result("skipped", "left to a run of its own", data={"later": True})
    if measured is None or isinstance(measured, str):
        raise SkipError(measured or "not asked for")
    rows = measured.document["rows"]
    figures = {row["id"]: row["images_per_second"]["median"] for row in rows if row["outcome"] == "measured"}
    best = {row["id"]: figures[row["id"]] for row in rows if row["best"]}
    if measured.errors:
        reason = "; ".join(f"{row}: {why}" for row, why in measured.errors)
        return Result("error", reason, found=best)
    counts = {"measured": len(figures), "left out": len(rows) - len(figures)}
    return passed(best, unit="images/s", rows=counts, marks=measured.document["machine"]["marks"])
