"""What preprocessing leaves on disk: names, files, whether they still hold, status table, pages."""
