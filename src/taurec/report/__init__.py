"""Output for people: tables, pages and the progress of a run."""
