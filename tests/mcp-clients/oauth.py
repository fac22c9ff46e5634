"""The official client in Python with OAuth: it knows the address of a server, and finds out all else. Owns the user, who
is a browser that agrees."""

import base64
import json
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata

BACK = "http://127.0.0.1:1/back"


class Storage:
    """What the client keeps."""

    def __init__(self):
        self.tokens = self.client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


class User:
    def __init__(self):
        self.browser = httpx2.AsyncClient(timeout=30)
        self.asked = []

    async def go(self, address):
        self.asked.append(parse_qs(urlsplit(address).query))
        for _ in range(10):
            if address.startswith(BACK):
                break
            response = await self.browser.get(address)
            assert "location" in response.headers, f"{response.status_code} {response.text}"
            address = urljoin(address, response.headers["location"])
        assert address.startswith(BACK), f"it goes on and on: {address}"
        self.back = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}

    async def come_back(self):
        assert "code" in self.back, f"the user is sent back with {self.back}"
        return AuthorizationCodeResult(code=self.back["code"], state=self.back.get("state"), iss=self.back.get("iss"))


async def see(address):
    user, storage = User(), Storage()
    metadata = OAuthClientMetadata(client_name="check", redirect_uris=[BACK], token_endpoint_auth_method="none",
                                   grant_types=["authorization_code"])
    provider = OAuthClientProvider(f"{address}/mcp", metadata, storage, user.go, user.come_back)
    http = httpx2.AsyncClient(auth=provider, timeout=30)
    async with Client(streamable_http_client(f"{address}/mcp", http_client=http)) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        added = (await client.call_tool("add", {"a": 2, "b": 3})).content[0].text
        first = storage.tokens.scope
        deleted = (await client.call_tool("files_delete", {"path": "x"})).content[0].text
        after = [tool.name for tool in (await client.list_tools()).tools]
    claims = storage.tokens.access_token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    return {
        "tools": tools,
        "added": added,
        "scope": first,
        "deleted": deleted,
        "after": after,
        "audience": claims["aud"],
        "asked": [asked.get("scope", [""])[0] for asked in user.asked],
    }
