"""Which row belongs to which scan, and who stands on which side of a split."""
