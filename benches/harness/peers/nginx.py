"""nginx (Debian's package), and nginx with Lua (`libnginx-mod-http-lua`)."""

import pathlib

from ..stage import PROXY_CORE, find, first_line

MODULES = pathlib.Path("/usr/lib/nginx/modules")

CONFIG = """
{modules}
worker_processes 1;
worker_rlimit_nofile {files};
daemon off;
pid {folder}/{name}.pid;
error_log {folder}/{name}.error.log warn;
events {{ worker_connections {connections}; }}
http {{
  access_log off;
  client_body_temp_path {folder}/{name}-body;
  proxy_temp_path {folder}/{name}-proxy;
  fastcgi_temp_path {folder}/{name}-fastcgi;
  uwsgi_temp_path {folder}/{name}-uwsgi;
  scgi_temp_path {folder}/{name}-scgi;
  keepalive_requests 1000000000;
  keepalive_timeout 3600;
  {body}
}}
"""

PROXY = """
  upstream service {{ server 127.0.0.1:{upstream}; keepalive 128; keepalive_requests 1000000000; keepalive_timeout 3600; }}
  {http}
  server {{
    listen 127.0.0.1:{port}{tls} backlog=4096;
    {server}
    location / {{
      {location}
      proxy_pass http://service;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $host;
      proxy_set_header X-Request-Id $request_id;
      add_header X-Request-Id $request_id;
    }}
  }}
"""

PLAIN = {}

CHAIN = {
    "http": """
  map $http_x_api_key $consumer { default ""; "quickstart-key" "bench"; }
  limit_req_zone $consumer zone=ample:1m rate=100000000r/s;
""",
    "location": """
      if ($consumer = "") { return 401; }
      limit_req zone=ample burst=1000000 nodelay;
      proxy_set_header X-From gateway;
      add_header X-By gateway;
""",
}

LUA_CHAIN = {
    "http": """
  lua_shared_dict counts 1m;
  init_by_lua_block { consumers = { ["quickstart-key"] = "bench" } }
""",
    "location": """
      access_by_lua_block {
        local consumer = consumers[ngx.var.http_x_api_key or ""]
        if not consumer then return ngx.exit(401) end
        local count = ngx.shared.counts:incr(consumer, 1, 0, 1)
        if count and count > 100000000 then return ngx.exit(429) end
        ngx.req.set_header("X-From", "gateway")
      }
      header_filter_by_lua_block { ngx.header["X-By"] = "gateway" }
""",
}


class Nginx:
    name = "nginx"
    kind = "nginx"
    works = {"plain": PLAIN, "chain": CHAIN}
    modules = ()

    def missing(self):
        if not find("nginx"):
            return "nginx is not installed; benches/install-peers installs it"
        return None

    def version(self):
        return first_line([find("nginx"), "-v"]).removeprefix("nginx version: ")

    def start(self, scene, work, upstream):
        return proxy(scene, upstream, self.works[work], f"{self.name}-{work}".replace(" ", "-"), self.modules)


class Lua(Nginx):
    name = "nginx Lua"
    kind = "nginx-lua"
    # Plain proxying is the same as without Lua.
    works = {"chain": LUA_CHAIN}
    modules = ("ndk_http_module.so", "ngx_http_lua_module.so")

    def missing(self):
        if not all((MODULES / each).is_file() for each in self.modules):
            return "libnginx-mod-http-lua is not installed; benches/install-peers installs it"
        return super().missing()


def proxy(scene, upstream, parts, name="nginx", modules=(), core=PROXY_CORE, connections=4096):
    """nginx as a proxy, and its port. `parts` are what is added to the configuration and where."""
    port = scene.port()
    places = {"http": "", "server": "", "location": "", "tls": "", **parts}
    body = PROXY.format(upstream=upstream.port, port=port, **places)
    return start(scene, name, body, port, core, modules, connections), port


def start(scene, name, body, port, core, modules=(), connections=4096):
    """nginx with this configuration. It sets memory aside for each of its `connections`."""
    text = CONFIG.format(
        folder=scene.folder, name=name, body=body, files=connections * 2, connections=connections,
        modules="\n".join(f"load_module {MODULES / each};" for each in modules),
    )
    config = scene.write(f"{name}.{port}.conf", text)
    return scene.start(name, [find("nginx"), "-c", config, "-p", scene.folder], core, port)
