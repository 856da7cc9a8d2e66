"""A real nginx in a temporary folder, as an upstream."""

import os
import socket
import subprocess

from .client import until
from .gateway import end_with_parent
from .ports import free_port


class Nginx:
    """`server` is the inside of its one server block; files are served from `folder`/www."""

    def __init__(self, folder, server="", http=""):
        self.folder, self.port = folder, free_port()
        self.www = os.path.join(folder, "www")
        for name in ("www", "logs", "tmp"):
            os.makedirs(os.path.join(folder, name), exist_ok=True)
        temporary = "".join(
            f"{kind}_temp_path {folder}/tmp/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        self.file = os.path.join(folder, "nginx.conf")
        with open(self.file, "w") as out:
            out.write(f"""
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log {folder}/logs/error.log;
events {{ worker_connections 4096; }}
http {{
    types {{ text/html html; text/plain txt; application/octet-stream bin; }}
    default_type application/octet-stream;
    access_log off; sendfile on; keepalive_requests 1000000; client_max_body_size 0;
    {temporary}
    {http}
    server {{
        listen 127.0.0.1:{self.port};
        root {self.www};
        {server}
    }}
}}
""")
        self.log = open(os.path.join(folder, "logs", "stderr"), "wb")
        self.process = subprocess.Popen(
            ["nginx", "-p", folder, "-e", f"{folder}/logs/error.log", "-c", self.file],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
        until(self._answers, f"nginx on {self.port}")

    def _answers(self):
        if self.process.poll() is not None:
            with open(os.path.join(self.folder, "logs", "stderr"), errors="replace") as file:
                raise AssertionError("nginx ended: " + file.read())
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def write(self, name, data):
        with open(os.path.join(self.www, name), "wb") as out:
            out.write(data)

    def close(self):
        self.process.kill()
        self.process.wait(5)
        self.log.close()
