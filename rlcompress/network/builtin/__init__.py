"""The built-in networks, one architecture family a module; `rlcompress.network.cards` lists them by name."""
