"""What is known of people: tables, synthetic reports, splits, and the metadata baseline."""
