"""``python -m rlcompress``."""

from rlcompress.cli import main

if __name__ == "__main__":
    main()
