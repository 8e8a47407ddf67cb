"""What the commands of ``ldfusion`` may be given: a frozen dataclass each, in the module of the command's name.

Each is read by cyclopts: types are checked, docstrings of fields are the help. Nothing heavy is imported here, so that
``--help`` is quick.
"""
