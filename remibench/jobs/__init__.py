"""The surroundings of a job: its script, its devices and resources, and its provenance."""
