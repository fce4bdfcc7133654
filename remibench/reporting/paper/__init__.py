"""The paper's tables and figures, from this run's results, beside the published numbers."""
