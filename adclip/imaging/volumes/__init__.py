"""How large structures are: the segmenting networks, regions of the atlas, volumes of a scan."""
