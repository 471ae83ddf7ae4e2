"""How accuracy falls as noise is put into training."""

from typing import Literal

Kind = Literal["positives", "negatives", "negatives-held-out"]
