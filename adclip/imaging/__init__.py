"""Scans: formats, sources, steps, quality, volumes, derivatives and their records. Knows no table, and no network but small ones."""
