"""The Docker Engine API on a Unix socket, as much of it as runs ECS tasks, with containers that are plain processes.

`python -m media_assets.local.containers.server FOLDER SOCKET`. The emulator's Docker client and the `docker` command
understand it: create, start, stop, kill, wait, inspect, list, logs, remove. There are no images: any name is accepted and
nothing is read from it, so a container needs a command, which is looked up on the PATH of this project's environment.
There is no isolation: a container shares the network, the files and the user of whoever started the server.

https://docs.docker.com/reference/api/engine/version/v1.45/
"""

from __future__ import annotations

import json
import platform
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from socket import socket

import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from media_assets.local.containers.container import CannotStartError, Container
from media_assets.local.containers.engine import ContainerRequest, Engine, RefusedError
from media_assets.local.containers.output import STDERR, STDOUT
from media_assets.local.containers.record import inspected, listed

API_VERSION = "1.45"
_USUAL_GRACE_SECONDS = 10
"""Docker's, for who names none."""
_SHUTDOWN_GRACE_SECONDS = 2
_KEEP_ALIVE_SECONDS = 3600
"""Of an idle connection; a client that sends a StopTask's request into one that is just being closed doesn't try again."""
_NO_CONTENT, _NOT_MODIFIED = 204, 304


class Api:
    """The requests; Docker's statuses and JSON."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def application(self) -> Starlette:
        container = "/containers/{container}"
        routes = [
            Route("/_ping", self.ping),
            Route("/version", self.version),
            Route("/containers/json", self.list),
            Route("/containers/create", self.create, methods=["POST"]),
            Route(f"{container}/json", self.inspect),
            Route(f"{container}/logs", self.logs),
            Route(f"{container}/start", self.start, methods=["POST"]),
            Route(f"{container}/stop", self.stop, methods=["POST"]),
            Route(f"{container}/kill", self.kill, methods=["POST"]),
            Route(f"{container}/wait", self.wait, methods=["POST"]),
            Route(container, self.remove, methods=["DELETE"]),
        ]
        # Clients put a version before the path, and ask without one which version that should be.
        return Starlette(routes=[*routes, Mount("/v{api}", routes=routes)], exception_handlers={RefusedError: _refused})

    async def ping(self, request: Request) -> Response:
        return PlainTextResponse("OK", headers={"API-Version": API_VERSION, "OSType": platform.system().lower()})

    async def version(self, request: Request) -> Response:
        system = {"Os": platform.system().lower(), "Arch": platform.machine()}
        return JSONResponse({"Version": "processes", "ApiVersion": API_VERSION, "MinAPIVersion": "1.24", **system})

    async def list(self, request: Request) -> Response:
        filters = json.loads(request.query_params.get("filters", "{}"))
        if unknown := filters.keys() - {"label"}:
            raise RefusedError(400, f"invalid filter {sorted(unknown)}: only label is known")
        labels = filters.get("label", [])  # a list, or the keys of an object
        found = self._engine.listed(all=_flag(request, "all"), labels=[*labels])
        return JSONResponse([listed(container.record) for container in found])

    async def create(self, request: Request) -> Response:
        try:
            asked = ContainerRequest.model_validate_json(await request.body())
        except ValidationError as error:
            raise RefusedError(400, str(error)) from error
        container = await self._engine.create(request.query_params.get("name", ""), asked)
        return JSONResponse({"Id": container.record.id, "Warnings": []}, status_code=201)

    async def inspect(self, request: Request) -> Response:
        return JSONResponse(inspected(self._container(request).record))

    async def start(self, request: Request) -> Response:
        container = self._container(request)
        if container.record.status != "created":
            return Response(status_code=_NOT_MODIFIED)
        try:
            await container.start()
        except CannotStartError as error:
            # Docker would keep it. The emulator forgets it, and tries the same name again if the task has a platform.
            self._engine.remove(container)
            raise RefusedError(400, str(error)) from error
        return Response(status_code=_NO_CONTENT)

    async def stop(self, request: Request) -> Response:
        container = self._container(request)
        if not container.is_running:
            return Response(status_code=_NOT_MODIFIED)
        # The emulator asks for 5 s whatever the task definition says, which goes first.
        grace = container.record.stop_seconds
        await container.stop(float(request.query_params.get("t", _USUAL_GRACE_SECONDS)) if grace is None else grace)
        return Response(status_code=_NO_CONTENT)

    async def kill(self, request: Request) -> Response:
        container = self._container(request)
        if not container.is_running:
            raise RefusedError(409, f"Container {container.record.id} is not running")
        container.signal(_signal_number(request.query_params.get("signal", "SIGKILL")))
        return Response(status_code=_NO_CONTENT)

    async def wait(self, request: Request) -> Response:
        return JSONResponse({"StatusCode": await self._container(request).wait()})

    async def logs(self, request: Request) -> Response:
        container = self._container(request)
        streams = {number for name, number in (("stdout", STDOUT), ("stderr", STDERR)) if _flag(request, name)}
        timestamps, follow = _flag(request, "timestamps"), _flag(request, "follow")
        tail = request.query_params.get("tail", "all")
        lines = container.output.lines(follow=follow, tail=int(tail) if tail.isdecimal() else None)

        async def frames() -> AsyncIterator[bytes]:
            async for line in lines:
                if line.stream in streams:
                    yield line.frame(timestamps=timestamps)

        return StreamingResponse(frames(), media_type="application/vnd.docker.multiplexed-stream")

    async def remove(self, request: Request) -> Response:
        container = self._container(request)
        if container.is_running:
            if not _flag(request, "force"):
                raise RefusedError(409, f"container {container.record.id} is running: stop it first, or force the removal")
            container.signal(signal.SIGKILL)
            await container.wait()
        self._engine.remove(container)
        return Response(status_code=_NO_CONTENT)

    def _container(self, request: Request) -> Container:
        return self._engine.find(request.path_params["container"])


class Server(uvicorn.Server):
    """Ends its containers before its connections, some of which last as long as a container."""

    def __init__(self, engine: Engine, path: Path) -> None:
        configuration = uvicorn.Config(
            Api(engine).application(),
            uds=str(path),
            loop="asyncio",
            lifespan="off",
            log_level="warning",
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            # A connection that comes while the others are being closed is kept alive; the emulator asks ten times a second.
            timeout_graceful_shutdown=1,
        )
        super().__init__(configuration)
        self._engine = engine

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        await self._engine.stop_all(_SHUTDOWN_GRACE_SECONDS)
        await super().shutdown(sockets)


def main() -> None:
    folder, path = map(Path, sys.argv[1:])
    engine = Engine(folder)
    engine.recover()
    Server(engine, path).run()


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return JSONResponse({"message": str(error)}, status_code=error.status)


def _flag(request: Request, name: str) -> bool:
    return request.query_params.get(name, "").lower() not in {"", "0", "false"}


def _signal_number(name: str) -> int:
    try:
        return signal.Signals(int(name)) if name.isdecimal() else signal.Signals[f"SIG{name.upper().removeprefix('SIG')}"]
    except (KeyError, ValueError):
        raise RefusedError(400, f"invalid signal: {name}") from None


if __name__ == "__main__":
    main()
