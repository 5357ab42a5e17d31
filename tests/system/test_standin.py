"""The stand-ins themselves: what they promise to the tests that use them, and that nothing of them survives."""

import email
import imaplib
import shutil
import signal
import ssl
import subprocess
import sys
import textwrap
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from standin import names  # noqa: E402
from standin.compare import Endpoint, compare  # noqa: E402
from standin.dovecot import Dovecot, rawlog_lines  # noqa: E402
from standin.guard import Guarded, GuardError, process_table  # noqa: E402
from standin.imap4d import Imap4d  # noqa: E402
from standin.ports import private_directory, wait_for  # noqa: E402
from standin.proxy import Filter, Proxy  # noqa: E402
from standin.relay import Liar  # noqa: E402
from standin.scripted import DialogueError, Scripted  # noqa: E402
from standin.voicemail import (ACTIVE_GREETING, GREETINGS, INBOX, ODD_HEADERS, UNOPENED, Generator, corpus_csv,  # noqa: E402
                               imap_date, mail_date, make_corpus)
from standin.wire import Refused, Wire, WireError, tokens  # noqa: E402


@pytest.fixture(scope="module")
def dovecot():
    with Dovecot(tls="yes") as server:
        yield server


@pytest.fixture
def public_path():
    """Like tmp_path, but servers that drop root can pass through it."""
    path = private_directory()
    yield path
    shutil.rmtree(path)


# --- voicemail ---------------------------------------------------------------------------------------------------

def test_the_same_seed_makes_the_same_corpus():
    one, other, third = (make_corpus(Generator(seed, scale=0.01), 5, 6) for seed in (7, 7, 8))
    assert one == other and one != third


def test_corpus_holds_what_copying_programs_stumble_over():
    corpus = make_corpus(Generator(1, scale=0.05))
    assert [mailbox.number for mailbox in corpus] == [str(number) for number in range(4701, 4721)]
    everything = [message for mailbox in corpus for folder in mailbox.folders.values() for message in folder]
    assert {"voice", "urgent", "private", "forwarded", "fax", "text", "greeting", "twin", *ODD_HEADERS} == {
        message.kind for message in everything}
    flags = {flag for message in everything for flag in message.flags}
    assert {"\\Seen", "\\Flagged", "\\Answered", "\\Deleted", UNOPENED, ACTIVE_GREETING} <= flags
    assert len({message.date.utcoffset() for message in everything}) > 5
    assert corpus[-1].message_count == 0 and corpus[0].folders[("Archiv", "Empty")] == []
    assert any(name != "".join(c for c in name if ord(c) < 128) or "&" in name
               for mailbox in corpus for levels in mailbox.folders for name in levels)
    for mailbox in corpus[:-1]:
        active = [message for message in mailbox.folders[GREETINGS] if ACTIVE_GREETING in message.flags]
        assert len(active) == 1
    assert any(len(line) > 998 for message in everything for line in message.data.split(b"\r\n"))
    assert all(b"\n" not in message.data.replace(b"\r\n", b"") for message in everything)
    assert corpus_csv(corpus).splitlines()[0] == "mailbox,name" and len(corpus_csv(corpus).splitlines()) == 21


def test_structure_and_audio():
    generator = Generator(3)
    message = email.message_from_bytes(generator.voicemail("4711", seconds=10, urgent=True, private=True).data)
    assert message["MIME-Version"].startswith("1.0 (Voice 2.0)")
    assert message.get_content_type() == "multipart/voice-message" and message.get_param("version") == "2.0"
    assert message["Importance"] == "high" and message["Sensitivity"] == "private"
    assert message["Content-Duration"] == "10"
    wav = generator.audio.gsm_wav(generator.rng, 10)
    assert wav[:4] == b"RIFF" and wav[8:16] == b"WAVEfmt " and wav[20:22] == b"\x31\0"
    assert abs(len(wav) - 10 * 1625) < 100
    assert len(generator.audio.ulaw(generator.rng, 10)) == 80000
    lengths = sorted(generator.seconds() for _ in range(2000))
    assert lengths[0] >= 3 and lengths[-1] <= 120 and 19 < lengths[1000] < 25


