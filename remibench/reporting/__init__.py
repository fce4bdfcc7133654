"""Tables and figures, one module each, made from the gathered CSV files alone.

Those of the paper are in :mod:`~remibench.reporting.paper`, those that it has not in
:mod:`~remibench.reporting.beyond`, pages about a run in :mod:`~remibench.reporting.run`. A module
describes itself to the workflow (:func:`remibench.components.products.products`).
"""
