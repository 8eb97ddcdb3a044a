"""Keras backends: operations, tracing and gradients, where each backend has its own way."""
