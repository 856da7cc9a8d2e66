"""A real nginx behind the gateway, and real clients in front: curl and Python's http.client."""

import gzip
import hashlib
import http.client
import os
import subprocess

from Support.case import Case
from Support.nginx import Nginx


class Curl(Case):
    def setUp(self):
        super().setUp()
        folder = os.path.join(self.folder, "nginx")
        os.mkdir(folder)
        self.nginx = Nginx(
            folder,
            """
            location /gzip { gzip on; gzip_min_length 1; gzip_types *; gzip_proxied any; try_files /page.html =404; }
            location /moved { return 301 /elsewhere; }
            location /none { return 204; }
            location /slow { limit_rate 100k; try_files /page.html =404; }
            """,
        )
        self.addCleanup(self.nginx.close)
        self.page = b"<p>hello</p>\n" * 5000
        self.file = os.urandom(5_000_011)
        self.nginx.write("page.html", self.page)
        self.nginx.write("file.bin", self.file)
        self.server = self.simple(self.nginx.port, top=self.tls_listener(self.leaf("acme.test")))

    def curl(self, path, *arguments, tls=True, check=True):
        port = self.server.tls if tls else self.server.plain
        done = subprocess.run(
            [
                "curl",
                "-sS",
                "--max-time",
                "20",
                "--cacert",
                self.authority.certificate,
                "--resolve",
                f"acme.test:{port}:127.0.0.1",
                *arguments,
                f"http{'s' if tls else ''}://acme.test:{port}{path}",
            ],
            capture_output=True,
            timeout=30,
        )
        if check:
            self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_files(self):
        for tls in (True, False):
            for path, wanted in (("/page.html", self.page), ("/file.bin", self.file)):
                with self.subTest(path=path, tls=tls):
                    self.assertEqual(
                        hashlib.sha256(self.curl(path, tls=tls)).hexdigest(), hashlib.sha256(wanted).hexdigest()
                    )

    def test_ranges(self):
        self.assertEqual(self.curl("/file.bin", "-r", "1000-1999"), self.file[1000:2000])
        self.assertEqual(self.curl("/file.bin", "-r", "-500"), self.file[-500:])
        several = self.curl("/file.bin", "-r", "0-9,20-29", "-i")
        self.assertIn(b"206", several.split(b"\r\n")[0])
        self.assertIn(self.file[20:30], several)
        self.assertIn(b" 416 ", self.curl("/file.bin", "-r", "99999999-", "-i").split(b"\r\n")[0] + b" ")

    def test_gzip(self):
        self.assertEqual(self.curl("/gzip", "--compressed"), self.page)
        packed = self.curl("/gzip", "-H", "Accept-Encoding: gzip")
        self.assertEqual(gzip.decompress(packed), self.page)

    def test_conditional_requests(self):
        head = self.curl("/page.html", "-I").decode()
        tag = next(line.split(": ", 1)[1] for line in head.split("\r\n") if line.lower().startswith("etag"))
        self.assertIn(" 304", self.curl("/page.html", "-i", "-H", f"If-None-Match: {tag}").decode().split("\r\n")[0])

    def test_codes(self):
        for path, code in (("/nothere", "404"), ("/moved", "301"), ("/none", "204")):
            self.assertEqual(self.curl(path, "-o", "/dev/null", "-w", "%{http_code}").decode(), code)

    def test_head(self):
        head = self.curl("/file.bin", "-I", "--http1.1").decode()
        self.assertIn(f"Content-Length: {len(self.file)}", head)

    def test_post_with_and_without_expect(self):
        # nginx refuses POST for a file with 405 after reading the body: what counts is that curl gets that answer.
        for arguments in (("-d", "a=b"), ("-F", "f=@" + self.nginx.file), ("-d", "x=1", "-H", "Expect: 100-continue")):
            with self.subTest(arguments=arguments[:1]):
                self.assertEqual(
                    self.curl("/page.html", "-o", "/dev/null", "-w", "%{http_code}", *arguments).decode(), "405"
                )

    def test_a_large_upload_from_a_file(self):
        path = os.path.join(self.folder, "upload")
        with open(path, "wb") as out:
            out.write(self.file)
        for arguments in (
            ("-T", path),
            ("-T", path, "-H", "Transfer-Encoding: chunked"),
            ("--data-binary", "@" + path),
        ):
            with self.subTest(arguments=arguments):
                code = self.curl("/page.html", "-o", "/dev/null", "-w", "%{http_code}", *arguments).decode()
                self.assertEqual(code, "405")

    def test_several_requests_over_one_connection(self):
        said = self.curl("/page.html?[1-20]", "-o", "/dev/null", "-w", "%{num_connects} %{http_code}\n")
        lines = said.decode().split("\n")[:-1]
        self.assertEqual(lines, ["1 200"] + ["0 200"] * 19)

    def test_http_client_of_python(self):
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.server.tls, timeout=10, context=self.authority.context(verify=False, alpn=())
        )
        self.addCleanup(connection.close)
        for _ in range(10):
            connection.request("GET", "/page.html", headers={"Host": "acme.test"})
            response = connection.getresponse()
            self.assertEqual((response.status, response.read() == self.page), (200, True))

    def test_http_1_0_curl(self):
        self.assertEqual(self.curl("/page.html", "--http1.0"), self.page)
        self.assertEqual(self.curl("/gzip", "--http1.0", "--compressed"), self.page)

    def test_curl_gets_the_version_that_it_asks_for(self):
        for version, name in (("--http2", "2"), ("--http1.1", "1.1")):
            said = self.curl("/page.html", version, "-o", "/dev/null", "-w", "%{http_version} %{http_code}").decode()
            self.assertEqual(said, name + " 200")

    def test_nginx_that_is_killed(self):
        self.assertEqual(self.curl("/none", "-o", "/dev/null", "-w", "%{http_code}").decode(), "204")
        self.nginx.process.kill()
        self.nginx.process.wait(5)
        code = self.curl("/none", "-o", "/dev/null", "-w", "%{http_code}").decode()
        self.assertIn(code, ("502", "503"))
