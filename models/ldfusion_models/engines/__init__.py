"""Engines: one interface, several runtimes for the same frame graph."""

from ldfusion_models.engines.base import PRECISIONS, Engine, EngineFailedError, FrameOutput
from ldfusion_models.engines.selection import ENGINES, create_engine

__all__ = ['ENGINES', 'PRECISIONS', 'Engine', 'EngineFailedError', 'FrameOutput', 'create_engine']
