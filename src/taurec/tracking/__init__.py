"""Following a training with other tools: one small protocol, and what stands behind it."""

from taurec.tracking.csv_file import CsvTracker
from taurec.tracking.following import follow
from taurec.tracking.protocol import Tracker
from taurec.tracking.together import Together, open_tracker

__all__ = ["CsvTracker", "Together", "Tracker", "follow", "open_tracker"]
