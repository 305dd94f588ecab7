"""The HTML page: templates filled in with every value escaped, and plotly.js packed into the page."""

import base64
import gzip
import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

import rlcompress
from rlcompress.report.charts import Chart

_HEIGHT = 420  # pixels of a chart that asks for none


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page.

    Attributes:
        id: unique in the page; what links point to.
        kind: what it is, the same for every run.
        title: its heading.
        body: markup, already escaped.
    """

    id: str
    kind: str
    title: str
    body: Markup


class Page:
    """Collects sections and charts, and writes the page."""

    def __init__(self, title: str, subtitle: str) -> None:
        self._title = title
        self._subtitle = subtitle
        self._sections: list[Section] = []
        self._charts: dict[str, dict[str, Any]] = {}

    def add(self, prefix: str, kind: str, title: str, body: Markup) -> None:
        """Add a section."""
        self._sections.append(Section(f"{prefix}{kind}", kind, title, body))

    def chart(self, name: str, chart: Chart, label: str, *text: str) -> Markup:
        """Markup of a chart with paragraphs below it; ``label`` says what it shows to those who cannot see it."""
        figure = chart.figure
        height = figure.layout.height or _HEIGHT
        figure.update_layout(height=height)
        values = figure.to_plotly_json()
        values["layout"].pop("template", None)
        views = {view: {"values": values, "title": title} for view, (values, title) in chart.views.items()}
        self._charts[name] = {"data": list(values["data"]), "layout": values["layout"], "views": views}
        return fill("chart.html.j2", id=name, label=label, text=text, height=height, views=list(views))

    def html(self) -> str:
        """The whole document."""
        script = _asset("page.js")
        packed, digest = _packed_plotly() if self._charts else ("", "")
        return fill(
            "page.html.j2",
            title=self._title,
            subtitle=self._subtitle,
            sections=self._sections,
            version=rlcompress.__version__,
            css=_asset("page.css"),
            charts=_data_block(self._charts),
            plotly=packed,
            script=script,
            policy=_content_policy([_digest(script), *([digest] if digest else [])]),
        )


def fill(template: str, **values: Any) -> Markup:
    """Fill a template in; values are escaped unless they are markup."""
    return Markup(_templates().get_template(template).render(**values))  # the template has escaped them


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("rlcompress.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )


def _asset(name: str) -> str:
    return (files("rlcompress.report") / "assets" / name).read_text(encoding="utf-8")


def _data_block(values: Any) -> str:
    """JSON that a script element may hold: nothing in it can end the element."""
    text = json.dumps(values, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def _packed_plotly() -> tuple[str, str]:
    """plotly.js, gzip and base64 (a third of its size), and its digest."""
    text = get_plotlyjs()
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode(), _digest(text)


def _digest(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _content_policy(scripts: list[str]) -> str:
    """Nothing is loaded from anywhere, and no script runs but the page's own."""
    return (
        f"default-src 'none'; script-src {' '.join(scripts)}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
