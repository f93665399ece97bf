"""The web pages: files that were built from web/, and where they are not, a word on how to get them."""

import os
from http import HTTPStatus
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from tasktide.domain.errors import NotFound
from tasktide.interfaces.protocol import App, Receive, Scope, Send
from tasktide.interfaces.status import HttpError

HOME = "/app/"
GRAPHIQL = "graphiql"
# Their names change with their content.
_FOREVER = "public, max-age=31536000, immutable"
_MISSING = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Tasktide</title>
<body style="font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1rem">
<h1>Tasktide runs. Its web pages are not built.</h1>
<p>Install Node.js 20 or later and run <code>make web</code>; then load this page again.</p>
<p>The API is complete without them: <a href="/docs">explore it</a>, or ask at <code>/graphql</code>.</p>
"""


class _Files(StaticFiles):
    """A path that is no file is a page of the application, which finds out by itself which one."""

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        """The file of a path."""
        if path == GRAPHIQL:
            path = "graphiql.html"
        elif path == "." or "." not in path.rpartition("/")[2]:
            path = "index.html"
        return super().lookup_path(path)

    def file_response(self, full_path: Any, *given: Any, **more: Any) -> Response:
        """A file with how long it may be kept."""
        answer = super().file_response(full_path, *given, **more)
        answer.headers["cache-control"] = _FOREVER if "/assets/" in str(full_path) else "no-cache"
        return answer


class Pages:
    """An ASGI application for everything below `/app`."""

    def __init__(self, folder: Path | None = None) -> None:
        if folder is None:
            with as_file(files("tasktide") / "web") as found:
                folder = found
        self._folder = folder
        self._files: App | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await (await self._answer(scope))(scope, receive, send)

    async def _answer(self, scope: Scope) -> Any:
        if scope["method"] != "GET":
            raise HttpError(405, "Pages are read, with GET or HEAD.", {"allow": "GET, HEAD"})
        if not scope["path"].startswith(HOME):
            return RedirectResponse(HOME, headers={"cache-control": "no-cache"})
        if not (self._folder / "index.html").is_file():
            return HTMLResponse(_MISSING, status_code=404)
        if self._files is None:
            self._files = GZipMiddleware(_Found(_Files(directory=self._folder)))
        return self._files


class _Found:
    """Says in a word that a file is missing."""

    def __init__(self, app: StaticFiles) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        below = {**scope, "path": scope["path"].removeprefix(HOME.rstrip("/"))}
        try:
            await self._app(below, receive, send)
        except HTTPException as error:
            if error.status_code != HTTPStatus.NOT_FOUND:
                raise HttpError(error.status_code, error.detail) from None
            raise NotFound("There is no such file.") from None


def is_page(path: str) -> bool:
    """Whether a path is one of the web pages, not of the API."""
    return path in {"/", "/app"} or path.startswith(HOME)
