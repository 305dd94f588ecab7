"""Holds every module's imports against the table of docs/architecture.md."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import rlcompress

PACKAGE = Path(rlcompress.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
RL = ("gymnasium", "stable_baselines3", "sb3_contrib")
TERMINAL = ("typer", "rich", "click", "tqdm")


def ours(*parts: str) -> tuple[str, ...]:
    return tuple(f"rlcompress.{part}" for part in parts)


ABOVE_CORE = ours("envs", "agents", "searches", "sweeps", "cli")
CORE = (*RL, *TERMINAL, *ours("hw_models"), *ABOVE_CORE)

FORBIDDEN = {
    "network": (
        *CORE,
        *ours("pruning", "quantization", "compensation", "candidates", "evaluation", "planning", "data"),
    ),
    "pruning": (*CORE, *ours("compensation", "candidates", "evaluation", "planning", "data")),
    "quantization": (*CORE, *ours("compensation", "candidates", "evaluation", "planning", "data")),
    "compensation": (*CORE, *ours("candidates", "evaluation", "planning", "data")),
    "candidates": (*CORE, *ours("evaluation", "planning", "data")),
    "integer": (*CORE, *ours("pruning", "compensation", "candidates", "evaluation", "planning", "data")),
    "evaluation": (*CORE, *ours("planning")),
    "planning": CORE,
    "export": (*CORE, *ours("pruning", "compensation", "candidates", "evaluation", "planning", "data")),
    "data": (*CORE, *ours("candidates", "evaluation", "planning")),
    "envs": ("stable_baselines3", "sb3_contrib", *TERMINAL, *ours("agents", "searches", "sweeps", "cli")),
    "searches": (*TERMINAL, *ours("sweeps", "cli")),
    "sweeps": (*TERMINAL, *RL, *ours("cli")),
}
"""Package -> what its modules must not import."""

ALLOWED = {
    "errors": (),
    "files": (),
    "memory": ours("errors"),
    "pickles": ours("files"),
    "plugins": ours("errors"),
    "tensor_files": ours("files"),
    "spec": ours("errors", "files"),
    "workers": ours("errors", "plugins", "threads"),
    "yaml_files": ours("errors", "files"),
    "hw_models": ours("errors", "files", "spec", "yaml_files"),
    "agents": ours("errors", "files", "tensor_files"),
    "report": ours("errors", "files", "spec", "hw_models", "network.cards", "network.spec_cards"),
}
"""Package -> the other parts of rlcompress that it may import."""

NO_TORCH = ("errors", "files", "memory", "pickles", "plugins", "yaml_files", "spec", "hw_models", "report")


def imports(path: Path) -> set[str]:
    """Dotted names of what a module imports, in functions as well."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def within(name: str, roots: tuple[str, ...]) -> bool:
    return any(name == root or name.startswith(f"{root}.") for root in roots)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_follow_the_architecture(path):
    part, names = part_of(path), imports(path)
    assert not {name for name in names if within(name, FORBIDDEN.get(part, ()))}
    if part in NO_TORCH:
        assert not {name for name in names if within(name, ("torch", "torchvision", *RL))}
    if part in ALLOWED:
        allowed = (*ALLOWED[part], *ours(part))
        assert not {name for name in names if name.startswith("rlcompress.") and not within(name, allowed)}


def test_every_rule_is_about_a_package_that_exists():
    assert {*FORBIDDEN, *ALLOWED} <= {part_of(path) for path in MODULES}


def test_the_reader_of_imports_sees_imports(tmp_path):
    path = tmp_path / "module.py"
    path.write_text("import torch.nn as nn\nfrom rlcompress import cli\ndef f():\n    from gymnasium import spaces\n")
    assert imports(path) == {"torch.nn", "rlcompress", "rlcompress.cli", "gymnasium", "gymnasium.spaces"}
    assert within("torch.nn", ("torch",))
    assert not within("torchvision", ("torch",))


def run_and_look_for_torch(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a Python of its own; exit status 7 says that it has loaded something heavy."""
    script = (
        "import atexit, os, sys\n"
        "heavy = ('torch', 'gymnasium', 'stable_baselines3')\n"
        "atexit.register(lambda: os._exit(7) if any(name in sys.modules for name in heavy) else None)\n"
        f"{code}\n"
    )
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "module", ["rlcompress", "rlcompress.network.spec_cards", "rlcompress.report", "rlcompress.cli"]
)
def test_modules_that_load_no_torch(module):
    done = run_and_look_for_torch(f"import {module}, rlcompress.spec, rlcompress.hw_models")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["search", "--help"], ["networks", "list"], ["hardware", "list"]])
def test_commands_that_load_no_torch(arguments):
    argv = ["rlcompress", *arguments]
    done = run_and_look_for_torch(
        f"import runpy; sys.argv = {argv}; runpy.run_module('rlcompress', run_name='__main__')"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_torch_would_be_seen():
    assert run_and_look_for_torch("import gymnasium").returncode == 7
