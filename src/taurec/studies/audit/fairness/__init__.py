"""Who is served how well, and what gets shown."""
