"""What a config can name: datasets, models, attacks, methods, metrics, tables and figures."""
