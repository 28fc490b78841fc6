"""From the scans of a run and their rows to answers, and why: scoring, predictor, baselines, attribution. Knows nothing of training."""
