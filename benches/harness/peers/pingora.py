"""Pingora, as a small proxy made with it: `benches/crates/pingora-peer`."""

import re

from ..stage import BENCHES, BUILT

BINARY = BUILT / "pingora-peer"


class Pingora:
    name = "Pingora"
    kind = "pingora"
    works = ("plain", "chain")

    def missing(self):
        return None if BINARY.is_file() else "it is not built; benches/install-peers builds it"

    def version(self):
        found = re.search(r'name = "pingora-proxy"\nversion = "(.*)"', (BENCHES / "Cargo.lock").read_text())
        return f"pingora-proxy {found.group(1)}" if found else "?"

    def start(self, scene, work, upstream):
        port = scene.port()
        command = [BINARY, work, f"127.0.0.1:{port}", f"127.0.0.1:{upstream.port}"]
        return scene.start(f"pingora-{work}", command, port=port), port
