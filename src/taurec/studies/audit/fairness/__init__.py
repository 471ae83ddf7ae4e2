"""Fairness: accuracy by group of users, and exposure of items."""
