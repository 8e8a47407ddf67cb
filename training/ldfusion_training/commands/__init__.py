"""The commands of ``ldfusion``, one module each: a dataclass of options, and ``run``, which returns the exit code.

A module is imported when its command is called; heavy imports (torch, simulation) still belong into functions, so that
``--help`` is quick.
"""
