"""A policy in few words, for hover labels. Plotly reads tags in labels, so every name is escaped."""

from collections.abc import Sequence
from html import escape

from rlcompress.report.records import Candidate, Entry, MetricName
from rlcompress.report.run_folder import RunData
from rlcompress.spec import LayerChoice

_MOST_LAYERS = 24


def candidate_text(row: Candidate, data: RunData) -> str:
    """What a candidate costs, loses and does; lines joined by <br>."""
    score, metric = row.score, data.run.metric
    head = [
        f"<b>candidate {row.evaluation}</b> ({_safe(row.source)})",
        f"{row.energy_uj:.4g} {data.unit}, {row.latency_ms:.4g} ms, {row.saved_pct:.1f} % saved",
        f"lost {metric.figure(score.drop)} ± {metric.figure(1.96 * score.drop_error)} {_safe(metric.unit)} on "
        f"{score.images} images",
    ]
    return "<br>".join([*head, *_policy_lines(row, data.layers)])


def candidate_source(row: Candidate, metric: MetricName) -> str:
    """What proposed a candidate, and what it loses."""
    return f"{_safe(row.source)}, lost {metric.figure(row.score.drop)} {_safe(metric.unit)}"


def entry_text(entry: Entry, split: str, row: Candidate | None, data: RunData, title: str = "front") -> str:
    """The same of a policy on the front; ``split`` is search or test, ``title`` what the policy is called."""
    drop, error = getattr(entry, f"drop_{split}"), getattr(entry, f"drop_{split}_error")
    value, metric = getattr(entry, f"metric_{split}"), data.run.metric
    interval = "" if error is None else f" ± {metric.figure(1.96 * error)}"
    measured = "" if value is None else f"{value:.2f}, "
    head = [
        f"<b>{title}, {_safe(entry.id)}</b>",
        f"{entry.energy_uj:.4g} {data.unit}, {entry.latency_ms:.4g} ms, {entry.energy_saved_pct:.1f} % of the energy "
        "saved",
        f"{split} images: {measured}lost {metric.figure(drop)}{interval} {_safe(metric.unit)}",
    ]
    return "<br>".join([*head, *(_policy_lines(row, data.layers) if row else [])])


def _safe(text: str) -> str:
    return escape(text, quote=False)


def _policy_lines(row: Candidate, layers: Sequence[str]) -> list[str]:
    choices = row.layer_choices()
    if not choices:
        return []
    if len(choices) > _MOST_LAYERS:
        return [_summary(choices)]
    return [f"{_safe(name)}: {in_words(choice)}" for name, choice in zip(layers, choices, strict=True)]


def _summary(choices: Sequence[LayerChoice]) -> str:
    weight, activation, keep = (
        sum(getattr(choice, key) for choice in choices) / len(choices)
        for key in ("weight_bits", "activation_bits", "keep_ratio")
    )
    return f"{len(choices)} layers, on average W{weight:.1f} A{activation:.1f}, {keep:.0%} kept"


def in_words(choice: LayerChoice) -> str:
    """One choice, such as ``element 35 %, W3 A4`` or ``dense, W4 clustered A8``."""
    pruned = "dense" if choice.granularity == "none" else f"{choice.granularity} {choice.keep_ratio:.0%}"
    clustered = " clustered" if choice.weight_quantizer == "clustered" else ""
    return f"{pruned}, W{choice.weight_bits}{clustered} A{choice.activation_bits}"
