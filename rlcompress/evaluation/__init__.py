"""What a compressed network still gets right."""

from rlcompress.evaluation.evaluator import Evaluator, Score

__all__ = ["Evaluator", "Score"]
