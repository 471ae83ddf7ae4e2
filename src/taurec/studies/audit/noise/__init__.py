"""How accuracy falls as noise is put into training."""
