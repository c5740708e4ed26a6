"""Image files for a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def save(file: Path, values: Any) -> None:
    """Numbers from 0 to 255, (H, W) or (H, W, 3), as an image, in a folder that need not exist."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(values, dtype=np.uint8)).save(file)
