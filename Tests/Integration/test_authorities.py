"""Several authorities: a subject is who it says only by the word of the one that it is to be believed from."""

import ssl
import time

from Support.authorities import Holder, bundle
from Support.case import Case
from Support.client import RawClient
from Support.ports import free_port

SUBJECT = "CN=billing,O=Acme"


class Authorities(Case):
    def setUp(self):
        super().setUp()
        self.one, self.other = Holder(self.folder, "CN=Root One"), Holder(self.folder, "CN=Root Other")
        self.both = bundle(self.folder, self.one, self.other)
        self.server = self.leaf("acme.test", "globex.test", "plain.test", "api.test", tag="authorities-")

    def text(self, ca, acme, globex="", more=""):
        return (
            "shared_host api.test;\n"
            + self.tls_listener(self.server, more=f"client_ca {ca};" if ca else "")
            + "upstream app { server 127.0.0.1:$app; }\ndefaults { upstream app; }\n"
            + "tenant acme { host acme.test; " + acme + " }\n"
            + ("tenant globex { host globex.test; " + globex + " }\n" if globex else "")
            + "tenant plain { host plain.test; }\n" + more
        )  # fmt: skip

    def start(self, ca, acme, globex=""):
        self.app = self.upstream()
        self.edge = self.gateway(self.text(ca, acme, globex), app=self.app)

    def context(self, files=None, version=None):
        context = self.authority.context(minimum=version, maximum=version)
        if files:
            context.load_cert_chain(*files)
        return context

    def connection(self, files=None, host="acme.test", **options):
        return RawClient(self.edge.tls, tls=options.pop("context", None) or self.context(files), sni=host, **options)

    def outcome(self, files, host="acme.test", **options):
        """(the status, who got it)"""
        with self.connection(files, host, **options) as client:
            response = client.request("GET", "/", host)
            self.session = client.socket.session
        return (200, self.app.requests[-1]["x-tenant-id"]) if response.status == 200 else (response.status, None)

    def check(self, text, values=()):
        edge = self.gateway(text, start=False, app=1, **dict(values))
        return edge.command("check", "-c", edge.file)

    # --- whom to believe

    def test_the_same_subject_of_another_authority_is_somebody_else(self):
        mine, theirs = self.one.client(SUBJECT), self.other.client(SUBJECT)
        for issuer in ('issuer="CN=Root One"', f"ca={bundle(self.folder, self.one)}"):
            with self.subTest(issuer=issuer):
                self.start(self.both, f'client_certificate subject="{SUBJECT}" {issuer};')
                for host in ("acme.test", "api.test"):
                    self.assertEqual(self.outcome(mine, host), (200, "acme"))
                    self.assertEqual(self.outcome(theirs, host), (401, None))
                self.assertEqual(self.outcome(theirs, "plain.test"), (200, "plain"))
                self.assertEqual(self.outcome(mine, "plain.test"), (403, None))

    def test_one_subject_of_two_tenants_by_two_authorities(self):
        mine, theirs = self.one.client(SUBJECT), self.other.client(SUBJECT)
        self.start(
            self.both, f'client_certificate subject="{SUBJECT}" issuer="CN=Root One";',
            f'client_certificate subject="{SUBJECT}" ca={bundle(self.folder, self.other)};',
        )  # fmt: skip
        self.assertEqual(self.outcome(mine, "api.test"), (200, "acme"))
        self.assertEqual(self.outcome(theirs, "api.test"), (200, "globex"))
        self.assertEqual(self.outcome(theirs, "acme.test"), (403, None))
        self.assertEqual(self.outcome(mine, "globex.test"), (403, None))

    def test_an_authority_that_calls_itself_like_another(self):
        # The other root may sign for whom it likes, under whatever name: none of them is this one.
        false = self.other.sub("CN=Root One")
        self.start(self.both, f'client_certificate subject="{SUBJECT}" issuer="CN=Root One";')
        self.assertEqual(self.outcome(self.one.client(SUBJECT)), (200, "acme"))
        for chain in (false, false.sub("CN=Root One"), self.other.sub("CN=Root Other").sub("CN=Root One")):
            self.assertEqual(self.outcome(chain.client(SUBJECT)), (401, None))

    def test_intermediates(self):
        staff, machines = self.one.sub("CN=Staff"), self.one.sub("CN=Machines")
        ca = bundle(self.folder, self.one)
        # By its root, whoever stands between; by an intermediate alone, which the listener need not know.
        self.start(ca, f'client_certificate subject="{SUBJECT}" issuer="CN=Root One";')
        for authority in (self.one, staff, machines, staff.sub("CN=Below")):
            self.assertEqual(self.outcome(authority.client(SUBJECT)), (200, "acme"))
        self.start(ca, f'client_certificate subject="{SUBJECT}" ca={bundle(self.folder, staff)};')
        for authority in (staff, staff.sub("CN=Below")):
            self.assertEqual(self.outcome(authority.client(SUBJECT)), (200, "acme"))
        for authority in (self.one, machines, machines.sub("CN=Staff")):
            self.assertEqual(self.outcome(authority.client(SUBJECT)), (401, None))
        # The nearest one counts.
        self.start(
            ca, f'client_certificate subject="{SUBJECT}" ca={ca};', f'client_certificate subject="{SUBJECT}" ca={bundle(self.folder, staff)};'
        )
        for authority, tenant in ((self.one, "acme"), (machines, "acme"), (staff, "globex"), (staff.sub("CN=Below"), "globex")):
            self.assertEqual(self.outcome(authority.client(SUBJECT), "api.test"), (200, tenant))

    def test_resumed_sessions_remember_who_vouched(self):
        staff = self.one.sub("CN=Staff")
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            self.start(self.both, f'client_certificate subject="{SUBJECT}" ca={bundle(self.folder, staff)};')
            for issuer, expected in ((staff, (200, "acme")), (self.one, (401, None)), (self.other, (401, None))):
                with self.subTest(version=version, issuer=issuer.subject):
                    context = self.context(issuer.client(SUBJECT), version)
                    self.assertEqual(self.outcome(None, context=context), expected)
                    # A ticket of a ticket, too.
                    before = self.edge.metrics().sum("gateway_tls_handshakes_total", resumed="true")
                    for _ in range(3):
                        self.assertEqual(self.outcome(None, context=context, session=self.session), expected)
                    self.assertEqual(self.edge.metrics().sum("gateway_tls_handshakes_total", resumed="true"), before + 3)

    # --- for how long

    def test_a_certificate_that_expires_on_an_open_connection(self):
        self.start(bundle(self.folder, self.one), "client_certificate any;")
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version=version):
                short, through = self.one.client(SUBJECT, seconds=4), self.one.sub("CN=Short", seconds=4).client(SUBJECT)
                contexts = [self.context(files, version) for files in (short, through)]
                clients = [self.connection(context=context) for context in contexts]
                for client in clients:
                    self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
                sessions = [client.socket.session for client in clients]
                time.sleep(4.5)
                for client in clients:
                    response = client.request("GET", "/", "acme.test")
                    self.assert_problem(response, 401, "credentials-required", closes=True)
                    client.close()
                # Nor does its session bring it back.
                for context, session in zip(contexts, sessions):
                    with self.assertRaises(Exception):
                        self.outcome(None, context=context, session=session)

    def test_a_reload_that_takes_an_authority_away(self):
        self.start(self.both, "client_certificate any;")
        cases = [(self.one, 200), (self.one.sub("CN=Staff"), 200), (self.other, 401), (self.other.sub("CN=Staff"), 401)]
        clients = [(self.connection(issuer.client(SUBJECT)), status) for issuer, status in cases]
        plain = self.connection(self.other.client(SUBJECT), "plain.test")
        for client, _ in clients:
            self.assertEqual(client.request("GET", "/", "acme.test").status, 200)
        self.assertEqual(plain.request("GET", "/", "plain.test").status, 200)
        # A renewed certificate is the same authority's.
        self.edge.write(self.text(bundle(self.folder, self.one.renewed()), "client_certificate any;"))
        self.assertEqual(self.edge.command("reload", "-c", self.edge.file).returncode, 0)
        for client, status in clients:
            self.assertEqual(client.request("GET", "/", "acme.test").status, status)
        self.assertEqual(plain.request("GET", "/", "plain.test").status, 200)
        self.edge.write(self.text(None, "client_certificate any;", more=self.tls_listener(self.server, more=f"client_ca {self.both};").replace("$tls", "$second")), second=free_port())
        self.assertEqual(self.edge.command("reload", "-c", self.edge.file).returncode, 0)
        self.assertEqual(clients[0][0].request("GET", "/", "acme.test").status, 401)

    # --- what `check` says

    def refused(self, text, message, hint="", column=None, **values):
        run = self.check(text, values)
        self.assertEqual(run.returncode, 1, run)
        self.assertRegex(run.stderr, message)
        self.assertIn(hint, run.stderr)
        line = next(number for number, line in enumerate(text.splitlines(), 1) if line.startswith("tenant acme"))
        self.assertRegex(run.stderr, rf":{line + 6}:31: error: ")

    def test_a_subject_alone_is_refused_where_there_are_several_authorities(self):
        alone = f'client_certificate subject="{SUBJECT}";'
        staff, machines = self.one.sub("CN=Staff"), self.one.sub("CN=Machines")
        crossed = (self.one, self.other, self.one.renewed(self.other), self.other.renewed(self.one))
        for several in ((self.one, self.other), (self.one, staff, machines), (self.one, Holder(self.folder, "CN=Root One")), crossed):
            with self.subTest(several=[holder.subject for holder in several]):
                text = self.text(bundle(self.folder, *several), alone)
                self.refused(text, "there are several: `CN=", 'add `issuer="CN=')
        second = self.tls_listener(self.server, more=f"client_ca {bundle(self.folder, self.other)};").replace("$tls", "$second")
        self.refused(self.text(bundle(self.folder, self.one), alone, more=second), "several: `CN=Root One`, `CN=Root Other`", second=free_port())
        for single in ((self.one,), (self.one, staff), (self.one, self.one.renewed()), (self.one, staff, staff.sub("CN=Below"))):
            with self.subTest(single=[holder.subject for holder in single]):
                run = self.check(self.text(bundle(self.folder, *single), alone))
                self.assertEqual(run.returncode, 0, run)

    def test_issuers_that_mean_nobody_or_somebody_elses(self):
        wanted = f'client_certificate subject="{SUBJECT}"'
        self.refused(self.text(self.both, wanted + ' issuer="CN=Root Onr";'), "no `client_ca` has an authority `CN=Root Onr`", "did you mean `CN=Root One`?")
        self.refused(self.text(self.both, wanted + ' issuer="CN=x";'), "no `client_ca`", "there is `CN=Root One`, `CN=Root Other`")
        twins = bundle(self.folder, self.one, Holder(self.folder, "CN=Root One"))
        self.refused(self.text(twins, wanted + ' issuer="CN=Root One";'), "2 authorities are called `CN=Root One`", "write `ca=FILE`")
        self.refused(self.text(self.both, wanted + " ca=/nowhere;"), "can't read the authorities /nowhere")
        self.refused(self.text(self.both, wanted + ' issuer="CN=Root One" ca=/nowhere;'), "not both")
        for option in ('issuer="CN=Root One"', f"ca={self.both}"):
            self.refused(self.text(self.both, f"client_certificate any {option};"), "there is none")
        for first, second in (
            ('issuer="CN=Root One"', f"ca={self.both}"), (f"ca={self.both}", 'issuer="CN=Root Other"'), ('issuer="CN=Root One"', f"ca={bundle(self.folder, self.one)}"),
        ):  # fmt: skip
            run = self.check(self.text(self.both, f"{wanted} {first};", f"{wanted} {second};"))
            self.assertEqual(run.returncode, 1, run)
            self.assertRegex(run.stderr, r"belongs to tenant `acme` already \(.*gateway.conf:\d+\)")
        run = self.check(self.text(bundle(self.folder, self.one), f"{wanted};", f'{wanted} issuer="CN=Root One";'))
        self.assertIn("belongs to tenant `acme` already", run.stderr)

    def test_the_manual_says_it(self):
        edge = self.gateway(self.text(self.both, ""), start=False, app=1)
        said = edge.command("directives", "client_certificate").stdout
        for word in ("issuer=", "ca=", "the word of one authority"):
            self.assertIn(word, said)
