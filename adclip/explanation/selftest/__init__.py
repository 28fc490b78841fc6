"""Whether maps of a model find what was planted: heads with a known loss, all methods, and what knows nothing."""
