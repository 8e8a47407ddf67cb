"""The text embedding that the fusion is to favour, as long as it is fresh."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from std_msgs.msg import Float32MultiArray

from ldfusion_models.errors import InputError
from ldfusion_models.graph.info import GraphInfo
from ldfusion_ros.messages.conversions import embedding_from_message
from ldfusion_ros.node.diagnostics import Health
from ldfusion_ros.node.inputs import Inputs, latched
from ldfusion_ros.node.lifecycle import ManagedNode, Part


@dataclass(frozen=True)
class Text:
    """A text embedding (D,), the encoder that made it, and when it came, in seconds of the monotonic clock."""

    embedding: npt.NDArray[np.float32]
    encoder: str
    arrived_s: float


class TextInput(Part):
    """Subscribes to text embeddings; refuses those of another encoder than the weights were trained for."""

    def __init__(self, node: ManagedNode[Any], graph: Callable[[], GraphInfo]) -> None:
        """``graph`` says what the engine in place needs."""
        self._node, self._graph = node, graph
        self._inputs = Inputs(node)
        self._text: Text | None = None

    def start(self) -> None:
        """Subscribe."""
        self._inputs.subscribe(Float32MultiArray, '~/text_embedding', self._on_text, latched())

    def stop(self) -> None:
        """Unsubscribe."""
        self._inputs.release()

    def embedding(self) -> npt.NDArray[np.float32] | None:
        """The text embedding for the next frame; None if there is none, or too old a one."""
        text, timeout = self._text, self._node.parameters.text_timeout
        if text is None or 0 < timeout < time.monotonic() - text.arrived_s:
            return None
        graph = self._graph()
        # The engine may have been exchanged for one with other weights since the text came.
        return text.embedding if (text.encoder, len(text.embedding)) == (graph.text_encoder, graph.text_dim) else None

    def report(self, health: Health) -> None:
        """Whether a text is applied, and how old it is."""
        text, timeout = self._text, self._node.parameters.text_timeout
        health.facts['text'] = 'applied' if self.embedding() is not None else 'expired' if text else 'none'
        if not health.is_active:
            return
        for problem in self._inputs.problems():
            health.warn(problem)
        age = time.monotonic() - text.arrived_s if text else 0.0
        if 0 < timeout < age:
            health.warn(f'text embedding is {age:.1f} s old, so fusing without; is guidance_node alive?')

    def _on_text(self, message: Float32MultiArray) -> None:
        try:
            graph = self._graph()
            embedding = embedding_from_message(message, graph)
        except InputError as error:
            self._node.statistics.drop('text_embedding')
            self._node.announcer.once('text_embedding', f'refused: {error}')
            return
        self._node.announcer.end('text_embedding')
        # One assignment: the worker takes it between two frames.
        self._text = Text(embedding, graph.text_encoder, time.monotonic()) if embedding.any() else None