def test_dates():
    moment = datetime(2026, 3, 3, 9, 14, 5, tzinfo=timezone(timedelta(hours=-3, minutes=-30)))
    assert imap_date(moment) == " 3-Mar-2026 09:14:05 -0330"
    assert mail_date(moment) == "Tue, 3 Mar 2026 09:14:05 -0330"


@pytest.mark.parametrize("text, wire", [("Grüße & mehr", b"Gr&APwA3w-e &- mehr"), ("R&D", b"R&-D"), ("plain", b"plain"),
                                        ("日本語", b"&ZeVnLIqe-"), ("😀", b"&2D3eAA-"), ("&", b"&-")])
def test_modified_utf7(text, wire):
    assert names.mutf7_encode(text) == wire and names.mutf7_decode(wire) == text


def test_levels():
    assert names.levels_of(b"inbox.R&-D", ".") == ("INBOX", "R&D")
    assert names.levels_of(b"a.b", None) == ("a.b",)
    assert names.mutf7_decode(b"broken & name &AB") == "broken & name &AB"


def test_wire_tokens():
    assert tokens([b'LIST (\\A \\B) "." "a\\"b"']) == [b"LIST", [b"\\A", b"\\B"], b".", b'a"b']
    assert tokens([b"1 FETCH (UID 5 BODY[] {3}", b"a)b", b" X NIL)"]) == [
        b"1", b"FETCH", [b"UID", b"5", b"BODY[]", b"a)b", b"X", None]]
    assert tokens([b"1 FETCH (BODY[HEADER.FIELDS (TO)] {0}", b"", b")"]) == [
        b"1", b"FETCH", [b"BODY[HEADER.FIELDS (TO)]", b""]]
    with pytest.raises(WireError):
        tokens([b"LIST )"])


# --- Dovecot -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("storage, delimiter", [("maildir", "."), ("mdbox", "/")])
def test_dovecot_keeps_what_it_is_given(storage, delimiter, dovecot):
    corpus = make_corpus(Generator(5, scale=0.02), 3, 6)
    began = time.monotonic()
    with Dovecot(storage=storage, delimiter=delimiter) as server:
        assert time.monotonic() - began < 1.5
        server.fill_corpus(corpus)
        with server.wire("4701") as wire:
            assert wire.delimiter() == delimiter
            assert {names.levels_of(name, delim) for name, delim, attributes in wire.folders()
                    if "\\noselect" not in attributes} == set(corpus[0].folders)
            assert wire.examine(b"INBOX") == len(corpus[0].folders[INBOX])
            seen = []
            wire.fetch("1:*", "FLAGS BODY.PEEK[]", seen.append)
        for message, stored in zip(corpus[0].folders[INBOX], seen, strict=True):
            assert stored["BODY[]"] == message.data
            assert set(message.flags) == {flag.decode() for flag in stored["FLAGS"]} - {"\\Recent"}
        assert len([event for event in server.events() if event[1] == "save"]) == sum(
            mailbox.message_count for mailbox in corpus)
        if storage == "mdbox":
            dovecot.fill_corpus(corpus)
            outcome = compare(dovecot.endpoint(), server.endpoint(), ["4701", "4702", "4703"])
            assert outcome.equal and outcome.messages == sum(mailbox.message_count for mailbox in corpus)
        assert not server.errors(), server.errors()


def test_logins(dovecot):
    connection = dovecot.imap("4801", tls=True)
    assert connection.select("INBOX")[0] == "OK"
    connection.logout()
    with Wire(dovecot.host, dovecot.port) as wire:
        wire.login_plain("4801", dovecot.trusted, dovecot.password)
    with pytest.raises(Refused):
        Endpoint.of({**dovecot.endpoint(), "password": "wrong"}).enter("4801")
    with pytest.raises(Refused), Wire(dovecot.host, dovecot.port) as wire:
        wire.login("4801", dovecot.password)


