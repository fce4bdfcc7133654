"""Tables and figures, one module each, made from the gathered CSV files alone."""
