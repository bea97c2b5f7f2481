"""How the embedded demo model was made: its pictures, its parts, its training. Not installed."""
