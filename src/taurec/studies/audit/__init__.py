"""Audits: what is wrong with a log, who a model serves badly, what its temperature does."""
