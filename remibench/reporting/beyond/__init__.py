"""Tables and figures that the paper has not: every method against retraining."""
