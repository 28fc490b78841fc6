"""Prompt tuning: who takes part, objective, loop, resume, leak certificate. Not how a score comes about or how good it is."""
