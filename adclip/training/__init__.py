"""Prompt tuning: cohort in memory, objective, loop, calibration."""
