"""Simulated RGB-thermal-depth scenes with exact depth, labels and text."""
