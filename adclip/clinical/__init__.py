"""What is known of people: tables, dialects, norms, synthetic reports, which row is whose, who stands on which side. No voxels."""
