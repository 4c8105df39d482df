"""Bundled metrics, one file each; every module here is a plugin of its own."""
