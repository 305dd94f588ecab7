"""What a compressed network still gets right."""

from rlcompress.evaluation.evaluator import Evaluator
from rlcompress.evaluation.metrics import METRICS, Metric, metric_of
from rlcompress.evaluation.score import Score
from rlcompress.evaluation.scorer import FinalScorer, Scorer

__all__ = ["METRICS", "Evaluator", "FinalScorer", "Metric", "Score", "Scorer", "metric_of"]
