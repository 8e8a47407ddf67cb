"""What every node of this package shares: managed, self-starting, and quiet on Ctrl-C."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
from lifecycle_msgs.msg import State
from rclpy.clock import Clock, ClockType  # type: ignore[attr-defined]  # where all distributions have it
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.timer import Timer

from ldfusion_models.errors import InputError
from ldfusion_ros.node.programs import start_ros

SUCCESS = TransitionCallbackReturn.SUCCESS
LABELS = {
    State.PRIMARY_STATE_UNCONFIGURED: 'unconfigured',
    State.PRIMARY_STATE_INACTIVE: 'inactive',
    State.PRIMARY_STATE_ACTIVE: 'active',
    State.PRIMARY_STATE_FINALIZED: 'finalized',
}
# How soon a signal is noticed while nothing arrives.
STOP_SECONDS = 0.2


class ManagedNode(LifecycleNode):
    """A lifecycle node whose subclass says what to do in four steps; failures are logged and end in a clean state.

    ``set_up`` and ``tear_down`` belong to configure and cleanup, ``start`` and ``stop`` to activate and deactivate.
    ``stop`` and ``tear_down`` must also work after a ``start`` or ``set_up`` that failed half way.

    Attributes:
        state: the lifecycle state that was reached last, a value of ``lifecycle_msgs/State``.
    """

    def __init__(self, node_name: str, **kwargs: Any) -> None:
        """Make an unconfigured node; ``kwargs`` are rclpy's."""
        super().__init__(node_name, automatically_declare_parameters_from_overrides=True, **kwargs)
        self.state = State.PRIMARY_STATE_UNCONFIGURED

    def set_up(self) -> None:
        """Load and create what is needed while configured."""

    def start(self) -> None:
        """Begin to work."""

    def stop(self) -> None:
        """End the work and release what ``start`` took."""

    def tear_down(self) -> None:
        """Release what ``set_up`` took."""

    def problem(self, words: str) -> None:
        """Called with why a transition failed; empty once one has succeeded."""

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load, warm up and advertise; a failure leaves the node unconfigured."""
        return self._enter('configure', self.set_up, self.tear_down, State.PRIMARY_STATE_INACTIVE)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start; a failure leaves the node inactive."""
        return self._enter('activate', self.start, self.stop, State.PRIMARY_STATE_ACTIVE)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and unsubscribe."""
        return self._leave('deactivate', [self.stop], State.PRIMARY_STATE_INACTIVE)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release memory and publishers."""
        return self._leave('clean up', [self.tear_down], State.PRIMARY_STATE_UNCONFIGURED)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything."""
        return self._leave('shut down', [self.stop, self.tear_down], State.PRIMARY_STATE_FINALIZED)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release what can be released; the node can be configured again."""
        self._leave('recover', [self.stop, self.tear_down], State.PRIMARY_STATE_UNCONFIGURED)
        self.state = State.PRIMARY_STATE_UNCONFIGURED
        return SUCCESS

    def start_by_itself(self) -> None:
        """Configure and activate, as a lifecycle manager would, as soon as the node is spun."""
        self._autostart = self.create_steady_timer(0.0, self._bring_up_once)

    def create_steady_timer(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """A timer that also runs while simulated time stands still."""
        return self.create_timer(seconds, callback, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def bring_up(self) -> None:
        """Configure and activate, if nobody else has begun to."""
        if self.state == State.PRIMARY_STATE_UNCONFIGURED and self.trigger_configure() == SUCCESS:
            self.trigger_activate()

    def restart(self) -> None:
        """Go down to unconfigured and up again, to recover from work that keeps failing."""
        self.trigger_deactivate()
        self.trigger_cleanup()
        self.bring_up()

    @property
    def is_configured(self) -> bool:
        """Whether the node is inactive or active."""
        return self.state in (State.PRIMARY_STATE_INACTIVE, State.PRIMARY_STATE_ACTIVE)

    def destroy_node(self) -> None:
        """Stop the work before its publishers go."""
        self.stop()
        self.tear_down()
        super().destroy_node()

    def _bring_up_once(self) -> None:
        self.destroy_timer(self._autostart)
        self.bring_up()

    def _enter(
        self, name: str, step: Callable[[], None], undo: Callable[[], None], state: int
    ) -> TransitionCallbackReturn:
        try:
            step()
        except Exception as error:
            self._complain(name, error)
            undo()
            return TransitionCallbackReturn.FAILURE
        self.problem('')
        self.state = state
        return SUCCESS

    def _leave(self, name: str, steps: Sequence[Callable[[], None]], state: int) -> TransitionCallbackReturn:
        """Take all steps, whatever becomes of each; one that fails leads to ErrorProcessing."""
        result = SUCCESS
        for step in steps:
            try:
                step()
            except Exception as error:
                self._complain(name, error)
                result = TransitionCallbackReturn.ERROR
        if result == SUCCESS:
            self.state = state
        return result

    def _complain(self, name: str, error: Exception) -> None:
        words = str(error) if isinstance(error, InputError) else f'{type(error).__name__}: {error}'
        self.get_logger().error(f'cannot {name}: {words}')
        self.problem(f'cannot {name}: {words}')


def run(node_class: Callable[[], ManagedNode]) -> int:
    """Spin one node until Ctrl-C or SIGTERM; returns the exit code: 0, or 2 where its parameters are wrong."""
    stopped = start_ros()
    try:
        node = node_class()
    except InputError as error:
        print(f'{node_class.__name__}: {error}', file=sys.stderr)
        rclpy.shutdown()
        return 2
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    while not stopped.is_set():
        executor.spin_once(timeout_sec=STOP_SECONDS)
    node.destroy_node()
    rclpy.shutdown()
    return 0
