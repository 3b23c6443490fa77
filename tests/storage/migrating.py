"""A bare Tarantool with the migrator, and the migrations that only tests have."""

import os
import subprocess
import time
from pathlib import Path
from typing import Any

from storage import offline
from storage.child import greets
from tests.storage.builders import Owner

STEPS = Path(__file__).parent / "migrations"
# As if the last migration had not been applied.
FORGET = """
    local sent_code = box.space.sent_code:format()
    table.remove(sent_code)
    box.space.sent_code:format(sent_code)
    return box.space.schema_version:delete(4)
"""
_PROGRAM = """
    package.path = os.getenv('LUA') .. '/?.lua;' .. package.path
    box.cfg({ work_dir = os.getenv('DIRECTORY'), log_level = 'error', feedback_enabled = false })
    box.schema.user.create('owner', { password = 'owner', if_not_exists = true })
    box.schema.user.grant('owner', 'super', nil, nil, { if_not_exists = true })
    box.cfg({ listen = 'unix/:' .. os.getenv('DIRECTORY') .. '/tarantool.sock' })
"""
_LOADED = """
    local directory, names = ...
    local migrator = require('migrator')
    local steps = {}
    for place, name in ipairs(names) do
        steps[place] = dofile(directory .. '/' .. name .. '.lua')
    end
    migrator.read_texts(steps)
"""


class Bare:
    """The process; it may be killed and started again."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "program.lua").write_text(_PROGRAM)
        (directory / "owner.password").write_text("owner")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        socket = self.directory / "tarantool.sock"
        socket.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            ["tarantool", self.directory / "program.lua"],
            env=os.environ | {"LUA": str(offline.LUA), "DIRECTORY": str(self.directory)},
            stdin=subprocess.DEVNULL,
        )
        while not greets(socket):
            assert self._process.poll() is None
            time.sleep(0.01)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self.ended()

    def ended(self) -> None:
        assert self._process is not None
        self._process.wait(10)

    async def eval(self, lua: str, *arguments: object) -> Any:
        owner = await Owner.connect(self.directory)
        try:
            return await owner.eval(lua, *arguments)
        finally:
            await owner.close()

    async def with_steps(self, lua: str, *names: str) -> Any:
        """Run Lua that knows `migrator` and the `steps` of these names."""
        return await self.eval(_LOADED + lua, str(STEPS), names)

    async def apply(self, *names: str) -> Any:
        return await self.with_steps("return migrator.apply(steps)", *names)
