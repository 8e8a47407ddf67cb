"""The node that says in words what the cameras see, now and then, and sends fusion_node the embedding of it."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

from ldfusion_ros.node.lifecycle import ManagedNode, Part, run
from ldfusion_ros.parts.cameras import Cameras
from ldfusion_ros.parts.describing import Describing
from ldfusion_ros.parts.guidance_parameters import GuidanceParameters
from ldfusion_ros.parts.language import Language, load_language


class GuidanceNode(ManagedNode[GuidanceParameters]):
    """Made of both cameras and :class:`Describing`, which leads."""

    table = GuidanceParameters
    subject = 'guidance'

    def __init__(
        self,
        node_name: str = 'guidance_node',
        load: Callable[[GuidanceParameters], Language] = load_language,
        **kwargs: Any,
    ) -> None:
        """As :class:`ManagedNode`; ``load`` brings the language."""
        self._load = load
        super().__init__(node_name, **kwargs)

    def set_up(self) -> Sequence[Part]:
        """Load the networks and advertise the outputs; without captioner, nothing needs the cameras."""
        language = self._load(self.parameters)
        describing = Describing(self, language)
        return (describing, Cameras(self, describing.offer)) if language.captioner else (describing,)


def main() -> int:
    """Run the node."""
    return run(GuidanceNode)


if __name__ == '__main__':
    sys.exit(main())
