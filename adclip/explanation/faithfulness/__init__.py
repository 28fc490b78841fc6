"""Whether a map can be believed: what the number does when marked patches go, and what becomes of the map when it should change or stay."""
