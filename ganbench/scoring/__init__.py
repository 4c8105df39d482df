"""Scoring: a sample source, one pass through an extractor, pure metric functions, and the protocol of each score."""
