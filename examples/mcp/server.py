"""An MCP server with a few tools, for examples/mcp.toml and the tests of clients. Arguments: a port, and its own name.

    pip install mcp==2.3.0
    python examples/mcp/server.py 9001 one
"""

import asyncio
import sys

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.streamable_http import EventMessage, EventStore

PORT, NAME = int(sys.argv[1]), sys.argv[2]
server = MCPServer(NAME)


class Events(EventStore):
    """Events of streams, by which a client that lost one takes it up again."""

    def __init__(self):
        self.all = []

    async def store_event(self, stream_id, message):
        self.all.append((stream_id, message))
        return str(len(self.all))

    async def replay_events_after(self, last_event_id, send_callback):
        stream = self.all[int(last_event_id) - 1][0]
        for number, (of, message) in enumerate(self.all, 1):
            if of == stream and number > int(last_event_id) and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


@server.tool()
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@server.tool()
def where() -> str:
    """Says which server it is."""
    return NAME


@server.tool()
def fail() -> str:
    """Fails."""
    raise ValueError("no")


@server.tool()
async def count(to: int, ctx: Context) -> str:
    """Counts, and says how far it is."""
    for number in range(1, to + 1):
        await ctx.report_progress(number, to)
    return f"counted to {to}"


@server.tool()
async def interrupted(ctx: Context) -> str:
    """Answers after its stream was closed, where a client takes it up again."""
    await ctx.close_sse_stream()
    await asyncio.sleep(0.2)
    return "taken up"


@server.tool()
def files_read(path: str) -> str:
    """Reads a file, or says so."""
    return f"the text of {path}"


@server.tool()
def files_delete(path: str) -> str:
    """Deletes a file, or says so."""
    return f"{path} is gone"


@server.prompt()
def greet(name: str) -> str:
    return f"Say good day to {name}."


@server.prompt()
def dismiss(name: str) -> str:
    return f"Tell {name} to go."


@server.resource("docs://guide")
def guide() -> str:
    return "Read this first."


@server.resource("docs://{chapter}/text")
def chapter(chapter: str) -> str:
    return f"The text of {chapter}."


@server.resource("salaries://all")
def salaries() -> str:
    return "Nobody may read this."


if __name__ == "__main__":
    app = server.streamable_http_app(event_store=Events(), retry_interval=100)
    uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning")
