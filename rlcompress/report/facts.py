"""Plain facts of a report: the accelerator, how figures were measured, and how to get them again."""

import shlex

from rlcompress.hw_models import HardwareModel, TableModel
from rlcompress.report.run_folder import RunData

CONFIDENCE = {
    "measured": "costs were measured by whoever gave the table; nothing is modelled but the interpolation",
    "silicon-fitted": "constants were fitted to measurements of a chip",
    "simulator-matched": "checked against a simulator, not against a chip",
    "estimate": "checked against neither a chip nor a simulator, so compare policies, not chips",
}
"""What a description's tag means."""

LEFT_ALONE = {"score_images": 1000, "correction": "paired", "agent_settings": {}}
"""Settings that the command line has no option for -> what they are with it."""

Facts = dict[str, str]


def hardware_facts(hardware: HardwareModel) -> Facts:
    """What the accelerator is made of."""
    about = hardware.description
    facts = {"title": about.title, "source": " ".join(about.source.split())}
    if isinstance(hardware, TableModel):
        return facts
    array = about.array.model_dump(exclude_none=True)
    return facts | {
        "array": ", ".join(f"{key} {value}" for key, value in array.items() if isinstance(value, str | int | float)),
        "clock": f"{about.clock_mhz:g} MHz",
        "widths": f"weights {_plain(about.bits.weight)}; activations {_plain(about.bits.activation)} bits",
        "buffers": "; ".join(f"{b.name} {b.kb:g} kB ({', '.join(b.holds)})" for b in about.buffers),
        "DRAM": f"{about.dram.pj_per_bit:g} pJ/bit, {about.dram.bits_per_cycle:g} bits a cycle",
        "skips zeros of": ", ".join(about.zeros.skips) or "nothing",
        "static power": f"{about.static.mw:g} mW",
    }


def _plain(value: object) -> str:
    return "/".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def measurement_facts(data: RunData) -> Facts:
    """Splits, images, seed, repair and what the search took."""
    settings, images = data.run.settings, data.run.images
    result = data.result
    facts = {
        "data": settings.data,
        "calibration images": _count(images.get("calibration"), "unlabelled; for ranges, statistics and repair"),
        "images for rounding": _count(images.get("learning"), "unlabelled; for learned rounding"),
        "scoring images": _count(images.get("scored"), "training images that every candidate was scored on"),
        "final images": _count(images.get("final"), "training images that only finalists were scored on"),
        "test images": _count(result.best.images_test if result else None, "read at the end"),
        "allowed drop": f"{data.run.metric.amount(settings.max_drop)} of {data.run.metric.label}",
        "agent": settings.agent,
        "seed": str(settings.seed),
        "evaluations": str(result.evaluations if result else len(data.history)),
        "time": f"{result.seconds:.0f} s" if result else "",
        "not compressed": "; ".join(data.run.uncompressed),
        "intervals": "95 %; of drops paired by image, of top-1 Wilson's; none of costs",
    }
    return {key: value for key, value in facts.items() if value} | _other_settings(data)


def _count(count: int | None, purpose: str) -> str:
    return "" if not count else f"{count:,} ({purpose})"


def _other_settings(data: RunData) -> Facts:
    """The rest of the settings, those unknown to this version included."""
    settings = data.run.settings
    widths = f"{settings.min_bits} to {settings.max_bits}" if settings.min_bits else ""
    rest = {key.replace("_", " "): _plain(value) for key, value in settings.others.items() if value not in (None, "")}
    known = {"granularities": ", ".join(settings.granularities), "bits": widths, **rest}
    return {key: value for key, value in known.items() if value}


def version_facts(data: RunData) -> Facts:
    """What the run was made with."""
    run = data.run
    revision = f" ({run.revision[:12]})" if run.revision else ""
    return {"rlcompress": f"{run.rlcompress}{revision}", "Python": run.python, **run.libraries}


def command(data: RunData) -> str:
    """The command that gives the run again: as it was typed, else put together from the settings.

    Empty where there is none: for networks and data handed over in Python, whose runs name no weights, and for
    settings that the command line leaves as they are.
    """
    if data.run.command:
        return data.run.command
    settings = {**data.run.settings.model_dump(), **data.run.settings.others}
    settings.pop("weights_sha256", None)
    left = {key: settings.pop(key, value) for key, value in LEFT_ALONE.items()}
    if left != LEFT_ALONE or "weights" not in data.run.settings.model_fields_set:
        return ""
    if ":" in settings["network"]:
        shape = {"input_shape": data.run.input.get("shape")}
        settings |= shape | {key: data.run.input.get(key) for key in ("mean", "std")}
    given = [part for key, value in settings.items() for part in _option(key.replace("_", "-"), value)]
    return shlex.join(["rlcompress", "search", *given, "--out", "RUN"])


def _option(name: str, value: object) -> list[str]:
    if value is None or value is False or value in ("", [], ()):
        return []
    if value is True:
        return [f"--{name}"]
    return [f"--{name}", ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)]
