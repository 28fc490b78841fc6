"""Scans: files, geometry, preprocessing, quality, simulation; knows nothing of networks or tables."""
