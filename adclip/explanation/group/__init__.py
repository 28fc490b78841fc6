"""What the maps of several scans have in common: mean maps, their table and a page without any single person."""
