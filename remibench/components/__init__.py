"""Components of a config: datasets, models, attacks, methods, metrics, tables and figures."""
