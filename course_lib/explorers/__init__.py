"""Widgets that compute in the browser: one small .py and one .js each."""
