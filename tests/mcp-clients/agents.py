"""The official client of A2A in Python: it knows the address of an agent, and a key."""

import httpx
from a2a.client.client import ClientConfig
from a2a.client.client_factory import create_client
from a2a.helpers.proto_helpers import get_artifact_text, new_text_message
from a2a.types.a2a_pb2 import CancelTaskRequest, GetTaskRequest, Role, SendMessageRequest


async def told(client, words):
    """The words of the answer, the id of the task, and how many events came."""
    text, task, events = [], None, 0
    message = new_text_message(words, role=Role.ROLE_USER)
    async for event in client.send_message(SendMessageRequest(message=message)):
        events += 1
        if event.HasField("task"):
            task = event.task.id
            text += [get_artifact_text(artifact) for artifact in event.task.artifacts]
        if event.HasField("artifact_update"):
            text.append(get_artifact_text(event.artifact_update.artifact))
    return text, task, events


async def see(address):
    seen = {}
    for streams in (True, False):
        async with httpx.AsyncClient(headers={"authorization": "Bearer team-a-key"}, timeout=30) as http:
            client = await create_client(address, ClientConfig(streaming=streams, httpx_client=http))
            seen["card"] = [it.url for it in client._card.supported_interfaces]
            text, task, events = await told(client, "good day to you")
            seen["streamed" if streams else "whole"] = (text, events > 1)
            seen["task"] = (await client.get_task(GetTaskRequest(id=task))).id == task
            try:
                await client.cancel_task(CancelTaskRequest(id=task))
            except Exception as error:
                seen["cancelled"] = f"{type(error).__name__}: {error}"
    try:
        await create_client(address)
    except Exception as error:
        seen["nobody"] = f"{type(error).__name__}: {error}"
    return seen
