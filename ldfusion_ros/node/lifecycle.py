"""What every node of this package shares: managed, self-starting, and quiet on Ctrl-C."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import State
from rcl_interfaces.msg import SetParametersResult
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter

from ldfusion_models.errors import InputError
from ldfusion_models.published.profiles import with_profile
from ldfusion_models.rig.settings import meanings
from ldfusion_models.shown import one_line
from ldfusion_ros.node import parameters
from ldfusion_ros.node.calibrations import Calibrations
from ldfusion_ros.node.diagnostics import Announcer, Health, Statistics
from ldfusion_ros.node.programs import start_ros, steady_timer

SUCCESS = TransitionCallbackReturn.SUCCESS
LABELS = {
    State.PRIMARY_STATE_UNCONFIGURED: 'unconfigured',
    State.PRIMARY_STATE_INACTIVE: 'inactive',
    State.PRIMARY_STATE_ACTIVE: 'active',
    State.PRIMARY_STATE_FINALIZED: 'finalized',
}


P = TypeVar('P', bound=parameters.CommonParameters)
# How soon a signal is noticed while nothing arrives.
STOP_SECONDS = 0.2


class Part:
    """A part of a node: it exists while the node is configured, works while it is active, and says how it is.

    ``stop`` and ``release`` must also work after a ``start`` that failed half way.
    """

    def start(self) -> None:
        """Begin to work."""

    def stop(self) -> None:
        """End the work and release what ``start`` took."""

    def release(self) -> None:
        """Release all else."""

    def adjust(self) -> None:
        """Parameters of the node have changed."""

    def report(self, health: Health) -> None:
        """Say what is wrong, and facts."""


class ManagedNode(LifecycleNode, ABC, Generic[P]):
    """A lifecycle node that is made of parts; owns parameters, statistics, log, calibrations and diagnostics.

    A subclass says what it is made of in ``set_up``; failures are logged and end in a clean state.

    Attributes:
        table: the dataclass of its parameters.
        subject: what it does, for its name in the diagnostics.
        state: the lifecycle state that was reached last, a value of ``lifecycle_msgs/State``.
        given: their present values.
        parameters: the same, and those of the profile that they name.
        parts: what it is made of while configured.
    """

    table: type[P]
    subject: str

    def __init__(self, node_name: str, **kwargs: Any) -> None:
        """Make an unconfigured node; ``kwargs`` are rclpy's. Nothing is loaded before it is configured.

        Raises:
            InputError: a parameter that does not exist, or a value that can't be.
        """
        super().__init__(node_name, automatically_declare_parameters_from_overrides=True, **kwargs)
        self.state = State.PRIMARY_STATE_UNCONFIGURED
        self.statistics = Statistics()
        self.announcer = Announcer(lambda text: self.get_logger().warning(one_line(text)))
        self.calibrations = Calibrations(self.announcer)
        self.parts: Sequence[Part] = ()
        self._failed_transition = ''
        self._given_qualities = parameters.declare(self, self.table)
        self.given: P = parameters.read(self, self.table)
        self.parameters = with_profile(self.given)
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        steady_timer(self, self.parameters.diagnostics_period, self._publish_diagnostics)
        self.add_on_set_parameters_callback(self._change_parameters)
        if self.parameters.autostart:
            self.start_by_itself()

    @abstractmethod
    def set_up(self) -> Sequence[Part]:
        """Load and make what the node is made of, in the order in which its parts start and report."""

    def obstacle_to(self, name: str, value: Any) -> str:
        """Why a parameter can't have a value here, beyond what its table says; empty if it can."""
        return ''

    def drop(self, cause: str, error: InputError) -> None:
        """Count something that can't be used, and say so now and then."""
        self.statistics.drop(cause)
        self.announcer.now_and_then(cause, f'dropped: {error}')

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load, warm up and advertise; a failure leaves the node unconfigured."""
        return self._enter('configure', self._set_up, self._release, State.PRIMARY_STATE_INACTIVE)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start; a failure leaves the node inactive."""
        return self._enter('activate', self._start, self._stop, State.PRIMARY_STATE_ACTIVE)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and unsubscribe."""
        return self._leave('deactivate', [self._stop], State.PRIMARY_STATE_INACTIVE)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release memory and publishers."""
        return self._leave('clean up', [self._release], State.PRIMARY_STATE_UNCONFIGURED)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything."""
        return self._leave('shut down', [self._stop, self._release], State.PRIMARY_STATE_FINALIZED)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release what can be released; the node can be configured again."""
        self._leave('recover', [self._stop, self._release], State.PRIMARY_STATE_UNCONFIGURED)
        self.state = State.PRIMARY_STATE_UNCONFIGURED
        return SUCCESS

    def _LifecycleNodeMixin__change_state(self, transition_id: int) -> TransitionCallbackReturn:  # noqa: N802
        """Refuse a transition that the present state does not have, in words, once.

        All requests come through this method of rclpy, which has no public name. Jazzy's raises for such a transition
        in the executor's thread, which ends the node; Kilted's logs an error each time.
        """
        possible = {number: label for number, label, *_ in self._state_machine.available_transitions}
        if transition_id in possible:
            return super()._LifecycleNodeMixin__change_state(transition_id)  # type: ignore[misc, no-any-return]
        label = self._state_machine.current_state[1]
        self.announcer.once(
            f'transition {transition_id} of {label}',
            f'transition {transition_id} refused: the node is {label}; '
            f'possible is {", ".join(f"{number} ({name})" for number, name in possible.items()) or "nothing more"}',
        )
        return TransitionCallbackReturn.FAILURE

    def start_by_itself(self) -> None:
        """Configure and activate, as a lifecycle manager would, as soon as the node is spun."""
        self._autostart = steady_timer(self, 0.0, self._bring_up_once)

    def bring_up(self) -> None:
        """Configure and activate, if nobody else has begun to."""
        if self.state == State.PRIMARY_STATE_UNCONFIGURED and self.trigger_configure() == SUCCESS:
            self.trigger_activate()

    def restart(self) -> None:
        """Go down to unconfigured and up again, to recover from work that keeps failing, unless it has ended."""
        if self.state == State.PRIMARY_STATE_ACTIVE:
            self.trigger_deactivate()
            self.trigger_cleanup()
            self.bring_up()

    @property
    def is_configured(self) -> bool:
        """Whether the node is inactive or active."""
        return self.state in (State.PRIMARY_STATE_INACTIVE, State.PRIMARY_STATE_ACTIVE)

    def destroy_node(self) -> None:
        """Stop the work before its publishers go."""
        self._stop()
        self._release()
        super().destroy_node()

    def _set_up(self) -> None:
        """Make the parts; where one can't be made, what has been opened for the others is closed again."""
        publishers, subscriptions, guards = (set(each) for each in (self.publishers, self.subscriptions, self.guards))
        try:
            self.parts = self.set_up()
        except Exception:
            for publisher in set(self.publishers) - publishers:
                self.destroy_publisher(publisher)
            for subscription in set(self.subscriptions) - subscriptions:
                self.destroy_subscription(subscription)
            for guard in set(self.guards) - guards:
                self.destroy_guard_condition(guard)
            raise

    def _start(self) -> None:
        for part in self.parts:
            part.start()

    def _stop(self) -> None:
        for part in reversed(self.parts):
            part.stop()

    def _release(self) -> None:
        for part in reversed(self.parts):
            part.release()
        self.parts = ()

    def _change_parameters(self, changes: 'Sequence[Parameter[Any]]') -> SetParametersResult:
        result = parameters.check_change(self.table, changes, self.is_configured)
        for change in changes:
            if result.successful and (obstacle := self.obstacle_to(change.name, change.value)):
                return SetParametersResult(successful=False, reason=obstacle)
        if result.successful:
            new = {change.name: change.value for change in changes if change.name in meanings(self.table)}
            try:
                given = replace(self.given, **new)
                self.parameters = with_profile(given)
            except InputError as error:
                return SetParametersResult(successful=False, reason=str(error))
            self.given = given
            for part in self.parts:
                part.adjust()
        return result

    def _publish_diagnostics(self) -> None:
        health = Health(self.statistics.report(), self.state == State.PRIMARY_STATE_ACTIVE)
        health.facts['state'] = LABELS[self.state]
        if self._failed_transition:
            health.error(self._failed_transition)
        if health.is_active:
            for name in self._given_qualities:
                if not self.has_parameter(name):
                    health.warn(f'parameter {name!r} fits no topic of this node')
        for part in self.parts:
            part.report(health)
        message = DiagnosticArray(status=[health.as_status(f'{self.get_fully_qualified_name()}: {self.subject}')])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)

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
        self._failed_transition = ''
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
        reason = str(error) if isinstance(error, InputError) else f'{type(error).__name__}: {error}'
        self._failed_transition = one_line(f'cannot {name}: {reason}')
        self.get_logger().error(self._failed_transition)


def run(node_class: Callable[[], ManagedNode[Any]]) -> int:
    """Spin one node until Ctrl-C or SIGTERM; returns the exit code: 0, or 2 where its arguments are wrong."""
    try:
        stopped = start_ros()
        node = node_class()
    except InputError as error:
        print(f'{node_class.__name__}: {error}', file=sys.stderr)
        rclpy.try_shutdown()
        return 2
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    while not stopped.is_set():
        executor.spin_once(timeout_sec=STOP_SECONDS)
    node.destroy_node()
    rclpy.shutdown()
    return 0
