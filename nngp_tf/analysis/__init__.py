"""Measures of how well a score predicts the truth."""
