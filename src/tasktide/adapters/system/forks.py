"""What processes that a handler forks must not keep: locks and listening sockets live as long as any copy of them."""

import os
import weakref
from typing import Protocol


class _File(Protocol):
    def fileno(self) -> int: ...


_OURS: "weakref.WeakSet[_File]" = weakref.WeakSet()


def keep_from_children(file: _File) -> None:
    """Have forked children let go of an open file or socket at once."""
    _OURS.add(file)


def _let_go() -> None:
    # Another file is put into its place, since closing the number would hand it to whatever is opened next.
    nothing = os.open(os.devnull, os.O_RDWR)
    for file in list(_OURS):
        number = file.fileno()
        if number >= 0:
            os.dup2(nothing, number)
    os.close(nothing)


os.register_at_fork(after_in_child=_let_go)
