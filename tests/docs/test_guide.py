"""The guide's and README's code blocks run, page by page, in one folder, as a reader would run them."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

_ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(\w+)(?: title=\"([\w.]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
_PRELUDE = """
import shlex, subprocess, sys
def command(line):
    done = subprocess.run([sys.executable, "-m", *shlex.split(line)], capture_output=True, text=True)
    assert done.returncode == 0, line + done.stderr
"""
_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(_ROOT)}


def _blocks(page: Path) -> list[tuple[str, str, str]]:
    return _BLOCK.findall(page.read_text())


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(
        command, cwd=folder, env=_ENVIRONMENT, capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == 0, f"{shlex.join(command)[:300]}\n{done.stderr[-2000:]}"


def _follow(page: Path, folder: Path) -> None:
    """Write titled blocks to files, run commands, and continue a page's Python blocks in one namespace."""
    steps = []
    for language, title, text in _blocks(page):
        if title:
            (folder / title).write_text(text)
        elif language == "bash":
            steps += [f"command({line!r})" for line in text.splitlines()]
        elif language == "python":
            steps.append(text)
    _run([sys.executable, "-c", "\n".join([_PRELUDE, *steps])], folder)


def test_pages_have_what_the_navigation_names() -> None:
    navigation = yaml.safe_load((_ROOT / "mkdocs.yml").read_text())["nav"]
    named = {page for part in navigation for page in ([part] if isinstance(part, str) else next(iter(part.values())))}
    assert {str(path.relative_to(_ROOT / "docs")) for path in (_ROOT / "docs").rglob("*.md")} >= named
    assert {f"guide/{path.name}" for path in (_ROOT / "docs" / "guide").glob("*.md")} <= named


@pytest.mark.parametrize("page", [*(_ROOT / "docs").rglob("*.md"), _ROOT / "README.md"], ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    missing = [link for link in _LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert not missing


@pytest.mark.slow
def test_the_code_blocks_run(tmp_path: Path) -> None:
    guide = _ROOT / "docs" / "guide"
    for name in ("first_search", "own_network", "own_accelerator", "reading_the_report", "many_searches", "own_agent"):
        _follow(guide / f"{name}.md", tmp_path)
    assert all((tmp_path / name).stat().st_size > 1e5 for name in ("energy.html", "my_npu.html", "both.html"))
    assert (tmp_path / "runs" / "named" / "report.html").exists()
