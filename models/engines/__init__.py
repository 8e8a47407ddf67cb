"""Engines: one interface, several runtimes for the same frame graph."""

from ldfusion_models.engines.base import Engine, FrameOutput, GraphInfo, create_engine

__all__ = ['Engine', 'FrameOutput', 'GraphInfo', 'create_engine']
