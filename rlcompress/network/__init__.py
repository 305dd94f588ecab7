"""Networks: the built-in ones with their weights, and what is read out of any network.

Empty on purpose: `rlcompress.network.cards` must be importable without torch.
"""
