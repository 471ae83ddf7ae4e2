"""The audit of robustness: accuracy as a function of noise in training."""
