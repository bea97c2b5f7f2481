"""A diffusion model: its files, its parts in memory, and what it costs to run."""
