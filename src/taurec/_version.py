"""The version of TauRec; the package metadata is made from this file."""

__version__ = "0.2.0"
