"""Helpers that know no layer: arguments, files, optional packages."""
