"""Where scans come from: files and folders to scans, lists of scans, bytes to a volume. No step of preprocessing."""
