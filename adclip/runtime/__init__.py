"""Running work on this machine: processes, shares of a cohort, events, paths, locks. Knows nothing of brains, tables or networks."""
