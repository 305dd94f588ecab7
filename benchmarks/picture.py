"""Draw a finished run: energy of every layer before and after, above the policy found.

python -m benchmarks.picture runs/resnet20 docs/resnet20.svg
"""

import argparse
from pathlib import Path

import matplotlib as mpl

from rlcompress.report.costs import run_costs
from rlcompress.report.pictures import layers_picture
from rlcompress.report.run_folder import read_run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    mpl.rcParams.update({"font.size": 8, "svg.hashsalt": "rlcompress"})
    picture = layers_picture(run_costs(read_run(arguments.run)))
    picture.savefig(arguments.out, metadata={"Date": None} if arguments.out.suffix == ".svg" else None, dpi=150)
