"""A thread for the slow work, so that receiving never waits for it."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar('T')


class LatestWorker(Generic[T]):
    """Works on the latest item in a thread of its own; an item that waits is replaced by a newer one.

    So work that is slower than the items come makes nothing wait and no delay grow.
    """

    def __init__(self, work: Callable[[T], None], on_error: Callable[[Exception], None]) -> None:
        """Take over the work; nothing is done before :meth:`start`.

        Args:
            work: called with each item, in the thread.
            on_error: called with what ``work`` raised, in the thread; the thread goes on.
        """
        self._work = work
        self._on_error = on_error
        self._item: T | None = None
        self._stopping = True
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Start the thread, which :meth:`stop` ends; it may be started again."""
        self._stopping, self._item = False, None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def submit(self, item: T) -> bool:
        """Hand in an item; returns whether it replaced one that no work was done on."""
        with self._changed:
            replaced = self._item is not None
            self._item = item
            self._changed.notify()
        return replaced

    def stop(self) -> None:
        """Finish the work in hand, forget the item that waits, and end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while (item := self._next()) is not None:
            try:
                self._work(item)
            except Exception as error:
                self._on_error(error)

    def _next(self) -> T | None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or self._item is not None)
            item, self._item = self._item, None
            return None if self._stopping else item
