"""What is usual at an age: norms of volumes, centiles, the score of three structures."""
