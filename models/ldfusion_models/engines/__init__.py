"""Engines: one interface, several runtimes for the same frame graph."""

from ldfusion_models.engines.base import Engine, EngineFailedError, FrameOutput
from ldfusion_models.engines.selection import create_engine

__all__ = ['Engine', 'EngineFailedError', 'FrameOutput', 'create_engine']
