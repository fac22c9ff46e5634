"""What stands before the stand-in for Bedrock: checks the signature of each request as AWS does, by botocore's own code."""

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

KEY_ID, KEY, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "a session"
REGION = "eu-central-1"
HOST = f"bedrock-runtime.{REGION}.amazonaws.com"


def refusal(path, fields, body):
    """Why a request is not signed well, or None."""
    authorization, host = fields["authorization"] or "", fields["host"]
    signed = authorization.split("SignedHeaders=")[-1].split(",")[0].split(";")
    if host != HOST or fields["x-amz-security-token"] != TOKEN or not {"host", "x-amz-date"} <= set(signed):
        return f"{host} {signed}"
    request = AWSRequest("POST", f"https://{host}{path}", {name: fields[name] for name in signed}, body)
    request.context["timestamp"] = fields["x-amz-date"]
    auth = SigV4Auth(Credentials(KEY_ID, KEY, TOKEN), "bedrock", REGION)
    signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    scope = f"Credential={KEY_ID}/{fields['x-amz-date'][:8]}/{REGION}/bedrock/aws4_request"
    return None if f"Signature={signature}" in authorization and scope in authorization else authorization


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        wrong = refusal(self.path, self.headers, body)
        if wrong:
            text = b'{"message":"The request signature we calculated does not match the signature you provided."}'
            self.send_response(403, "Forbidden")
            self.send_header("x-amzn-errortype", "InvalidSignatureException")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
            return
        server = http.client.HTTPConnection("127.0.0.1", self.server.behind, timeout=60)
        server.request("POST", self.path, body, {"content-type": "application/json"})
        answer = server.getresponse()
        self.send_response(answer.status)
        for name in ("content-type", "x-amzn-errortype", "x-amzn-bedrock-input-token-count"):
            if answer.headers[name]:
                self.send_header(name, answer.headers[name])
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        try:
            while piece := answer.read1(65536):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
        except ConnectionError:
            self.close_connection = True
        server.close()

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A gateway whose client has left hangs up."""


def serve(behind):
    """Starts it in front of the server at a port, and returns its own port."""
    server = Server(("127.0.0.1", 0), Handler)
    server.behind = behind
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]
