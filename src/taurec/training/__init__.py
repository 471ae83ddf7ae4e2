"""Training: the one place where data, backbones, losses, negatives and evaluation meet."""
