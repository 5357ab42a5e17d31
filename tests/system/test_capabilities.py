"""Every single capability switched off, and all: the mirror comes out equal, and the servers' records of the dialogue show
that no such command was sent and no such answer asked for. All forms of the trusted server's login; TLS as configured."""
import re
import socket
import ssl
import threading
from types import SimpleNamespace

import pytest

from mirrored import (Mirrored, assert_equal, change, delete, free_port, listeners, sessions_of, site, told)
from standin.certificates import make_certificate
from standin.dovecot import Dovecot
from standin.ports import private_directory
from standin.proxy import Filter
from standin.voicemail import ACTIVE_GREETING, GREETINGS, INBOX, UNOPENED, Generator, Message

# What shows that a capability was used: in the commands of a session (literals cut out), or in its answers.
USED = {
    "LITERAL+": (r"\{\d+\+\}", None),
    "UIDPLUS": (r"UID EXPUNGE", None),
    "MULTIAPPEND": (r" APPEND .*\{\d+\+?\}.*\{\d+\+?\}", None),
    "CONDSTORE": (r"CONDSTORE|CHANGEDSINCE|MODSEQ", r"FETCH .*MODSEQ|STATUS .*MODSEQ"),
    "ESEARCH": (r"SEARCH RETURN", r"^\* ESEARCH"),
    "LIST-STATUS": (r" LIST .*RETURN.*STATUS", None),
    "LIST-EXTENDED": (r" LIST .*RETURN| LIST \(", None),
    "ID": (r"^\S+ ID ", r"^\* ID "),
    "ENABLE": (r"^\S+ ENABLE", r"^\* ENABLED"),
    "NAMESPACE": (r"^\S+ NAMESPACE", r"^\* NAMESPACE"),
    "UNSELECT": (r"^\S+ UNSELECT", None),
    "SASL-IR": (r"^\S+ AUTHENTICATE \S+ \S", None),
}
# Those that do show when all are on. UNSELECT shows where flags are looked at without CONDSTORE; UID EXPUNGE only where a
# late copy is removed; NAMESPACE and IDLE nobody needs yet; SASL-IR is said before the record begins (test_logins).
SHOWN = {"LITERAL+", "MULTIAPPEND", "CONDSTORE", "ESEARCH", "LIST-STATUS", "LIST-EXTENDED", "ID", "ENABLE"}
VARIANTS = {"none": [], "all": list(USED), **{name: [name] for name in USED}}
MAILBOXES = {variant: str(6101 + index) for index, variant in enumerate(VARIANTS)}


def odd_mailbox(generator):
    twin = generator.voicemail("4701", odd="no message-id", flags=("\\Seen",))
    return {INBOX: [generator.voicemail("4701", odd="line over 998", flags=("Urgent",)), generator.text_and_card("4701"),
                    twin, Message(twin.data, (), twin.date), generator.tiny(flags=(UNOPENED, "\\Flagged"))],
            GREETINGS: [generator.greeting("4701", 1, active=True), generator.greeting("4701", 2)],
            ("Grüße & mehr", "日本語"): [generator.tiny(size=1)],
            ("Trash",): [generator.tiny(), generator.tiny()]}


def happenings(server, mailbox, generator):
    """A second look must find all of it, by whatever means are left."""
    change(server, mailbox, "INBOX", "STORE", "1:2", "+FLAGS", f"(\\Seen {UNOPENED})")
    change(server, mailbox, "INBOX", "STORE", "1,5", "-FLAGS", "(Urgent \\Flagged)")
    change(server, mailbox, "Greetings", "STORE", "1", "-FLAGS", f"({ACTIVE_GREETING})")
    server.deliver(mailbox, "INBOX", generator.tiny(flags=("Urgent",)), generator.tiny())
    delete(server, mailbox, "Trash", "1")


@pytest.fixture(scope="module")
def ladder():
    """One pair of servers with a door for each variant; all of them mirrored, changed, and mirrored again."""
    doors = [(free_port(), free_port()) for _ in VARIANTS]
    generator = Generator(61, scale=0.02)
    with (Dovecot(storage="maildir", delimiter="/", extra=listeners(*(here for here, _ in doors))) as production,
          Dovecot(storage="mdbox", delimiter=".", extra=listeners(*(there for _, there in doors))) as target):
        sites, routes = {}, {}
        for index, (variant, off) in enumerate(VARIANTS.items()):
            here, there = f"here{index}", f"there{index}"
            sites[here] = site(here, production, port=doors[index][0], disable_capabilities=off)
            sites[there] = site(there, target, port=doors[index][1], disable_capabilities=off)
            routes[variant.lower().replace("+", "-plus")] = (here, there)
            production.fill(MAILBOXES[variant], odd_mailbox(generator))
        secrets = {f"{name}.secret": production.password for name in sites}
        with Mirrored(sites, routes, secrets=secrets, deletions={"delay_seconds": 1}) as product:
            for route, mailbox in zip(routes, MAILBOXES.values()):
                product.add(route, mailbox)
            product.sync()
            first = told(production, target, MAILBOXES.values())
            for mailbox in MAILBOXES.values():
                happenings(production, mailbox, generator)
            product.sync()
            second = told(production, target, MAILBOXES.values())
            product.sync()
            marks = dict(product.sql("SELECT b.number, COUNT(f.source_highestmodseq) + COUNT(f.target_highestmodseq) "
                                     "FROM mailbox b JOIN mirror USING (mailbox_id) JOIN folder f USING (mirror_id) "
                                     "GROUP BY b.number"))
            gone = {mailbox: mirror["messages"]["gone"] for (mailbox, _), mirror in product.mirrors().items()}
            complaints = product.complaints()
        yield SimpleNamespace(servers=(production, target), first=first, second=second, gone=gone, complaints=complaints,
                              marks={mailbox: int(count) for mailbox, count in marks.items()})


