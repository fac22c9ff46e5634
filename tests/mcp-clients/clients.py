"""The official client in Python, by the newest revision and by the one before. Owns what it calls its members."""

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

KEYS = {"team-a": "team-a-key", "team-b": "team-b-key"}


def client(address, key, mode):
    headers = {"authorization": f"Bearer {key}"} if key else {}
    http = httpx2.AsyncClient(headers=headers, timeout=30)
    return Client(streamable_http_client(f"{address}/mcp", http_client=http), mode=mode)


def flat(error):
    """The first error in groups of errors."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def caught(call):
    """What the client's user sees of a failure."""
    try:
        await call()
    except Exception as error:
        error = flat(error)
        code = error.error.code if isinstance(error, MCPError) else None
        return {"class": type(error).__name__, "code": code, "text": str(error)}
    return "nothing"


async def see(address, mode):
    seen = {}
    async with client(address, KEYS["team-a"], mode) as it:
        seen["revision"] = it.protocol_version
        seen["tools"] = sorted(tool.name for tool in (await it.list_tools()).tools)
        seen["prompts"] = [prompt.name for prompt in (await it.list_prompts()).prompts]
        seen["resources"] = [str(resource.uri) for resource in (await it.list_resources()).resources]
        seen["add"] = (await it.call_tool("add", {"a": 2, "b": 3})).content[0].text
        seen["fails"] = (await it.call_tool("fail", {})).is_error
        told = []

        async def progress(now, total, message):
            told.append(now)

        seen["count"] = (await it.call_tool("count", {"to": 5}, progress_callback=progress)).content[0].text
        seen["progress"] = len(told)
        seen["interrupted"] = (await it.call_tool("interrupted", {})).content[0].text
        seen["where"] = [(await it.call_tool("where", {})).content[0].text for _ in range(6)]
        seen["refused"] = await caught(lambda: it.call_tool("files_delete", {"path": "/etc"}))
        seen["secret"] = await caught(lambda: it.read_resource("salaries://all"))
    async with client(address, KEYS["team-b"], mode) as it:
        seen["others"] = sorted(tool.name for tool in (await it.list_tools()).tools)

        async def often():
            for _ in range(60):
                await it.call_tool("add", {"a": 1, "b": 1})

        seen["limited"] = await caught(often)

    async def nobody():
        async with client(address, None, mode) as it:
            await it.list_tools()

    seen["nobody"] = await caught(nobody)
    return seen
