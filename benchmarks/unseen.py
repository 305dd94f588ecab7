"""What policies lose on search images, on moved ones, and on test images.

    python -m benchmarks.unseen RUN --weights FILE --data cifar10:DIR

RUN is a run folder of a search on that network and data. For policies of its front: points lost as the run folder has
them, on search images and on test images; and, on up to 3,000 search images that no candidate was scored on, points
lost as they are, with every image moved, and with every second one moved (`rlcompress.data.moved`).
"""

import argparse
import csv
import json
from pathlib import Path

import torch

from rlcompress import hw_models
from rlcompress.data import ImageSet, load_data
from rlcompress.data.moved import half_moved
from rlcompress.envs import Problem, ProblemSettings
from rlcompress.evaluation import Evaluator
from rlcompress.integer import lower
from rlcompress.network.pretrained import pretrained
from rlcompress.spec import CompressionPolicy

MOST_LOST = 3.5  # points; a front goes on beyond what anyone asks for
POLICIES = 7
IMAGES = slice(1000, 4000)


def all_moved(images: ImageSet) -> ImageSet:
    """Every image moved."""
    twice = ImageSet(images.images.repeat_interleave(2, 0), images.labels.repeat_interleave(2))
    return half_moved(twice).part(slice(1, None, 2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--cache")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    settings = json.loads((arguments.run / "run.json").read_text())["settings"]
    network, card = pretrained(settings["network"], arguments.weights)
    data, hardware = load_data(arguments.data), hw_models.load(settings["hardware"])
    problem = Problem.of(
        network, card, data, hardware, ProblemSettings(repair=settings["repair"], cache=arguments.cache)
    )
    part = data.search.part(IMAGES)
    sets = {"as they are": part, "moved": all_moved(part), "half moved": half_moved(part)}
    judges = {name: Evaluator(network.graph, images, card) for name, images in sets.items()}
    print(f"{settings['network']}: top-1 {', '.join(f'{e.dense.metric:.1f} {name}' for name, e in judges.items())}")
    print("".join(f"{title:>13}" for title in ("run: search", "run: test", *judges)))
    rows = list(csv.DictReader((arguments.run / "front.csv").open()))
    near = [row for row in rows if float(row["drop_search"]) <= MOST_LOST]
    for row in near[:: max(1, len(near) // POLICIES)]:
        policy = CompressionPolicy.load(arguments.run / "front" / f"{row['id']}.json")
        final = lower(problem.bank.final(dict(policy.choices)))
        drops = [float(row["drop_search"]), float(row["drop_test"]), *(e.score(final).drop for e in judges.values())]
        print("".join(f"{drop:>13.2f}" for drop in drops), flush=True)


if __name__ == "__main__":
    main()