def dialogues(ladder, variant):
    """(commands, answers) of our own sessions on both sides: our tags begin with an m."""
    found = ([], [])
    for server in ladder.servers:
        for sent, got in sessions_of(server, MAILBOXES[variant]):
            if all(re.match(r"m\d+ |DONE|$", line) for line in sent):
                found[0].extend(sent)
                found[1].extend(got)
    assert found[0], f"no session of ours with {variant} off"
    return found


def used(ladder, variant):
    """{capability: the line that shows it}"""
    sent, got = dialogues(ladder, variant)
    shown = {}
    for name, (command, answer) in USED.items():
        for lines, pattern in ((sent, command), (got, answer)):
            shown.update({name: line for line in lines if pattern and re.search(pattern, line)})
    return shown


def test_the_mirror_comes_out_equal(ladder):
    assert ladder.first.startswith("equal"), ladder.first
    assert ladder.second.startswith("equal"), ladder.second
    assert set(ladder.gone.values()) == {0}
    assert ladder.complaints == []


def test_all_are_used_when_they_may_be(ladder, say):
    shown = used(ladder, "none")
    say(f"used with all on: {' '.join(sorted(shown))}")
    assert set(shown) >= SHOWN
    assert "UNSELECT" in used(ladder, "CONDSTORE")
    assert ladder.marks[MAILBOXES["none"]] > 0


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "none"])
def test_what_is_off_is_not_used(ladder, variant):
    shown = used(ladder, variant)
    assert not set(shown) & set(VARIANTS[variant]), shown
    if "CONDSTORE" in VARIANTS[variant]:
        assert ladder.marks[MAILBOXES[variant]] == 0, "a HIGHESTMODSEQ that came unasked was used"
    if variant == "all":
        assert shown == {}


@pytest.mark.parametrize("variant", ["none", "UIDPLUS", "all"])
def test_without_uidplus_the_copies_are_looked_for(ladder, variant):
    """APPENDUID comes all the same; it is not used, but what has a UID from the former UIDNEXT on is listed."""
    sent, _ = dialogues(ladder, variant)
    looked = [line for before, line in zip(sent, sent[1:] + [""]) if " APPEND " in before and re.search(r" SELECT ", line)]
    assert bool(looked) == (variant != "none"), looked


# --- logins and TLS -------------------------------------------------------------------------------------------------

class OldServer:
    """Speaks TLS 1.2 at most; says nothing after the greeting."""

    def __init__(self, certificate):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate.cert_file, certificate.key_file)
        self.context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = self.listener.getsockname()
        self.said, self.spoken = [], []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                with self.context.wrap_socket(client, server_side=True) as secure:
                    self.spoken.append(secure.version())
                    secure.sendall(b"* BYE not today\r\n")
            except OSError as error:
                self.said.append(str(error))

    def endpoint(self):
        return {"host": self.host, "port": self.port, "login": "{mailbox}*{trusted}", "trusted": "mirror", "password": "x"}

    def stop(self):
        self.listener.close()


