"""Trackers: one small protocol, and its implementations for CSV files, TensorBoard, MLflow and W&B."""

from taurec.tracking.csv_file import CsvTracker
from taurec.tracking.following import follow
from taurec.tracking.protocol import Tracker
from taurec.tracking.together import Together, open_tracker

__all__ = ["CsvTracker", "Together", "Tracker", "follow", "open_tracker"]
