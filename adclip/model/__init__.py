"""The vision-language model: two towers, prompts, scores, and its files. Knows no NIfTI and no table."""
