"""Analysis of gathered results: gaps, verdicts, comparisons with the paper; each computed once."""
