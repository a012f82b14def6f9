"""Where this user keeps what can be made again."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """``$MOEDSR_CACHE``, else ``~/.cache/moedsr``."""
    return Path(os.environ.get("MOEDSR_CACHE") or Path.home() / ".cache" / "moedsr")