class Doors:
    """Servers with TLS and without, another separator, PROXYAUTH, and proxies that note what is said before the login."""

    def __init__(self):
        self.here, self.there = Dovecot(tls=True), Dovecot(tls=True, storage="mdbox", delimiter=".")
        self.plain_here, self.plain_there = Dovecot(separator="+"), Dovecot(separator="+", delimiter=".")
        self.servers = [self.here, self.there, self.plain_here, self.plain_there]
        self.generator = Generator(62, scale=0.02)
        self.other = make_certificate(private_directory("ca-"))

    def __enter__(self):
        for server in self.servers:
            server.start()
        trusted = (self.here.trusted, self.here.password)
        self.filters = {name: [Filter(server.host, server.port, separator="+", **more)
                               for server in (self.plain_here, self.plain_there)]
                        for name, more in (("proxyauth", {"proxyauth": trusted}), ("ir", {}), ("no-ir", {}))}
        self.old = OldServer(self.here.certificate)
        always = {"tls": "always", "ca_file": str(self.here.certificate.ca_file)}
        ends = {
            "template": (site("", self.here), site("", self.there)),
            "other-template": (site("", self.plain_here), site("", self.plain_there)),
            "plain": (self.of(self.here, "sasl-plain", port=self.here.tls_port, **always),
                      self.of(self.there, "sasl-plain", port=self.there.tls_port, tls="always", tls_min_version="1.3")),
            "proxyauth": self.through("proxyauth", "proxyauth"),
            "ir": self.through("ir", "sasl-plain"),
            "no-ir": self.through("no-ir", "sasl-plain", disable_capabilities=["SASL-IR"]),
            "wrong-ca": (site("", self.here), site("", self.there, port=self.there.tls_port, tls="always",
                                                   ca_file=str(self.other.ca_file))),
            "too-old": (site("", self.here), site("", self.old, tls="always", tls_min_version="1.3",
                                                  ca_file=str(self.here.certificate.ca_file))),
            "no-starttls": (site("", self.here), site("", self.plain_there, port=self.filters["ir"][1].port,
                                                      tls="starttls")),
        }
        ends["no-starttls"][1]["imap"]["host"] = "localhost"  # the same door as another site's, under another name
        sites, routes = {}, {}
        for route, pair in ends.items():
            names = (f"{route}-here", f"{route}-there")
            for name, spec in zip(names, pair):
                sites[name] = {**spec, "name": name,
                               "trusted_server": {"name": "mirror", "password_file": f"{name}.secret"}}
            routes[route] = names
        secrets = {f"{name}.secret": self.here.password for name in sites}
        self.product = Mirrored(sites, routes, secrets=secrets).start()
        return self

    @staticmethod
    def of(server, login, **imap):
        return {**site("", server, **imap), "login": login}

    def through(self, name, login, **imap):
        return tuple(self.of(server, login, port=door.port, **imap)
                     for server, door in zip((self.plain_here, self.plain_there), self.filters[name]))

    def __exit__(self, kind, *_):
        self.product.__exit__(kind)
        self.old.stop()
        for door in sum(self.filters.values(), []):
            door.stop()
        for server in self.servers:
            server.discard()

    def voicemail(self):
        return [self.generator.tiny(flags=("\\Seen", "Urgent")), self.generator.tiny()]


@pytest.fixture(scope="module")
def doors():
    with Doors() as doors:
        yield doors


@pytest.mark.parametrize("route, mailbox", [("template", "6201"), ("plain", "6202"), ("other-template", "6203"),
                                            ("proxyauth", "6204"), ("ir", "6205"), ("no-ir", "6206")])
def test_logins(doors, route, mailbox):
    tls = route in ("template", "plain")
    ends = (doors.here, doors.there) if tls else (doors.plain_here, doors.plain_there)
    with ends[0].imap(mailbox) as connection:
        for message in doors.voicemail():
            connection.append("INBOX", f"({' '.join(message.flags)})", f'"{message.internaldate}"', message.data)
    doors.product.add(route, mailbox)
    doors.product.sync(mailbox)
    sides = [SimpleNamespace(endpoint=lambda end=end: secured(end, tls)) for end in ends]
    assert_equal(*sides, mailbox)
    for server in ends:
        logins = [line for line in (server.root / "info.log").read_text().splitlines() if f"Login: user=<{mailbox}>" in line]
        assert logins and all((", TLS" in line) == tls for line in logins)
    said = sum((door.commands for door in doors.filters.get(route, [])), [])
    if route == "proxyauth":
        assert any(line.endswith("PROXYAUTH") for line in said)
    if route in ("ir", "no-ir"):
        tried = [line for line in said if "AUTHENTICATE" in line]
        assert tried and all(bool(re.search(USED["SASL-IR"][0], line)) == (route == "ir") for line in tried)


def secured(server, tls):
    spec = server.endpoint()
    return {**spec, "tls": "starttls", "ca_file": str(server.certificate.ca_file)} if tls else spec


@pytest.mark.parametrize("route, mailbox, words", [
    ("wrong-ca", "6211", "certificate"), ("too-old", "6212", "version"), ("no-starttls", "6213", "STARTTLS")])
def test_tls_that_cannot_be_had(doors, route, mailbox, words):
    """The error says which it was, and nothing was sent in clear."""
    doors.product.add(route, mailbox)
    mirror = doors.product.wait_mirror(lambda mirror: mirror["error"], mailbox, route) and doors.product.mirror(mailbox, route)
    assert mirror["error"]["side"] == "target" and words in mirror["error"]["text"], mirror["error"]
    assert doors.product.ctl("why", mailbox).exit == 1
    for server in (doors.there, doors.plain_there):
        assert f"user=<{mailbox}>" not in (server.root / "info.log").read_text()
    assert doors.old.spoken == []
