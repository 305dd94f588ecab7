"""Reports: one self-contained HTML page of one or more runs, or of a network's energy."""

from rlcompress.report.build import energy_report, write_report, write_text

__all__ = ["energy_report", "write_report", "write_text"]
