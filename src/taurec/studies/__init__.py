"""Questions asked of a log with the library; each study returns a result that the faces show."""
