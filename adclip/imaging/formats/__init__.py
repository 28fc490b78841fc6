"""File formats, one a module: what the header says, which matrix is believed, where the voxels lie."""
