"""Ways to make an extractor out of labelled data."""
