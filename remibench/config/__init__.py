"""The configuration: typed, closed at every level, with one-line errors."""
