"""What people read: tables and the progress of a run. It knows records, not how they were made."""
