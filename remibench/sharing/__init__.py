"""Results trees that travel: one archive with checksums, and two trees side by side."""
