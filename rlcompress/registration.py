"""Registration of the environment, on its own so that Gymnasium's plug-in loader imports nothing heavy."""

ENV_ID = "rlcompress/Compression-v0"


def register() -> None:
    """Register ``rlcompress/Compression-v0`` with Gymnasium."""
    import gymnasium  # Gymnasium itself calls this while it is being imported

    gymnasium.register(id=ENV_ID, entry_point="rlcompress.envs.compression_env:CompressionEnv")