def test_tls(dovecot):
    ca_file = dovecot.certificate.ca_file
    for port, tls in ((dovecot.port, "starttls"), (dovecot.tls_port, "always")):
        with Wire(dovecot.host, port, tls=tls, ca_file=ca_file) as wire:
            wire.login("4801*mirror", dovecot.password)
    with pytest.raises(ssl.SSLCertVerificationError):
        imaplib.IMAP4(dovecot.host, dovecot.port).starttls(ssl.create_default_context())


def test_password_changes_while_running(dovecot):
    for password in ("Other12345", "Trusted12"):
        old = dovecot.password
        dovecot.set_trusted("mirror", password)
        dovecot.wire("4801").close()
        with pytest.raises(Refused):
            Endpoint.of({**dovecot.endpoint(), "password": old}).enter("4801")


def test_rawlog_and_events(dovecot):
    dovecot.clear_rawlogs()
    before = len(dovecot.events())
    dovecot.deliver("4802", "INBOX", Generator(1).tiny("4802", flags=("\\Seen",)))
    with dovecot.wire("4802") as wire:
        wire.run("SELECT INBOX")
        wire.run("UID STORE 1 +FLAGS (\\Deleted)")
        wire.run("EXPUNGE")
    commands = [line.split(" ", 1)[1] for line in dovecot.commands()]
    assert [command.split()[0] for command in commands] == [
        "CAPABILITY", "APPEND", "LOGOUT", "SELECT", "UID", "EXPUNGE", "LOGOUT"]
    assert any("APPENDUID" in line for line in dovecot.answers())
    events = wait_for(lambda: [event[1] for event in dovecot.events(before)][-2:] == ["flag_change", "expunge"] or
                      [event[1] for event in dovecot.events(before)], what="events")
    assert events is True or "expunge" in events


def test_rawlog_lines_leave_literals_out():
    data = (b"1.000001 a APPEND x {12+}\r\n1.000001 b LOGOUT\r\n1.000002 \r\n (\\Seen) {2}\r\n1.000003 yy\r\n"
            b"1.000004 c NOOP\r\n")
    assert rawlog_lines(data) == ["a APPEND x {12+} (\\Seen) {2}", "c NOOP"]


def test_capabilities_can_be_overridden_and_sessions_limited():
    with Dovecot(capabilities="IMAP4rev1 IDLE", max_userip_connections=2) as server:
        held = [server.wire("4701") for _ in range(2)]
        assert held[0].capabilities() == {"IMAP4REV1", "IDLE"}
        with pytest.raises(Refused) as refused:
            server.wire("4701")
        assert "Maximum number of connections" in refused.value.text
        server.deliver("4702", "INBOX", Generator(1).tiny(), Generator(2).tiny())
        for wire in held:
            wire.close()


def test_wrong_configuration_is_told():
    server = Dovecot(extra="nonsense = yes")
    with pytest.raises(GuardError, match="nonsense"):
        server.start()


# --- nothing survives --------------------------------------------------------------------------------------------

def alive(pids):
    table = process_table()
    return [(pid, table[pid]) for pid in pids if pid in table and table[pid][1] != "Z"]


def test_stop_ends_paused_children():
    with Dovecot() as server:
        wire = server.wire("4701")
        assert len(server.pause("4701")) == 1
        pids = [pid for pid, _ in server.processes_running()]
        assert len(pids) > 4
        server.stop()
        assert not alive(pids)
        wire.drop()


