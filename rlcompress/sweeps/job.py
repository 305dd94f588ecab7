"""One search of a sweep, from names to its run folder."""

import json
from dataclasses import replace
from pathlib import Path

from rlcompress.data import check_data_fits, load_data
from rlcompress.errors import RlcompressError, one_line
from rlcompress.files import file_hash, write_atomic
from rlcompress.hw_models import load as load_hardware
from rlcompress.network.cards import InputFormat
from rlcompress.network.pretrained import pretrained
from rlcompress.searches import SearchSettings, run_search
from rlcompress.searches.folder import RunFolder
from rlcompress.sweeps.plan import Job

FAILED = "failed.json"
RUN = "run"


def run_job(job: Job, folder: Path) -> None:
    """Search, or go on with the search that the folder holds; why a search failed is written to failed.json."""
    (folder / FAILED).unlink(missing_ok=True)
    try:
        _search(job, folder)
    except RlcompressError as error:
        note_failure(folder, str(error))
    except Exception as error:  # one search must not end a sweep of many hours
        note_failure(folder, f"{type(error).__name__}: {error}")


def is_done(folder: Path) -> bool:
    """Whether a job's folder holds a finished search."""
    return (folder / RUN / "result.json").exists()


def note_failure(folder: Path, message: str) -> None:
    """Write why a job has no result."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / FAILED, json.dumps({"error": one_line(message)}) + "\n")


def _search(job: Job, folder: Path) -> None:
    subject = job.subject
    settings = SearchSettings.of({"cache": str(folder.parent), **job.search_settings})
    hardware, splits = load_hardware(job.hardware), load_data(subject.data)
    channels, height, width = splits.search.images.shape[1:]
    shape = (channels, height, width) if ":" in subject.network else None
    given = InputFormat(shape=shape, mean=subject.mean, std=subject.std)
    traced, card = pretrained(subject.network, subject.weights, given)
    check_data_fits(card, splits)
    card = replace(card, metric=subject.metric or card.metric)
    asked = {**settings.as_json(), **subject.model_dump(), "hardware": job.hardware, "metric": card.metric}
    asked |= {"weights_sha256": file_hash(subject.weights)} if subject.weights else {}
    run_folder = RunFolder(folder / RUN, asked, resume=(folder / RUN / "run.json").exists())
    run_search(traced, card, splits, hardware, settings, run_folder)
