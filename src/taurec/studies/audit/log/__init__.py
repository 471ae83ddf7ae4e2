"""The audit of a log: suspicious rows, users and ids, and the share of random rows."""
