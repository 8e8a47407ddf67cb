"""Engines: one interface, several runtimes for the same frame graph."""

from ldfusion_models.engines.base import ENGINES, Engine, FrameOutput, GraphInfo, create_engine

__all__ = ['ENGINES', 'Engine', 'FrameOutput', 'GraphInfo', 'create_engine']
