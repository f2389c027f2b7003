"""Resumable runs over many architectures."""
