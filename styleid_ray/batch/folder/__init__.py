"""The files of a run: its record, its status, its failures, and reading all of it back."""
