"""A small log for parts written by an outsider."""

from __future__ import annotations

import pytest

import taurec


@pytest.fixture(scope="session")
def log() -> taurec.Interactions:
    """A log of 60 users and 40 items in two blocks of taste."""
    return taurec.planted(n_users=60, n_items=40, seed=1).log
