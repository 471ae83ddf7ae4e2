"""The audit of robustness: accuracy as a function of noise in training."""

from typing import Literal

Kind = Literal["positives", "negatives", "negatives-held-out"]
