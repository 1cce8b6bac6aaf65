"""A report, and a comparison of two, as one HTML file that needs nothing else.

Everything on it comes from result.json, which it holds, compressed: the page of a whole matrix
would be too long otherwise. Figures are taken by JSON pointers (source.py), texts from texts.toml,
colours from palette.toml, charts by pygal.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import jinja2
from markupsafe import Markup

from dlmatrix import __version__
from dlmatrix.document.result import VERDICTS
from dlmatrix.errors import typed
from dlmatrix.report.history import History, before
from dlmatrix.report.machine import parts
from dlmatrix.report.meanings import read_meanings
from dlmatrix.report.page.sentences import translated
from dlmatrix.report.page.source import FORMS, Source, clean, number
from dlmatrix.report.page.texts import LANGUAGES, in_chinese, read_texts, text, text_of
from dlmatrix.report.page.view import env_views, overview
from dlmatrix.report.table import by_fitness
from dlmatrix.system.toml import read_toml

_HERE = Path(__file__).parent
_OUTCOMES = ("failed", "error", "skipped", "passed")
_MARKS = ("SLOWER", "UNCLEAR", "FASTER", "SAME")
#: The form of a figure without an interval, by how its name in a comparison ends.
_COSTS = {"image": "bytes", "memory": "bytes", "build": "seconds", "step": "s"}
#: What of a guide is nothing to do: its page leaves it out.
_SAID = ("output", "file")
#: What an engine's keys are called beside those of the machine.
_ENGINE_WORDS = {"driver": "storage driver", "cpus": "CPUs", "machine": "on"}
#: Pairs of cells that the page shows; result.json has all.
_PAIRS = 40


class Compared(Protocol):
    """What a comparison of two reports has; its rows have id, verdict, ratio, low, high, floor and reason."""

    @property
    def env_differences(self) -> Sequence[tuple[str, object, object]]:
        """Key, and what each of the two has for it."""

    @property
    def rows(self) -> Sequence[Any]:
        """A row for each figure that was compared."""


def report_html(result: str, history: History | None = None, folder: Path | None = None) -> str:
    """The page of a run. ``result`` is its result.json, as text; ``history`` what earlier runs measured.

    ``folder`` is where the report is, for a command that names it.
    """
    history = history or History()
    data = json.loads(result)
    source = Source(data)
    views = env_views(source, history)
    outcomes = [view.env["outcome"] for view in views]
    charts = overview(views)
    parity = data.get("parity") or {}
    known = {"overview": charts, "ratios": data.get("ratios"), "parity": parity.get("pairs")}
    return render(
        "report.html",
        "title",
        data=data,
        about=_about(data.get("engine") or {}, data.get("host") or {}),
        fig=source.figure,
        result=_held(result),
        views=views,
        machine=list(parts(data.get("host") or {})),
        fit=by_fitness(data["envs"], parity.get("drifting") or []),
        before=before(history, data, folder) if folder else None,
        tally={word: outcomes.count(word) for word in _OUTCOMES if word in outcomes},
        tally_words=_OUTCOMES,
        overview=charts,
        pairs=_pairs(parity.get("pairs") or []),
        sections=["verdicts", *(name for name, there in known.items() if there), "envs"],
        unreadable=history.unreadable,
    )


def replay_html(result: str) -> str:
    """The page of a guide's replay. ``result`` is its result.json, as text."""
    data = json.loads(result)
    known = {"change": data["diff"], "steps": True, "tried": data["tried"], "written": data.get("as_written")}
    known |= {"branches": data.get("branches"), "repairs": data["repairs"], "files": True}
    return render(
        "replay.html",
        "replay_title",
        data=data,
        about=_about(data["engine"], data["host"]),
        fig=Source(data).figure,
        result=_held(result),
        machine=list(parts(data["host"])),
        verdict=VERDICTS[data["verdict"]],
        tally=Counter(step["outcome"] for step in data["steps"] if step["kind"] not in _SAID),
        left_out=_SAID,
        sections=[name for name, there in known.items() if there],
    )


def comparison_html(comparison: Compared, name_a: str, name_b: str) -> str:
    """The page of a comparison: ``name_a`` is what ``name_b`` is held against."""
    verdicts = [row.verdict for row in comparison.rows]
    return render(
        "comparison.html",
        "comparison_title",
        fig=Source({}).figure,
        comparison=comparison,
        form_of=lambda what: FORMS[_COSTS.get(str(what).split()[-1], "scaled")],
        name_a=name_a,
        name_b=name_b,
        tally={word: verdicts.count(word) for word in _MARKS if word in verdicts},
        version=__version__,
    )


def _held(result: str) -> str:
    """A result.json as a page holds it. The time is left out, so that the same run gives the same page."""
    return base64.b64encode(gzip.compress(result.encode(), mtime=0)).decode()


def render(template: str, title: str, **values: Any) -> str:
    """A template of the page's, with its style and script; ``title`` is a key of texts.toml."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = (_HERE / "templates" / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    titles = {code: read_texts()[title][name] for code, name in LANGUAGES.items()}
    return environment.get_template(template).render(
        t=text,
        t_of=text_of,
        meanings=read_meanings(),
        in_chinese=in_chinese,
        translated=translated,
        typed=typed,
        clean=clean,
        number=number,
        forms=FORMS,
        palette=read_toml(_HERE / "palette.toml"),
        titles=titles,
        titles_json=Markup(json.dumps(titles)),  # noqa: S704 - our own, without a <
        script=Markup(script),  # noqa: S704 - our own, and its hash is what the page allows
        script_hash=f"sha256-{digest}",
        **values,
    )


def _about(engine: Mapping[str, str], host: Mapping[str, Any]) -> str:
    """The engine in one line, its name and version first; its machine where that is another."""
    first = " ".join(engine[key] for key in ("engine", "version") if key in engine)
    more = {key: value for key, value in engine.items() if key not in ("engine", "version")}
    if more.get("machine") == host.get("name"):
        more.pop("machine", None)
    if str(more.get("memory", "")).isdecimal():
        more["memory"] = f"{int(more['memory']) / 1e9:,.0f} GB"
    return ", ".join([first, *(f"{_ENGINE_WORDS.get(key, key)} {value}" for key, value in more.items())])


def _pairs(pairs: Sequence[Mapping[str, Any]]) -> list[tuple[int, Mapping[str, Any]]]:
    """Numbered pairs: those that drift, then those that differ most, as many as a page has room for."""
    order = sorted(enumerate(pairs), key=lambda pair: (not pair[1]["over"], -_size(pair[1]["differences"]["logits"])))
    return order[:_PAIRS]


def _size(value: object) -> float:
    """A difference; what is no number was too far for one."""
    return float(value) if isinstance(value, (int, float)) else float("inf")
