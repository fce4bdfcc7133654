"""Files of a results tree: where they lie, and how they are read and written."""
