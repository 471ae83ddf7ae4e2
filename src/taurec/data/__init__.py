"""Interaction logs: reading, checking, splitting, the named data sets and planted logs with known answers."""

from taurec.data.datasets import DATASETS, Dataset
from taurec.data.interactions import Interactions
from taurec.data.noise import add_false_positives, hold_out_false_negatives
from taurec.data.planted import Planted
from taurec.data.readers import read_interactions, read_log, read_split
from taurec.data.split import Split, data_hash, split_given
from taurec.data.vocabulary import Vocabulary

__all__ = [
    "DATASETS",
    "Dataset",
    "Interactions",
    "Planted",
    "Split",
    "Vocabulary",
    "add_false_positives",
    "data_hash",
    "hold_out_false_negatives",
    "read_interactions",
    "read_log",
    "read_split",
    "split_given",
]
