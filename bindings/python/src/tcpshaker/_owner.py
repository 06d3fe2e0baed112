"""What the checker and the monitor have in common: each owns what close() gives back, in the process that made it."""

from __future__ import annotations

import os
import sys
import warnings
from types import TracebackType
from typing import Any, Generic, Optional, Type, TypeVar

from ._completion import refuse
from ._result import Status

Owned = TypeVar("Owned")
Self = TypeVar("Self", bound="Owner[Any]")


class Owner(Generic[Owned]):
    # As errors name it.
    _name: str
    # Nothing before it is made, and after close().
    _owned: Optional[Owned] = None

    def __init__(self) -> None:
        self._pid = os.getpid()

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self: Self) -> Self:
        self._open()
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # At the end of the process nothing needs to be closed, and in a forked child it is not the child's to close.
        if self._owned is not None and not sys.is_finalizing() and self._pid == os.getpid():
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)

    def _if_open(self) -> Optional[Owned]:
        # Asked before any lock: a child's copy of one may be held for ever.
        if self._pid != os.getpid():
            refuse(Status.ERR_FORKED, self._name)
        return self._owned

    def _open(self) -> Owned:
        owned = self._if_open()
        if owned is None:
            raise RuntimeError(f"the {self._name} is closed")
        return owned
