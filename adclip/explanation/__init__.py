"""Where an answer comes from: maps of the scan, words of the report, how far either can be trusted, and the page that tells."""
