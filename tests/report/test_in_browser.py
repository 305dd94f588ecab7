"""The report in a real browser: what people see and touch, and that nothing leaves the page."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rlcompress.report import write_report
from tests.report.chromium import Tab, chromium, find_chromium
from tests.report.conftest import MakeRun
from tests.report.test_build import SECTIONS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_chromium() is None, reason="needs Chromium at /usr/bin/chromium or on the PATH"),
]

_OVERFLOWING = """[...document.querySelectorAll('body *')]
    .filter(e => !e.closest('.scroll') && !e.closest('svg') && e.getBoundingClientRect().right > innerWidth + 0.5)
    .map(e => e.outerHTML.slice(0, 80))"""
_COLOUR = "getComputedStyle(document.body).backgroundColor"
_LABELS = "getComputedStyle(document.querySelector('#front-chart .xtick text')).fill"

_WATCH_PRINTING = """window.seen = {}; addEventListener('beforeprint', () => {
    seen.theme = document.documentElement.dataset.theme;
    seen.width = document.querySelector('#front-chart .main-svg').getBoundingClientRect().width; })"""


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def report(make_run: MakeRun) -> Path:
    return write_report([make_run()])


def _check_clean(tab: Tab, report: Path) -> None:
    assert not tab.problems
    assert {url for url in tab.requests if not url.startswith("data:")} == {report.absolute().as_uri()}
    tab.requests.clear()


def test_every_section_is_there_and_nothing_is_loaded(tab: Tab, report: Path) -> None:
    tab.open(report)
    for section in SECTIONS:
        assert tab.run(f"document.getElementById('{section}').getBoundingClientRect().height") > 40
    for chart in ("front", "energy", "sensitivity", "learning"):
        assert tab.run(f"document.querySelectorAll('#{chart}-chart .main-svg').length") > 0
    _check_clean(tab, report)


@pytest.mark.parametrize(
    ("trace", "point", "told"),
    [
        (3, 1, ("front, 000000000008", "conv1: element 48%, W4 A6")),
        (4, 0, (", 000000000004", "conv1: element 64%, W6 A7")),  # the star lies on its point of the front
    ],
)
def test_a_point_tells_its_policy(tab: Tab, report: Path, trace: int, point: int, told: tuple[str, ...]) -> None:
    tab.open(report)
    box = f"""(() => {{
        const point = document.querySelectorAll('#front-chart .scatterlayer .trace:nth-child({trace}) .point')[{point}];
        point.scrollIntoView({{block: 'center', behavior: 'instant'}});
        const box = point.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; }})()"""
    tab.hover(*tab.run(box))
    tab.wait_for("document.querySelector('#front-chart .hovertext') !== null")
    text = tab.run("document.querySelector('#front-chart .hoverlayer').textContent")
    assert all(words in text for words in told)
    _check_clean(tab, report)


def test_the_other_view_shows_latency(tab: Tab, report: Path) -> None:
    tab.open(report)
    shown = "document.getElementById('front-chart').data[0].y[0]"
    energy = tab.run(shown)
    tab.run("document.querySelector('button[data-view=latency]').click()")
    tab.wait_for("document.querySelector('#front-chart .ytitle').textContent.includes('latency')")
    assert tab.run(shown) < energy
    _check_clean(tab, report)


@pytest.mark.parametrize("dark", [False, True])
def test_the_theme_follows_the_system_and_the_button(tab: Tab, report: Path, dark: bool) -> None:
    tab.open(report, dark=dark)
    tab.run("localStorage.clear()")
    tab.open(report, dark=dark)
    colours = {True: "rgb(20, 23, 26)", False: "rgb(255, 255, 255)"}
    assert tab.run(_COLOUR) == colours[dark]
    labels = tab.run(_LABELS)
    tab.run("document.getElementById('theme').click()")
    assert tab.run(_COLOUR) == colours[not dark]
    tab.wait_for(f"{_LABELS} !== '{labels}'")
    tab.open(report, dark=dark)
    assert tab.run(_COLOUR) == colours[not dark]  # the choice is kept
    tab.run("localStorage.clear()")
    _check_clean(tab, report)


@pytest.mark.parametrize("width", [390, 768, 1200])
def test_nothing_overflows(tab: Tab, make_run: MakeRun, width: int) -> None:
    report = write_report([make_run("one"), make_run("a-run-with-a-name-that-is-rather-long-for-a-phone", seed=1)])
    tab.open(report, width=width)
    assert tab.run("document.documentElement.scrollWidth") <= width
    assert tab.run(_OVERFLOWING) == []
    _check_clean(tab, report)


def test_printing_is_light_and_fits(tab: Tab, report: Path, tmp_path: Path) -> None:
    tab.open(report, dark=True)
    tab.run(_WATCH_PRINTING)
    tab.pdf(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    assert tab.run("seen.theme") == "light"
    assert tab.run("seen.width") <= 700  # A4 between its margins
    tab.wait_for("document.documentElement.dataset.theme === 'dark'")
    _check_clean(tab, report)


def test_printed_tables_are_whole(tab: Tab, report: Path) -> None:
    tab.open(report, width=690)
    tab("Emulation.setEmulatedMedia", media="print")
    cut = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth).length"
    assert tab.run(cut) == 0
    tab("Emulation.setEmulatedMedia", media="")
    assert tab.run("document.querySelectorAll('.scroll').length") >= 2
    _check_clean(tab, report)


def test_scripts_smuggled_into_names_do_not_run(tab: Tab, make_run: MakeRun) -> None:
    evil = "<img src=x onerror=document.title='owned'><script>document.title='owned'</script>"
    folder = make_run(network=evil, agent=evil)
    history = folder / "history.jsonl"
    history.write_text(history.read_text().replace('"planner"', f'"{evil}"'))
    report = write_report([folder])
    tab.open(report)
    assert tab.run("document.title") == f"{evil} on scalable_sparse_16x32"
    assert tab.run("document.querySelectorAll('main img').length") == 0
    _check_clean(tab, report)
