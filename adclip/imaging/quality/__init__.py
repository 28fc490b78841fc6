"""Whether an image can be trusted: measurements, thresholds, what kind of image it is, the verdict."""
