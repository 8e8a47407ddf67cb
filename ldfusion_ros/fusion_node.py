"""The node that fuses every pair of visible and thermal images into a colour image, depth and a point cloud."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from std_srvs.srv import Trigger

from ldfusion_models.engines.selection import obstacle_to
from ldfusion_models.errors import InputError
from ldfusion_models.rig.rig import Rig
from ldfusion_ros.node.diagnostics import NOTHING_YET, Health
from ldfusion_ros.node.lifecycle import ManagedNode, Part, run
from ldfusion_ros.parts.engine import EngineSwitch, load_pipeline
from ldfusion_ros.parts.fusing import Fusing
from ldfusion_ros.parts.fusion_parameters import FusionParameters
from ldfusion_ros.parts.outputs import Outputs
from ldfusion_ros.parts.registration import Extrinsics
from ldfusion_ros.parts.text import TextInput


@dataclass(frozen=True)
class Configured:
    """What services need, while the node is configured."""

    fusing: Fusing
    switch: EngineSwitch


class FusionNode(ManagedNode[FusionParameters]):
    """Made of cameras, text, registration, engine and outputs, which :class:`Fusing` leads."""

    table = FusionParameters
    subject = 'fusion'

    def __init__(self, node_name: str = 'fusion_node', **kwargs: Any) -> None:
        """As :class:`ManagedNode`; the services are there at once."""
        self._configured: Configured | None = None
        super().__init__(node_name, **kwargs)
        self.create_service(Trigger, '~/save_snapshot', self._on_save_snapshot)
        self.create_service(Trigger, '~/switch_engine', self._on_switch_engine)

    def set_up(self) -> Sequence[Part]:
        """Load the networks, run them once, and advertise the outputs."""
        settings = self.parameters
        rig = Rig(load_pipeline(settings, (settings.warm_up_width, settings.warm_up_height)), settings)
        switch = EngineSwitch(self, rig)
        text = TextInput(self, lambda: rig.pipeline.engine.info)
        extrinsics, outputs = Extrinsics(self, rig), Outputs(self)
        fusing = Fusing(self, rig, outputs, text, extrinsics)
        self._configured = Configured(fusing, switch)
        # What is wrong is told in this order.
        return switch, fusing.cameras, fusing.ranges, fusing.slow_depth, text, outputs, fusing, extrinsics, fusing.drift

    def _release(self) -> None:
        self._configured = None
        super()._release()

    def obstacle_to(self, name: str, value: Any) -> str:
        """Why an engine, or a published depth network, can't be had here."""
        if name not in ('engine', 'depth', 'depth_source', 'text_encoder'):
            return ''
        wanted = replace(self.parameters, **{name: value})
        try:
            return obstacle_to(wanted.engine, wanted.weights_folder)
        except InputError as error:
            return str(error)

    def _on_save_snapshot(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        def save(configured: Configured) -> str:
            health = Health(NOTHING_YET, is_active=False)
            for part in self.parts:
                part.report(health)
            return str(configured.fusing.save_snapshot(health.facts))

        return self._answer(response, save)

    def _on_switch_engine(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Load what the parameters ask for in the background; the engine in place serves until the new one is warm."""

        def switch(configured: Configured) -> str:
            status = configured.switch.begin(configured.fusing.image_size)
            return f'{status} in the background; diagnostics say when it has taken over'

        return self._answer(response, switch)

    def _answer(self, response: Trigger.Response, work: Callable[[Configured], str]) -> Trigger.Response:
        """What ``work`` says, or why it can't be done."""
        try:
            if self._configured is None:
                raise InputError('the node is not configured; configure loads the engine that the parameters ask for')
            response.message = work(self._configured)
            response.success = True
        except InputError as error:
            response.message = str(error)
        return response


def main() -> int:
    """Run the node."""
    return run(FusionNode)


if __name__ == '__main__':
    sys.exit(main())
