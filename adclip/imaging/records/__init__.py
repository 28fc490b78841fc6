"""What is kept of a scan as JSON: typed records, each with one reader and one writer."""
