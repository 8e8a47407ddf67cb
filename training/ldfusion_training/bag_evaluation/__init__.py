"""Offline evaluation of recordings: every pair fused as ``fusion_node`` would, measured, and reported.

``settings`` says how, ``topics`` which messages, ``pairs`` reads them, ``fusing`` fuses, ``measures`` measures, ``run``
evaluates a recording, ``batch`` many, ``summary`` sums up, ``page`` shows it, ``compare`` sets two side by side.
"""