STARTER = textwrap.dedent("""
    import sys, time
    sys.path.insert(0, sys.argv[1])
    from standin.dovecot import Dovecot
    from standin.imap4d import Imap4d
    server = Dovecot(root=sys.argv[2] + "/dovecot").start()
    wire = server.wire("4701")
    poor = Imap4d(["4701"], root=sys.argv[2] + "/imap4d").start()
    held = poor.wire("4701")
    server.pause("4701")
    print(*[pid for pid, _ in server.processes_running() + poor.processes_running()],
          server._guard.watcher_pid, poor._guard.watcher_pid, flush=True)
    time.sleep(600)
""")


def test_nothing_outlives_a_killed_starter(public_path):
    """SIGKILL to the starter: Dovecot's processes with their own sessions, and a paused one, go as well."""
    starter = subprocess.Popen([sys.executable, "-c", STARTER, Path(__file__).resolve().parents[1], public_path],
                               stdout=subprocess.PIPE, text=True)
    pids = [int(word) for word in starter.stdout.readline().split()]
    assert len(pids) >= 8 and len(alive(pids)) == len(pids)
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    starter.stdout.close()
    wait_for(lambda: not alive(pids), 10, "the servers' end")


def test_guard_tells_exit_status_and_what_was_left(tmp_path):
    guard = Guarded(["sh", "-c", "setsid sleep 300 & exit 7"], log=tmp_path / "log")
    wait_for(lambda: not guard.alive(), what="the shell's end")
    status, left = guard.stop()
    assert status == 7 and [entry.split()[1] for entry in left] == ["sleep"]
    assert not alive([int(entry.split()[0]) for entry in left])
    with pytest.raises(GuardError, match="cannot start"):
        Guarded(["/does/not/exist"], log=tmp_path / "log")


# --- imap4d ------------------------------------------------------------------------------------------------------

def test_imap4d_is_as_poor_as_described():
    generator = Generator(2, scale=0.02)
    with Imap4d(["4701", "4702"]) as server:
        with server.wire("4701") as wire:
            assert {"IMAP4REV1", "LITERAL+", "UNSELECT"} <= wire.capabilities()
            assert not {"UIDPLUS", "MULTIAPPEND", "CONDSTORE", "LIST-STATUS"} & wire.capabilities()
            with pytest.raises(Refused, match="Unrecognized flag"):
                wire.append(b"INBOX", [(b"a: b\r\n\r\nc\r\n", ("$Key",), None)])
        message = generator.voicemail("4701", date=datetime(2026, 3, 3, 9, 0, tzinfo=timezone(timedelta(hours=1))),
                                      flags=("\\Seen",))
        server.deliver("4701", ("Archiv", "Grüße & mehr"), message)
        server.add_mailboxes(["4703"])
        server.wire("4703").close()
        with Dovecot() as production:
            production.deliver("4701", ("Archiv", "Grüße & mehr"), message)
            production.wire("4701").close()
            outcome = compare(production.endpoint(), server.endpoint(), ["4701", "4702"])
            assert outcome.equal, outcome.differences


# --- proxies -----------------------------------------------------------------------------------------------------

def test_proxy_delays_stalls_and_cuts(dovecot):
    with Proxy(dovecot.host, dovecot.port, delay_ms=20) as proxy:
        wire = Wire(proxy.host, proxy.port, timeout=5)
        wire.login("4803*mirror", dovecot.password)
        began = time.monotonic()
        wire.run("NOOP")
        assert 0.04 <= time.monotonic() - began < 1
        proxy.stall()
        wire._socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            wire.run("NOOP")
        proxy.go_on()
        wire.drop()
        proxy.delay_ms, proxy.cut_after_up = 0, 5000
        wire = Wire(proxy.host, proxy.port, timeout=5)
        wire.login("4803*mirror", dovecot.password)
        with pytest.raises((WireError, OSError)):
            wire.append(b"INBOX", [(Generator(1).tiny(size=20000).data, (), None)])
        wire.drop()
        assert proxy.cuts == 1
        proxy.refuse = True
        with pytest.raises((WireError, OSError)):
            Wire(proxy.host, proxy.port)


