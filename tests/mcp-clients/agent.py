"""An agent of A2A that repeats what it is told, a word at a time. Arguments: a port, and the address in its card."""

import sys

import uvicorn
from a2a.helpers.proto_helpers import new_task_from_user_message, new_text_message, new_text_part
from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandlerV2
from a2a.server.routes.agent_card_routes import create_agent_card_routes
from a2a.server.routes.jsonrpc_routes import create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types.a2a_pb2 import AgentCapabilities, AgentCard, AgentInterface, AgentSkill
from starlette.applications import Starlette

PORT, ADDRESS = int(sys.argv[1]), sys.argv[2]


class Repeats(AgentExecutor):
    async def execute(self, context, queue):
        task = context.current_task
        if task is None:
            task = new_task_from_user_message(context.message)
            await queue.enqueue_event(task)
        updater = TaskUpdater(queue, task.id, task.context_id)
        await updater.start_work()
        for word in context.get_user_input().split():
            await updater.add_artifact([new_text_part(word)])
        await updater.complete(new_text_message("that is all"))

    async def cancel(self, context, queue):
        await TaskUpdater(queue, context.task_id, context.context_id).cancel()


card = AgentCard(
    name="repeats",
    description="Repeats what it is told.",
    version="1",
    default_input_modes=["text/plain"],
    default_output_modes=["text/plain"],
    capabilities=AgentCapabilities(streaming=True),
    supported_interfaces=[
        AgentInterface(url=f"{ADDRESS}/rpc", protocol_binding="JSONRPC", protocol_version="1.0"),
        AgentInterface(url=f"{ADDRESS}/rest", protocol_binding="HTTP+JSON", protocol_version="1.0"),
    ],
    skills=[AgentSkill(id="repeat", name="repeat", description="Repeats.", tags=["test"])],
)
handler = DefaultRequestHandlerV2(Repeats(), InMemoryTaskStore(), card)
routes = [*create_agent_card_routes(card), *create_jsonrpc_routes(handler, "/rpc", enable_v0_3_compat=True)]
uvicorn.run(Starlette(routes=routes), host="127.0.0.1", port=PORT, log_level="warning")
