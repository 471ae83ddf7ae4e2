"""What in a log looks wrong, and how much of it."""
