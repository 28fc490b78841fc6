"""From a prepared scan and a row to an answer, and why: scoring, predictor, baselines, attribution. Knows nothing of training."""
