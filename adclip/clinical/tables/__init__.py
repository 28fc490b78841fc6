"""Tables of people: files to cells, cells to canonical values, several tables to visits."""
