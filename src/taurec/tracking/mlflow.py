"""MLflow: a store of runs in a local folder."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from taurec.tracking.protocol import flat


class MlflowTracker:
    """Settings as parameters, the machine as tags, numbers as metrics by epoch.

    Args:
        folder: runs that are there stay. The store is the file ``mlflow.db`` in it where the whole of MLflow is
            installed, else a store of files, for which newer versions of MLflow ask that they be allowed by
            ``MLFLOW_ALLOW_FILE_STORE=true``; it is allowed while this tracker opens its own. Nothing is sent anywhere.
    """

    def __init__(self, folder: str):
        self.folder = Path(folder)
        self._client: Any = None
        self._run = ""

    @property
    def uri(self) -> str:
        """Of the store, for ``mlflow ui --backend-store-uri``."""
        folder = self.folder.resolve()
        whole = all(importlib.util.find_spec(name) for name in ("sqlalchemy", "alembic"))
        return f"sqlite:///{folder / 'mlflow.db'}" if whole else folder.as_uri()

    def start(self, run: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        from mlflow.tracking import MlflowClient

        self.folder.mkdir(parents=True, exist_ok=True)
        with _file_store_allowed():
            self._client = MlflowClient(tracking_uri=self.uri)
            found = self._client.get_experiment_by_name("taurec")
        experiment = found.experiment_id if found else self._client.create_experiment("taurec")
        tags = {name: str(value) for name, value in facts.items()}
        self._run = self._client.create_run(experiment, tags=tags).info.run_id
        for name, value in flat(run).items():
            self._client.log_param(self._run, name, str(value)[:500])

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._client.log_metric(self._run, _allowed(name), value, step=epoch)

    def end(self, summary: Mapping[str, float]) -> None:
        for name, value in summary.items():
            self._client.log_metric(self._run, f"summary/{_allowed(name)}", value)
        self._client.set_terminated(self._run)


@contextlib.contextmanager
def _file_store_allowed() -> Iterator[None]:
    """Within the block MLflow opens stores of files; the environment is as it was after it."""
    name = "MLFLOW_ALLOW_FILE_STORE"
    former = os.environ.get(name)
    os.environ[name] = former or "true"
    try:
        yield
    finally:
        if former is None:
            del os.environ[name]
        else:
            os.environ[name] = former


def _allowed(name: str) -> str:
    """A metric's name in the letters that MLflow accepts: ``ndcg@20`` becomes ``ndcg_at_20``."""
    return name.replace("@", "_at_")
