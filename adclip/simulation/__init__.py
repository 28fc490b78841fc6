"""Heads with known truth: people, their anatomy, what a scanner makes of it, and the tables about them."""
