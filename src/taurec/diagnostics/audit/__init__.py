"""The audit of a log: what in it looks wrong, how much of it, and whether leaving it out helps."""
