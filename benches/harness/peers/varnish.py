"""Varnish (Debian's package), for hits alone: it keeps in memory, and has its defaults but for the number of threads."""

from ..stage import PROXY_CORE, find

VCL = """
vcl 4.1;
backend default {{ .host = "127.0.0.1"; .port = "{origin}"; }}
"""


def missing():
    if not find("varnishd"):
        return "varnish is not installed; benches/install-peers installs it"
    return None


def start(scene, origin):
    """It, and its port."""
    port = scene.port()
    vcl = scene.write("hits.vcl", VCL.format(origin=origin.port))
    command = [
        find("varnishd"), "-F", "-j", "none", "-n", scene.folder / "varnish", "-a", f"127.0.0.1:{port}", "-f", vcl,
        "-s", "malloc,64m", "-p", "thread_pools=1", "-p", "thread_pool_min=64", "-p", "timeout_idle=3600",
    ]
    return scene.start("varnish", command, PROXY_CORE, port), port
