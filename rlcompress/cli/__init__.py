"""The command line. Nothing here computes: commands parse, call the library and print."""

from rlcompress.cli.app import main

__all__ = ["main"]
