"""Tasktide: tasks for people, jobs for programs, and notifications about both, on one durable event log."""

from tasktide.domain.handlers import Context, handler

__version__ = "0.1.0"
__all__ = ["Context", "__version__", "handler"]
