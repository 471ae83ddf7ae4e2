"""What an outsider's test needs: a small world, and a registry line that lasts for one test."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import taurec
from taurec.losses import LOSSES, Loss


@pytest.fixture
def add_loss(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, type[Loss]], None]:
    """Registers a loss under a name until the test ends."""

    def add(name: str, loss: type[Loss]) -> None:
        monkeypatch.setitem(LOSSES._entries, name, loss)

    return add


@pytest.fixture(scope="session")
def log() -> taurec.Interactions:
    """A log of 60 users and 40 items in two blocks of taste."""
    return taurec.planted(n_users=60, n_items=40, seed=1).log
