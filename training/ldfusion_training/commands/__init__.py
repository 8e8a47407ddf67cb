"""The commands of ``ldfusion``: ``run_NAME`` takes what :mod:`ldfusion_training.options` says, returns the exit code.

A module is imported when its command runs.
"""
