"""Command-line programs, one per task."""
