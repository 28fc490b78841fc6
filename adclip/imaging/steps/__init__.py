"""The steps from a raw volume to the model grid, one a file, and the templates they need. Nothing about files or verdicts."""
