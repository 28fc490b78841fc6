"""What else could explain the numbers of a model: plainer rivals, shuffled inputs, columns, quality, groups and repeated scans."""
