"""Evaluation: metrics as values, exact top-K lists over the whole catalogue, intervals and paired tests."""
