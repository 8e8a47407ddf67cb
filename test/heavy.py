"""Packages that take seconds to load: every process of pytest reads every file of tests, and runs few of them."""

import importlib.util
from typing import Any

import pytest


class WhenUsed:
    """A package, loaded with the first use of one of its names; a file of tests is skipped where it is missing."""

    def __init__(self, package: str) -> None:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f'needs {package}', allow_module_level=True)
        self._package = package

    def __getattr__(self, name: str) -> Any:
        if name.startswith('_'):
            # pytest looks into whatever a file has, for _mock_name and __wrapped__.
            raise AttributeError(name)
        return getattr(importlib.import_module(self._package), name)