def test_filter_takes_capabilities_away_for_real(dovecot):
    without = ["UIDPLUS", "MULTIAPPEND", "LITERAL+", "CONDSTORE", "QRESYNC", "ESEARCH", "LIST-STATUS", "ENABLE", "ID"]
    with Filter(dovecot.host, dovecot.port, without) as poor:
        with Wire(poor.host, poor.port, timeout=5) as wire:
            wire.login("4804*mirror", dovecot.password)
            assert not wire.capabilities() & set(without)
            messages = [(Generator(seed).tiny(size=3000).data, ("\\Seen",), None) for seed in range(3)]
            wire.append(b"INBOX", messages)
            text, _ = wire.run("APPEND INBOX", messages[0][0])
            assert "APPENDUID" not in text
            _, untagged = wire.run("SELECT INBOX")
            assert not any(b"HIGHESTMODSEQ" in part for answer in untagged for part in answer if part)
            for command in ("UID EXPUNGE 1", "ENABLE CONDSTORE", "UID SEARCH RETURN (ALL) ALL", "ID NIL",
                            "UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1)", 'LIST "" * RETURN (STATUS (MESSAGES))',
                            "STATUS INBOX (HIGHESTMODSEQ)", "APPEND INBOX {5+}\r\nhello"):
                with pytest.raises(Refused, match="BAD"):
                    wire.run(command)
            bodies = []
            wire.fetch("1:*", "BODY.PEEK[]", bodies.append)
            assert len(bodies) == 4 and bodies[0]["BODY[]"] == messages[0][0]
        assert len(poor.violations) == 8


def test_filter_speaks_proxyauth(dovecot):
    dovecot.deliver("4805", "INBOX", Generator(1).tiny())
    with Filter(dovecot.host, dovecot.port, proxyauth=("mirror", dovecot.password)) as store:
        with Wire(store.host, store.port, timeout=5) as wire:
            with pytest.raises(Refused):
                wire.run("PROXYAUTH 4805")
            with pytest.raises(Refused):
                wire.login("mirror", "wrong")
            wire.login("mirror", dovecot.password)
            wire.run("PROXYAUTH", b"4805")
            assert wire.examine(b"INBOX") == 1
            wire.run('PROXYAUTH "4806"')
            assert wire.examine(b"INBOX") == 0


def answers(wire, command):
    return [[part for part in answer if part is not None] for answer in wire.run(command)[1]]


def test_liar_leaves_out_and_tells_other_figures(dovecot):
    generator = Generator(3, scale=0.02)
    dovecot.fill("4807", {INBOX: [generator.tiny() for _ in range(5)], ("Archive", "2026"): [generator.tiny()]})
    with Liar(dovecot) as liar, Wire(liar.host, liar.port, timeout=5) as wire:
        wire.login("4807*mirror", dovecot.password)

        def told():
            listed = answers(wire, 'LIST "" * RETURN (STATUS (MESSAGES UIDNEXT))')
            wire.run("EXAMINE INBOX")
            return ([answer[-1].decode() for answer in listed if answer[0] == b"LIST"],
                    [answer[2] for answer in listed if answer[0] == b"STATUS" and answer[1] == b"INBOX"],
                    len(answers(wire, "UID SEARCH ALL")[0]) - 1, answers(wire, "UID SEARCH RETURN (ALL) ALL")[0][-1],
                    len(answers(wire, "UID FETCH 1:* (UID FLAGS)")), len(answers(wire, "UID FETCH 3 (UID FLAGS)")))

        def status(messages, uidnext):
            return [[b"MESSAGES", b"%d" % messages, b"UIDNEXT", b"%d" % uidnext]]

        truth = ["Archive", "Archive/2026", "INBOX"], status(5, 6), 5, b"1:5", 5, 1
        assert told() == truth
        liar.hide_folder("4807", "Archive/2026")
        liar.shorten("4807", "INBOX", [3, 5])
        liar.set_figure("4807", "INBOX", "UIDNEXT", 2)
        assert told() == (["Archive", "INBOX"], status(5, 2), 3, b"1,2,4", 3, 1)
        wire.run("EXAMINE Archive/2026")
        liar.tell_truth()
        liar.hide_all_folders("4807")
        liar.shorten("4807", "INBOX", [1, 2, 3, 4, 5], listing=False, counts=True)
        folders, _, *rest = told()
        assert (folders, rest[0], rest[2], wire.examine(b"INBOX")) == ([], 0, 5, 0)
        liar.tell_truth()
        assert told() == truth


