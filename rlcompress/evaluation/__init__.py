"""What a compressed network still gets right."""

from rlcompress.evaluation.best import Selection, best_of
from rlcompress.evaluation.evaluator import Evaluator
from rlcompress.evaluation.halving import Halving, successive_halving
from rlcompress.evaluation.importance import ImageSample, image_importance, sample_images
from rlcompress.evaluation.likely import expects, likely_drops
from rlcompress.evaluation.metrics import METRICS, Metric, metric_of
from rlcompress.evaluation.score import Score
from rlcompress.evaluation.scorer import FinalScorer, Scorer

__all__ = [
    "METRICS",
    "Evaluator",
    "FinalScorer",
    "Halving",
    "ImageSample",
    "Metric",
    "Score",
    "Scorer",
    "Selection",
    "best_of",
    "expects",
    "image_importance",
    "likely_drops",
    "metric_of",
    "sample_images",
    "successive_halving",
]
