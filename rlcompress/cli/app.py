"""The ``rlcompress`` command: its sub-commands, and what happens on wrong input and on Ctrl-C."""

import sys
import warnings
from typing import Annotated, TextIO

import typer

import rlcompress
from rlcompress.cli import compare, demo, energy, evaluate, export, hardware, networks, policy, report, search, sweep
from rlcompress.cli.console import stderr
from rlcompress.cli.invocation import end_as_ctrl_c
from rlcompress.errors import RlcompressError, RlcompressWarning

app = typer.Typer(
    name="rlcompress",
    help="Prune and quantize a trained CNN for a given accelerator, layer by layer, without retraining.",
    epilog="Begin with `rlcompress demo`.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo.demo)
app.command("search")(search.search)
app.command("compare")(compare.compare)
app.command("sweep")(sweep.sweep)
app.command("energy")(energy.energy)
app.command("evaluate")(evaluate.evaluate)
app.command("export")(export.export)
app.command("report")(report.report)
app.add_typer(networks.app, name="networks")
app.add_typer(policy.app, name="policy")
app.add_typer(hardware.app, name="hardware")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rlcompress {rlcompress.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of the command itself."""


def main() -> None:
    """Run the command line. Exit status: 0 done, 2 wrong input or a full disk, 130 interrupted."""
    end_as_ctrl_c()
    warnings.showwarning = _show_warning
    warnings.simplefilter("always", RlcompressWarning)
    try:
        status = app(standalone_mode=False, prog_name="rlcompress")
    except RlcompressError as error:
        _say("error", str(error))
        sys.exit(2)
    except typer.TyperException as error:
        _say("error", _usage_mistake(error))
        sys.exit(2)
    except OSError as error:
        _say("error", f"{error.filename or 'a file'}: {error.strerror or error}; make room, or make it accessible")
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    sys.exit(status if isinstance(status, int) else 0)


def _usage_mistake(error: typer.TyperException) -> str:
    """A wrong option or argument in one line; empty where the help has been shown instead."""
    message = " ".join(error.format_message().split()).rstrip(".")
    context = getattr(error, "ctx", None)
    return f"{message}; see `{context.command_path} --help`" if message and context else message


def _say(kind: str, message: str) -> None:
    if message:
        stderr().print(f"{kind}: {message}", markup=False, highlight=False, soft_wrap=True)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """One line for our own warnings; those of other libraries as Python writes them."""
    if issubclass(category, RlcompressWarning):
        _say("warning", str(message))
    else:
        sys.stderr.write(warnings.formatwarning(message, category, filename, lineno, line))