DIALOGUE = """\
# For a test of the player itself. Expected: nothing. Scope: none.
text hello
| Subject: hi\\0
|
|*2 again\\n
mailbox 4711-4712
1 C: NOOP
S: $ NO not the first time
C: NOOP
S: * 3 EXPUNGE
s: $ OK
S:  \\x41
C: APPEND ...
S: + go on
take all
S: $ OK [APPENDUID 1 {#hello}] thanks
C: UID FETCH 1...
slow 1000: * 1 FETCH (UID 1 BODY[HEADER] {^hello} BODY[] {=hello})
S: $ OK
maybe C: UNSELECT
S: $ OK
C: CHECK
S: * BYE enough
cut
"""


def test_scripted_server_says_what_stands_in_its_file(tmp_path):
    path = tmp_path / "dialogue.txt"
    path.write_text(DIALOGUE)
    with Scripted(path) as server:
        with Wire(server.host, server.port, timeout=5) as wire:
            wire.login("4712*mirror", server.password)
            with pytest.raises(Refused, match="not the first time"):
                wire.run("NOOP")
            text, untagged = wire.run("NOOP")
            assert (text, untagged) == ("A", [[b"3", b"EXPUNGE"]])
            assert "[APPENDUID 1 32] thanks" in wire.run("APPEND INBOX", b"x" * 5000)[0]
            (answer,) = wire.run("UID FETCH 1 (BODY[])")[1]
            items = answer[-1]
            body = b"Subject: hi\0\r\n\r\nagain\n\r\nagain\n\r\n"
            assert items[3] == b"Subject: hi\0\r\n\r\n" and items[5] == body and len(body) == 32, items
            with pytest.raises(AssertionError, match=r"dialogue.txt:\d+: nobody said: CHECK"):
                server.assert_played()
            with pytest.raises(WireError):
                wire.run("CHECK")
            wire.drop()
        server.assert_played()
        with Wire(server.host, server.port, timeout=5) as wire:
            wire.login("4711*mirror", server.password)
            with pytest.raises(Refused, match="not in the dialogue"):
                wire.run("UID FETCH 2 (BODY[])")
        with pytest.raises(AssertionError, match=r"(?s)mailbox 4711: the client said .*said: +UID FETCH 2 \(BODY\[\]\)\n"
                                                 r"  expected: UID FETCH 1\.\.\. "):
            server.assert_played()
    path.write_text("mailbox 1\nC: NOOP\nT: what\n")
    with pytest.raises(DialogueError, match="dialogue.txt:3: not understood: T: what"):
        Scripted(path)


def test_scripted_server_before_a_real_one(dovecot, tmp_path):
    path = tmp_path / "dialogue.txt"
    path.write_text("mailbox 4808\n1 C: APPEND ...\nswallow\ncut\nC: ...\npass\n")
    with Scripted(path, server=dovecot) as server:
        wire = Wire(server.host, server.port, timeout=5)
        wire.login("4808*mirror", dovecot.password)
        with pytest.raises(WireError):
            wire.append(b"INBOX", [(b"a: b\r\n\r\nc\r\n", (), None)])
        wire.drop()
        with Wire(server.host, server.port, timeout=5) as wire:
            wire.login("4808*mirror", dovecot.password)
            assert wire.examine(b"INBOX") == 1, "stored, though it did not say so"
        server.assert_played()
