"""How good answers are: calibration, metrics with intervals, pictures of them. Trains nothing."""
