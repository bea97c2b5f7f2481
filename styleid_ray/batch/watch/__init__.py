"""Displays of a run in progress: progress, logs, metrics."""
