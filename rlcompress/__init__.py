"""Learn how to prune and quantize every layer of a trained CNN for a given accelerator, without retraining."""

__version__ = "0.1.0"
