"""Networks: built-in architectures, their weights, and torch.fx tracing into layer specs."""
