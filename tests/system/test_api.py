"""The HTTP API of mirror-api, alone with its database: what it answers, what it refuses, and what it survives."""
import concurrent.futures
import json
import os
import re
import signal
import socket
import time

import pytest

from helpers import wait_for
from served import MariaDB, Served, scanners_inbox, tls_context
from standin.certificates import make_certificate


@pytest.fixture(scope="module")
def database():
    with MariaDB() as running:
        yield running


@pytest.fixture
def api(database, workdir):
    served = Served(workdir, database).migrate().start()
    served.sql("DELETE FROM mailbox; DELETE FROM mirror; DELETE FROM look; DELETE FROM audit; "
               "DELETE FROM plan; DELETE FROM plan_message; DELETE FROM plan_entry; DELETE FROM site_fingerprint")
    yield served
    served.end()


def add(api, *numbers, **more):
    for number in numbers:
        assert api.ask("POST", "/api/v1/mailboxes", {"mailbox": number, **more}).status == 201


def listed(api, query=""):
    return api.ask("GET", f"/api/v1/mailboxes{query}").json


# --- who may ask ------------------------------------------------------------------------------------------------------

def test_token_is_made_once_and_private(api):
    assert re.fullmatch("[0-9a-f]{64}\n", api.token_file.read_text())
    assert api.token_file.stat().st_mode & 0o7777 == 0o600
    before = api.token
    assert api.stop() == 0
    api.start()
    assert api.token == before
    assert not list(api.database.data_dir.glob("api.token.*")), "a part of the token file was left"


def test_requests_without_the_token(api):
    for token in (None, "0" * 64, api.token[:-1], api.token + "0"):
        for path in ("/api/v1/status", "/api/v1/mailboxes", "/nothing"):
            answer = api.ask("GET", path, token=token)
            assert "api.token" in answer.problem(401)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert api.ask("GET", "/api/v1/status", headers={"Authorization": "Basic eDp5"}).status == 401
    assert api.ask("POST", "/api/v1/import", b"mailbox\n1\n", token=None).status == 401
    for path in ("/health/live", "/health/ready"):
        assert api.ask("GET", path, token=None).json == {"status": "ok"}
    assert "requests without a good token" in api.log() and api.token not in api.log()


def test_a_new_token_is_taken_on_sighup(api):
    old = api.token
    api.token_file.unlink()
    os.kill(api.guard.pid, signal.SIGHUP)
    wait_for(lambda: api.token_file.exists() and api.ask("GET", "/api/v1/status").status == 200, 10, "a new token")
    assert api.token != old and api.ask("GET", "/api/v1/status", token=old).status == 401


def test_a_broken_configuration_does_not_end_it(api):
    api.config.write_text("data_dir: [\n")
    os.kill(api.guard.pid, signal.SIGHUP)
    wait_for(lambda: "not taken" in api.log(), 10, api.log)
    assert api.ask("GET", "/api/v1/status").status == 200


def test_other_hosts_names_are_turned_away(api):
    assert api.ask("GET", "/api/v1/status", headers={"Host": "localhost:1"}).status == 200
    for host in ("evil.example", "127.0.0.1.evil.example", "10.0.0.1"):
        assert "Host" in api.ask("GET", "/api/v1/status", headers={"Host": host}).problem(421)
    assert b" 400 " in api.raw(b"GET /health/live HTTP/1.1\r\n\r\n").split(b"\r\n")[0]
    answer = api.ask("OPTIONS", "/api/v1/status", headers={"Origin": "http://evil.example"})
    assert answer.status == 405 and not [name for name in answer.headers if name.lower().startswith("access-control")]


# --- requests that are wrong ------------------------------------------------------------------------------------------

def test_paths_and_methods(api):
    for path in ("/", "/api/v1", "/api/v2/status", "/api/v1/status/", "/api/v1/mailboxes/1%2F2", "/api/v1/mailboxes/1%00",
                 "/api/v1/mailboxes/%C3%A4", "/api/v1/mailboxes/-1", "/api/v1/mailboxes/" + "1" * 65):
        api.ask("GET", path).problem(404)
    for method, path, allow in (("POST", "/api/v1/status", "GET"), ("PUT", "/api/v1/mailboxes", "GET, POST"),
                                ("PATCH", "/api/v1/mailboxes/1", "GET, DELETE"), ("GET", "/api/v1/import", "POST")):
        answer = api.ask(method, path)
        answer.problem(405)
        assert answer.headers["Allow"] == allow


@pytest.mark.parametrize("body, status", [
    ("", 400), ("{", 400), ("[]", 400), ("null", 400), ('{"mailbox":"1"} x', 400), ('{"mailbox":"1","mailbox":"2"}', 400),
    (b'{"mailbox":"\xff"}', 400), ('{"a":' * 100 + "1" + "}" * 100, 400), ('{"mailbox":"1\\u0000"}', 400),
    ("{}", 422), ('{"mailbox":1}', 422), ('{"mailbox":""}', 422), ('{"mailbox":"a b"}', 422), ('{"mailbox":null}', 422),
    ('{"mailbox":"1","name":7}', 422), ('{"mailbox":"1","name":"%s"}' % ("x" * 300), 422),
    ('{"mailbox":"1","name":"a\\nb"}', 422), ('{"mailbox":"1","cos":"%s"}' % ("1" * 40), 422),
    ('{"mailbox":"1","priority":"high"}', 422), ('{"mailbox":"1","priority":9}', 422), ('{"mailbox":"1","priority":-1}', 422),
    ('{"mailbox":"1","priority":1.5}', 422), ('{"mailbox":"1","routes":"dr"}', 422), ('{"mailbox":"1","routes":[1]}', 422),
    ('{"mailbox":"1","routes":["nowhere"]}', 422), ('{"mailbox":"1","routes":[%s]}' % ",".join(['"dr"'] * 5000), 201),
])
def test_bodies_of_add(api, body, status):
    answer = api.ask("POST", "/api/v1/mailboxes", body)
    assert answer.status == status, answer.body
    if status >= 400:
        assert answer.problem(status)


@pytest.mark.parametrize("path", ["/api/v1/sync", "/api/v1/verify"])
@pytest.mark.parametrize("body, status", [
    ("x", 400), ('{"mailboxes":"1"}', 422), ('{"mailboxes":[1]}', 422), ('{"mailboxes":["a b"]}', 422), ('{"deep":1}', 422),
    ('{"mailboxes":["77"]}', 404), ("{}", 202), ('{"mailboxes":[]}', 202),
])
def test_bodies_of_sync_and_verify(api, path, body, status):
    answer = api.ask("POST", path, body)
    assert answer.status == status, answer.body


def test_queries(api):
    for query in ("?limit=0", "?limit=1001", "?limit=x", "?mailbox=a%20b", "?route=", "?after=%00"):
        api.ask("GET", f"/api/v1/mailboxes{query}").problem(400)
    assert listed(api, "?mailbox=4711&x=1&y=2&x=3") == {"mailboxes": [], "next": None}


def test_media_types(api):
    for path, kind in (("/api/v1/mailboxes", "text/plain"), ("/api/v1/mailboxes", "application/jsonx"),
                       ("/api/v1/import", "application/json"), ("/api/v1/sync", "text/csv")):
        assert "Content-Type" in api.ask("POST", path, b"{}", headers={"Content-Type": kind}).problem(415)
    kind = {"Content-Type": "application/json; charset=utf-8"}
    assert api.ask("POST", "/api/v1/sync", b"{}", headers=kind).status == 202
    assert api.ask("POST", "/api/v1/sync").status == 202


def head(api, line, *headers):
    return "\r\n".join([line + " HTTP/1.1", "Host: localhost", f"Authorization: Bearer {api.token}", *headers, "",
                        ""]).encode()


def test_sizes(api):
    big = b'{"mailbox":"' + b"1" * 70000 + b'"}'
    assert "65536" in api.ask("POST", "/api/v1/mailboxes", big).problem(413)
    chunked = ("Transfer-Encoding: chunked", "Content-Type: application/json", "Connection: close")
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(big), big)
    assert b" 413 " in api.raw(head(api, "POST /api/v1/mailboxes", *chunked) + body).split(b"\r\n")[0]
    for length in ("100000000", "18446744073709551615", "99999999999999999999999", "-1", "x"):
        first = api.raw(head(api, "POST /api/v1/import", "Content-Type: text/csv", f"Content-Length: {length}",
                             "Connection: close")).split(b"\r\n")[0]
        assert b" 413 " in first or b" 400 " in first, (length, first)
    # a body without end is not read for ever
    endless = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    with socket.create_connection(("127.0.0.1", api.port), 20) as sock:
        sock.sendall(head(api, "POST /api/v1/mailboxes", *chunked))
        with pytest.raises(OSError):
            for _ in range(1000):
                sock.sendall(endless)
    assert b" 413 " in api.raw(head(api, "GET /api/v1/status", "Content-Length: 5")).split(b"\r\n")[0]
    many = [f"X-{number}: {'y' * 100}" for number in range(1000)]
    assert b" 431 " in api.raw(head(api, "GET /api/v1/status", *many)).split(b"\r\n")[0]
    assert b" 414 " in api.raw(head(api, "GET /" + "x" * 40000)).split(b"\r\n")[0]
    assert api.ask("GET", "/api/v1/status").status == 200


def test_garbage(api):
    for data in (b"\0" * 1000, b"\x16\x03\x01\x02\x00" + os.urandom(500), b"GET\r\n\r\n", b"\r\n" * 2000, os.urandom(5000)):
        with socket.create_connection(("127.0.0.1", api.port), 1) as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            try:
                sock.recv(65536)
            except OSError:
                pass
    assert api.ask("GET", "/api/v1/status").status == 200
    assert not api.complaints()


# --- slow and many ----------------------------------------------------------------------------------------------------

def drip(api, first, seconds):
    """Seconds until the server ends a connection that sends a byte a second."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", api.port), 5) as sock:
        sock.sendall(first)
        sock.settimeout(1)
        while time.monotonic() - began < seconds:
            try:
                sock.sendall(b"x")
                if not sock.recv(4096):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
    return time.monotonic() - began


def test_slow_senders_are_cut(api):
    slow = [b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX: ",
            head(api, "POST /api/v1/mailboxes", "Content-Type: application/json", "Content-Length: 60000")]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        took = list(pool.map(lambda first: drip(api, first, 60), slow))
    assert took[0] < 30 and took[1] < 45, took
    assert api.ask("GET", "/api/v1/status").status == 200


def test_many_connections(api):
    idle = []
    try:
        for _ in range(300):
            idle.append(socket.create_connection(("127.0.0.1", api.port), 5))
        began = time.monotonic()
        assert api.ask("GET", "/health/live", token=None, timeout=30).status == 200
        assert time.monotonic() - began < 15
    finally:
        for sock in idle:
            sock.close()
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: api.ask("GET", "/api/v1/mailboxes").status, range(500)))
    assert answers == [200] * 500


def test_one_connection_serves_many_requests(api):
    connection = api.connection()
    for _ in range(50):
        connection.request("GET", "/api/v1/status", headers={"Authorization": f"Bearer {api.token}"})
        answer = connection.getresponse()
        assert answer.status == 200 and answer.read()
    connection.close()


# --- mailboxes --------------------------------------------------------------------------------------------------------

def test_add_show_change_remove(api):
    answer = api.ask("POST", "/api/v1/mailboxes", {"mailbox": "1001", "name": "Jörg Winter", "cos": "12", "priority": 2,
                                                   "routes": ["dr"]})
    assert answer.status == 201 and answer.headers["Location"] == "/api/v1/mailboxes/1001"
    assert answer.json["result"] == "added" and [mirror["route"] for mirror in answer.json["mirrors"]] == ["dr"]
    shown = api.ask("GET", "/api/v1/mailboxes/1001").json
    assert (shown["name"], shown["cos"], shown["priority"]) == ("Jörg Winter", "12", 2)
    mirror = shown["mirrors"][0]
    assert mirror["state"] == "new" and not mirror["well"] and mirror["proven_age_seconds"] is None
    again = api.ask("POST", "/api/v1/mailboxes", {"mailbox": "1001"})
    assert again.status == 200 and again.json["result"] == "changed", "the other routes were added"
    assert [mirror["route"] for mirror in again.json["mirrors"]] == ["branch", "dr"]
    assert again.json["name"] == "Jörg Winter" and again.json["priority"] == 2, "what is not given stays"
    assert api.ask("POST", "/api/v1/mailboxes", {"mailbox": "1001"}).json["result"] == "unchanged"
    assert api.ask("DELETE", "/api/v1/mailboxes/1001").json == {"number": "1001", "result": "removed"}
    api.ask("DELETE", "/api/v1/mailboxes/1001").problem(404)
    api.ask("GET", "/api/v1/mailboxes/1001").problem(404)
    assert [row[0] for row in api.sql("SELECT what FROM audit ORDER BY audit_id")] == [
        "mailbox add 1001"] * 3 + ["mailbox remove 1001"] * 2
    assert {row[0] for row in api.sql("SELECT who FROM audit")} == {"token@127.0.0.1"}
    assert not api.complaints()


def test_remove_with_copies_is_a_matter_for_copiers(api):
    """Asked for, shown, taken back by adding it again."""
    add(api, "1001")
    api.ask("DELETE", "/api/v1/mailboxes/1001?copies=perhaps").problem(422)
    answer = api.ask("DELETE", "/api/v1/mailboxes/1001?copies=remove")
    assert answer.status == 202 and answer.json == {"number": "1001", "result": "removing"}
    assert {mirror["state"] for mirror in api.ask("GET", "/api/v1/mailboxes/1001").json["mirrors"]} == {"removing"}
    assert api.sql("SELECT COUNT(*) FROM mirror WHERE wanted_seq > done_seq AND priority = 0") != [["0"]]
    assert api.ask("POST", "/api/v1/mailboxes", {"mailbox": "1001"}).json["result"] == "changed"
    assert "removing" not in {mirror["state"] for mirror in api.ask("GET", "/api/v1/mailboxes/1001").json["mirrors"]}
    assert api.ask("DELETE", "/api/v1/mailboxes/1001?copies=keep").json["result"] == "removed"
    assert api.sql("SELECT what FROM audit WHERE what LIKE '%copies'") == [["mailbox remove 1001 with its copies"]]


def test_pages(api):
    add(api, *[f"2{number:02}" for number in range(25)], routes=["dr"])
    add(api, "299", routes=["branch"])
    add(api, "100", routes=["branch"])
    seen, after, pages = [], "", 0
    while True:
        page = listed(api, f"?limit=10{after}")
        seen += [mailbox["number"] for mailbox in page["mailboxes"]]
        pages += 1
        if not page["next"]:
            break
        after = f"&after={page['next']}"
    assert pages == 3 and seen == sorted(seen) and len(seen) == len(set(seen)) == 27
    only = listed(api, "?route=branch&limit=1")
    assert [mailbox["number"] for mailbox in only["mailboxes"]] == ["100"] and only["next"] == "100"
    only = listed(api, "?route=branch&limit=1&after=100")
    assert [mailbox["number"] for mailbox in only["mailboxes"]] == ["299"]
    assert [mailbox["number"] for mailbox in listed(api, "?mailbox=224")["mailboxes"]] == ["224"]


def test_folders_of_a_mailbox(api):
    add(api, "1001", routes=["dr"])
    api.sql("""INSERT INTO folder (mirror_id, name, target_name, foreign_messages)
               SELECT mirror_id, 'Grüße', 'Greetings', 2 FROM mirror""")
    folder = api.ask("GET", "/api/v1/mailboxes/1001").json["mirrors"][0]["folders"][0]
    assert (folder["name"], folder["target_name"], folder["foreign"], folder["messages"]) == ("Grüße", "Greetings", 2, 0)


# --- import -----------------------------------------------------------------------------------------------------------

def test_import_answers_line_by_line(api):
    add(api, "1009", name="Old Name", routes=["dr"])
    answer = api.csv("\ufeffMailbox;Name;cos;priority;routes;colour\r\n"
                     "1001;Jörg;12;3;dr;red\r\n"
                     "1002\r\n"
                     "\r\n"
                     "1001;twice;;;;\r\n"
                     "10 03;;;;;\r\n"
                     "1004;\"Winter; \"\"W.\"\"\";;;dr|branch;\r\n"
                     "1005;;;9;;\r\n"
                     "1006;;;;nowhere;\r\n"
                     "1007;\"open;;;;\r\n"
                     "1008;;;;;;;;\r\n"
                     "1009;;;;;\r\n"
                     ";nobody;;;;\r\n").json
    results = {line["line"]: (line["mailbox"], line["result"]) for line in answer["lines"]}
    assert results == {2: ("1001", "added"), 3: ("1002", "added"), 5: ("1001", "refused"), 6: ("10 03", "refused"),
                       7: ("1004", "added"), 8: ("1005", "refused"), 9: ("1006", "refused"), 10: ("", "refused"),
                       11: ("1008", "refused"), 12: ("1009", "changed"), 13: ("", "refused")}
    reasons = {line["line"]: line.get("reason", "") for line in answer["lines"]}
    assert "line 2" in reasons[5] and "priority" in reasons[8] and "nowhere" in reasons[9] and "quote" in reasons[10]
    assert (answer["added"], answer["changed"], answer["unchanged"], answer["refused"]) == (3, 1, 0, 7)
    assert answer["ignored_columns"] == "colour"
    names = {mailbox["number"]: mailbox["name"] for mailbox in listed(api)["mailboxes"]}
    assert names == {"1001": "Jörg", "1002": "", "1004": 'Winter; "W."', "1009": "Old Name"}
    assert not api.complaints()


@pytest.mark.parametrize("text, words", [
    ("", "empty"), ("name,cos\nx,1\n", "mailbox"), ("mailbox,mailbox\n1,2\n", "twice"),
    ("mailbox\n1\n".encode("utf-16"), "UTF-16"), (b'"mailbox\n1\n', "quote"),
])
def test_import_of_what_is_no_such_file(api, text, words):
    assert words in api.csv(text).problem(422)


def test_import_of_a_windows_file_names_the_lines(api):
    lines = api.csv("mailbox,name\n1001,Jörg\n1002,Ann\n".encode("cp1252")).json["lines"]
    assert [line["result"] for line in lines] == ["refused", "added"] and "UTF-8" in lines[0]["reason"]


def test_a_long_import_leaves_room_for_others(api):
    text = "mailbox\n" + "".join(f"{number}\n" for number in range(10000, 14000))
    slowest = 0
    with concurrent.futures.ThreadPoolExecutor() as pool:
        imported = pool.submit(api.csv, text)
        while not imported.done():
            began = time.monotonic()
            assert api.ask("GET", "/health/ready", token=None).status == 200
            slowest = max(slowest, time.monotonic() - began)
        assert imported.result().json["added"] == 4000
    assert slowest < 2


# --- asking for work --------------------------------------------------------------------------------------------------

@pytest.fixture
def inbox(database):
    inbox = scanners_inbox(database.data_dir)
    yield inbox
    inbox.close()


def test_sync_raises_the_numbers_and_wakes_the_scanner(api, inbox):
    scanner = inbox.accept()
    add(api, "1001", "1002")
    assert [scanner.job()["type"], scanner.job()["type"]] == ["wake", "wake"], "a new mailbox needs no look before its copy"
    before = {mirror["route"]: mirror["wanted_seq"] for mirror in listed(api, "?mailbox=1001")["mailboxes"][0]["mirrors"]}
    answer = api.ask("POST", "/api/v1/sync", {"mailboxes": ["1001", "77"]}).json
    assert answer["unknown"] == ["77"] and answer["mailboxes"] == 1
    assert {mirror["route"]: mirror["wanted_seq"] for mirror in answer["mirrors"]} == {
        route: number + 1 for route, number in before.items()}
    assert scanner.job()["mailbox"] == "1001"
    everything = api.ask("POST", "/api/v1/sync").json
    assert everything["mailboxes"] == 2 and len(everything["mirrors"]) == 4
    assert scanner.job()["type"] == "wake"
    verify = api.ask("POST", "/api/v1/verify", {"mailboxes": ["1002"], "deep": True}).json
    assert [mirror["verify_wanted_seq"] for mirror in verify["mirrors"]] == [1, 1]
    assert api.sql("SELECT SUM(verify_deep), SUM(verify_wanted_seq) FROM mirror") == [["2", "2"]]


def test_pause_and_resume(api):
    add(api, "1001")
    for _ in range(2):
        assert api.ask("POST", "/api/v1/routes/dr/pause", {"reason": "upgrade"}).json == {"route": "dr", "paused": True}
    states = {mirror["route"]: mirror["state"] for mirror in listed(api)["mailboxes"][0]["mirrors"]}
    assert states == {"branch": "new", "dr": "paused"}
    routes = {route["name"]: route["paused"] for route in api.ask("GET", "/api/v1/status").json["routes"]}
    assert routes == {"branch": False, "dr": True}
    assert api.ask("POST", "/api/v1/routes/dr/resume").json["paused"] is False
    api.ask("POST", "/api/v1/routes/nowhere/pause").problem(404)
    api.ask("POST", "/api/v1/routes/dr/pause", {"reason": "x" * 600}).problem(422)
    audit = api.sql("SELECT what, detail FROM audit WHERE what LIKE 'route%' ORDER BY audit_id")
    assert audit[0] == ["route pause dr", '{"reason": "upgrade"}']


# --- what a brake holds ------------------------------------------------------------------------------------------------

def held(api, query=""):
    return [plan["id"] for plan in api.ask("GET", f"/api/v1/held{query}").json["held"]]


def test_held_plans_are_listed(api):
    add(api, "1001", "1002")
    first, second, third = api.held("1001", 31), api.held("1002", 1), api.held("1002", 2, route="branch", kind="route")
    breaker, over = api.tripped(), api.held("1001", 1, state="dissolved")
    assert held(api) == [first, second, third, breaker] and held(api, "?all=false") == held(api)
    assert held(api, "?all=true") == [first, second, third, breaker, over]
    assert held(api, "?mailbox=1001") == [first, breaker] and held(api, "?route=branch") == [third, breaker]
    page = api.ask("GET", "/api/v1/held?limit=2").json
    assert [plan["id"] for plan in page["held"]] == [first, second] and page["next"] == second
    page = api.ask("GET", f"/api/v1/held?limit=3&after={second}").json
    assert [plan["id"] for plan in page["held"]] == [third, breaker] and page["next"] is None
    for query in ("?limit=0", "?limit=1001", "?after=x", "?after=-1", "?all=yes", "?mailbox=a%20b", "?route="):
        api.ask("GET", f"/api/v1/held{query}").problem(400)
    plan = api.ask("GET", "/api/v1/held?limit=1").json["held"][0]
    assert (plan["kind"], plan["state"], plan["open"], plan["site"], plan["route"], plan["to"], plan["mailbox"]) == (
        "mailbox", "held", True, "production", "dr", "dr", "1001")
    assert plan["messages"] == {"total": 31, "open": 31, "removed": 0, "kept": 0, "back": 0}
    assert plan["reason"].startswith("31 of 40 messages are gone") and 299 < plan["made_age_seconds"] < 400
    assert plan["decided_age_seconds"] is None and plan["decided_by"] == ""
    assert plan["what"].startswith("31 messages of mailbox 1001 gone from production, and left on dr (route dr)")
    assert plan["if_allowed"].startswith("31 messages will be removed from dr, after they were looked for on production once "
                                         "more; those that are back by then stay.")
    assert plan["if_refused"].startswith("31 messages will stay on dr for good")
    status = api.ask("GET", "/api/v1/status").json["held"]
    assert (status["plans"], status["messages"]) == (3, 34) and [plan["id"] for plan in status["breakers"]] == [breaker]


def test_a_held_plan_with_its_messages(api):
    add(api, "1001")
    plan = api.held("1001", 5)
    shown = api.ask("GET", f"/api/v1/held/{plan}").json
    assert shown["id"] == plan and shown["next"] is None
    assert shown["list"][0] == {"message_id": 1000 * plan + 1, "folder": "INBOX", "uid": 21, "size_bytes": 68001,
                                "date": "2026-03-03T08:14:06.000Z", "outcome": "open"}
    seen, after = [], 0
    while after is not None:
        page = api.ask("GET", f"/api/v1/held/{plan}?limit=2&after={after}").json
        seen += [message["uid"] for message in page["list"]]
        after = page["next"]
    assert seen == [21, 22, 23, 24, 25]
    for path in ("77", "x", "0", "99999999999999999999", "18446744073709551615"):
        api.ask("GET", f"/api/v1/held/{path}").problem(404)
        api.ask("POST", f"/api/v1/held/{path}/allow", {"reason": "x"}).problem(404)
    api.ask("GET", f"/api/v1/held/{plan}?after=x").problem(400)


def test_a_held_plan_with_its_subscribers(api):
    """Shown and decided like one of messages; the directory's row is wanted, and no mailbox is needed."""
    api.sql("INSERT INTO plan (kind, site_id, route_id, reason, messages, made_at) SELECT 'subscribers', from_site_id, route_id, "
            "'30 of 900 are gone', 3, UTC_TIMESTAMP(6) FROM route WHERE name = 'dr'")
    plan = int(api.sql("SELECT MAX(plan_id) FROM plan")[0][0])
    api.sql(f"INSERT INTO plan_entry VALUES ({plan}, 71, '1001', 'Ann', 'uid=1,o=backup', 'open'), "
            f"({plan}, 72, '1002', 'Bob', 'uid=2,o=backup', 'back'), ({plan}, 73, '1003', '', 'uid=3,o=backup', 'open')")
    shown = api.ask("GET", f"/api/v1/held/{plan}?limit=2").json
    assert shown["list"] == [
        {"entry_id": 71, "number": "1001", "name": "Ann", "dn": "uid=1,o=backup", "outcome": "open"},
        {"entry_id": 72, "number": "1002", "name": "Bob", "dn": "uid=2,o=backup", "outcome": "back"}]
    assert [entry["number"] for entry in api.ask("GET", f"/api/v1/held/{plan}?limit=2&after={shown['next']}").json["list"]] == ["1003"]
    assert shown["entries"] == {"total": 3, "open": 2, "removed": 0, "kept": 0, "back": 1} and "messages" not in shown
    assert (shown["kind"], shown["mailbox"], shown["route"], shown["open"]) == ("subscribers", "", "dr", True)
    assert shown["if_allowed"].startswith("2 subscribers will be removed from dr")
    assert held(api) == [plan] and api.ask("GET", "/api/v1/held?mailbox=1002").json["held"] != []
    assert api.ask("GET", "/api/v1/held?mailbox=1009").json["held"] == api.ask("GET", "/api/v1/held?route=vault").json["held"] == []
    status = api.ask("GET", "/api/v1/status").json["held"]
    assert (status["plans"], status["messages"], status["entries"]) == (1, 0, 2)
    assert api.ask("POST", f"/api/v1/held/{plan}/allow", {"reason": "they left"}).json["state"] == "allowed"
    api.ask("POST", f"/api/v1/held/{plan}/refuse", {"reason": "or not"}).problem(409)


@pytest.mark.parametrize("body, status", [
    ("x", 400), ("[]", 400), ("{}", 422), (None, 422), ('{"reason":""}', 422), ('{"reason":"  "}', 422), ('{"reason":1}', 422),
    ('{"reason":"a\\nb"}', 422), ('{"reason":"\\u001b[2J"}', 422), ('{"reason":"%s"}' % ("x" * 801), 422),
    ('{"raeson":"x"}', 422), ('{"reason":"x","plans":[1,2]}', 422), ('{"reason":"%s"}' % ("x" * 800), 200),
])
def test_a_decision_needs_a_reason(api, body, status):
    add(api, "1001")
    plan = api.held("1001")
    answer = api.ask("POST", f"/api/v1/held/{plan}/refuse", body)
    assert answer.status == status, answer.body
    if status != 200:
        assert answer.problem(status) and held(api) == [plan] and api.sql("SELECT COUNT(*) FROM audit WHERE what LIKE 'held%'") \
            == [["0"]]


def test_allow_and_refuse(api, inbox):
    add(api, "1001", "1002", routes=["dr"])
    scanner = inbox.accept()
    api.mirrored("1001"), api.mirrored("1002")
    first, second = api.held("1001", 31), api.held("1002", 2)
    states = {mailbox["number"]: mailbox["mirrors"][0]["state"] for mailbox in listed(api)["mailboxes"]}
    assert states == {"1001": "held", "1002": "held"}
    allowed = api.ask("POST", f"/api/v1/held/{first}/allow", {"reason": "Jörg moved out"}).json
    assert (allowed["id"], allowed["state"], allowed["open"], allowed["decided_by"], allowed["decision"]) == (
        first, "allowed", False, "token@127.0.0.1", "Jörg moved out")
    assert allowed["if_allowed"] == allowed["if_refused"] == ""
    refused = api.ask("POST", f"/api/v1/held/{second}/refuse", {"reason": "a mistake"}).json
    assert refused["state"] == "refused" and "stay for good" in refused["now"]
    assert api.sql("SELECT b.number, m.wanted_seq - m.done_seq, m.priority FROM mirror m JOIN mailbox b ON b.mailbox_id = "
                   "m.mailbox_id ORDER BY 1") == [["1001", "1", "0"], ["1002", "1", "0"]], "copiers carry it out"
    assert api.sql("SELECT who, what, detail FROM audit WHERE what LIKE 'held%' ORDER BY audit_id") == [
        ["token@127.0.0.1", f"held allow {first}", "Jörg moved out"], ["token@127.0.0.1", f"held refuse {second}", "a mistake"]]
    wait_for(lambda: scanner.job()["type"] == "wake", 10, "the scanner is told")
    for verb in ("allow", "refuse"):
        said = api.ask("POST", f"/api/v1/held/{first}/{verb}", {"reason": "again"}).problem(409)
        assert re.fullmatch(f'plan {first} was allowed by token@127.0.0.1 .*seconds? ago: "Jörg moved out"', said), said
    dissolved = api.held("1001", 1, state="dissolved")
    assert "without a decision" in api.ask("POST", f"/api/v1/held/{dissolved}/allow", {"reason": "x"}).problem(409)
    assert not api.complaints()


def test_an_allowed_plan_asks_nobody_any_more(api):
    """Its copier made its turn, and the second look is due in some minutes."""
    add(api, "1001", routes=["dr"])
    plan = api.held("1001", 31)
    api.mirrored("1001")
    assert api.ask("GET", "/api/v1/mailboxes/1001/why").json["mirrors"][0]["state"] == "held"
    assert api.ask("POST", f"/api/v1/held/{plan}/allow", {"reason": "moved out"}).json["state"] == "allowed"
    api.mirrored("1001", deletion_due_at="UTC_TIMESTAMP(6) + INTERVAL 250 SECOND")
    why = api.ask("GET", "/api/v1/mailboxes/1001/why").json["mirrors"][0]
    assert (why["state"], why["well"], why["next"], why["todo"]) == ("deleting", True, "In 4 minutes.", "Nothing.")
    assert why["what"].startswith("31 messages gone from production, held until a person allowed to remove them, to be looked")
    mirror = listed(api)["mailboxes"][0]["mirrors"][0]
    assert (mirror["state"], mirror["held"], mirror["person_needed"]) == ("deleting", False, False)
    assert api.ask("GET", "/api/v1/status").json["mirrors"]["states"] == {"deleting": 1}


def test_the_breaker_of_a_site(api):
    add(api, "1001", routes=["dr"])
    api.mirrored("1001", gone_messages="2")
    assert listed(api)["mailboxes"][0]["mirrors"][0]["state"] == "deleting"
    plan = api.tripped()
    mirror = api.ask("GET", "/api/v1/mailboxes/1001/why").json["mirrors"][0]
    assert mirror["state"] == "held" and "stopped on all routes from production" in mirror["what"]
    assert f"mirrorctl held show {plan}" in mirror["todo"]
    shown = api.ask("GET", f"/api/v1/held/{plan}").json
    assert shown["introduces_itself"] == "Dovecot, key 4f2a" and shown["list"] == [] and shown["mailbox"] == ""
    assert "This is our production as it is now" in shown["if_allowed"] and "stopped" in shown["if_refused"]
    refused = api.ask("POST", f"/api/v1/held/{plan}/refuse", {"reason": "a stranger"}).json
    assert refused["state"] == "refused" and refused["open"] is True and refused["if_allowed"] and not refused["if_refused"]
    assert listed(api)["mailboxes"][0]["mirrors"][0]["state"] == "held" and held(api) == [plan]
    assert "was refused by" in api.ask("POST", f"/api/v1/held/{plan}/refuse", {"reason": "again"}).problem(409)
    assert api.ask("POST", f"/api/v1/held/{plan}/allow", {"reason": "it is new"}).json["state"] == "done"
    assert api.sql("SELECT fingerprint, accepted_by FROM site_fingerprint") == [["a" * 32, "token@127.0.0.1"]]
    assert listed(api)["mailboxes"][0]["mirrors"][0]["state"] == "deleting" and held(api) == []


def test_why_tells_what_was_kept_and_what_waits(api):
    add(api, "1001", routes=["dr"])
    kept = api.held("1001", 2)
    api.ask("POST", f"/api/v1/held/{kept}/refuse", {"reason": "a mistake"})
    api.mirrored("1001", held_messages="0", kept_messages="2", gone_messages="3", waiting_messages="1",
                 deletion_due_at="UTC_TIMESTAMP(6) + INTERVAL 250 SECOND")
    mirror = api.ask("GET", "/api/v1/mailboxes/1001/why").json["mirrors"][0]
    assert mirror["state"] == "deleting" and mirror["well"] is False and mirror["next"] == "In 4 minutes."
    notes = " ".join(mirror["notes"])
    assert f"2 messages gone from production, left on dr for good: token@127.0.0.1 refused to remove them (mirrorctl held " \
        f"show {kept})" in notes and "marked as deleted and waiting" in notes
    counted = listed(api)["mailboxes"][0]["mirrors"][0]
    assert (counted["messages"]["kept"], counted["messages"]["waiting"], counted["held"]) == (2, 1, False)
    assert 240 < counted["deletion_due_seconds"] <= 250


# --- how it stands ----------------------------------------------------------------------------------------------------

def test_status_of_a_well_mirror_and_of_silence(api):
    add(api, "1001", "1002", routes=["dr"])
    api.mirrored("1001")
    api.mirrored("1002", proven_at="UTC_TIMESTAMP(6) - INTERVAL 6 MINUTE")
    mirrors = {mailbox["number"]: mailbox["mirrors"][0] for mailbox in listed(api)["mailboxes"]}
    assert mirrors["1001"]["state"] == "equal" and mirrors["1001"]["well"] is True
    assert mirrors["1002"]["state"] == "not looked at" and mirrors["1002"]["well"] is False
    summary = api.ask("GET", "/api/v1/status").json
    assert summary["mirrors"]["total"] == 2 and summary["mirrors"]["well"] == 1
    assert summary["mirrors"]["states"] == {"equal": 1, "not looked at": 1}
    assert 359 < summary["mirrors"]["oldest_proof_seconds"] < 420
    assert summary["workers"]["copier"] == {"alive": 0, "configured": 4}
    assert {site["name"] for site in summary["sites"]} == {"production", "dr", "branch"}


def test_what_was_committed_while_we_asked_is_new_and_not_never(api):
    """A time behind the statement's own: it began before, and read the row after."""
    add(api, "1001", routes=["dr"])
    api.mirrored("1001", proven_at="UTC_TIMESTAMP(6) + INTERVAL 10 SECOND")
    mirror = listed(api)["mailboxes"][0]["mirrors"][0]
    assert mirror["state"] == "equal" and mirror["proven_age_seconds"] == 0
    plan = api.held("1001")
    api.sql("UPDATE plan SET state = 'refused', decided_by = 'ann', decided_at = UTC_TIMESTAMP(6) + INTERVAL 10 SECOND")
    assert "was refused by ann" in api.ask("POST", f"/api/v1/held/{plan}/allow", {"reason": "x"}).problem(409)


def test_why(api):
    add(api, "1001", routes=["dr"])
    api.mirrored("1001", equal="0", refused_messages="1", refused_keywords="'$Unopened'", gone_messages="2",
                 foreign_messages="1")
    api.sql("""INSERT INTO folder (mirror_id, name, target_name) SELECT mirror_id, 'INBOX', 'INBOX' FROM mirror;
               INSERT INTO message (folder_id, source_uid, state, internal_date, size_bytes, flags_written, flags_refused,
                                    error)
               SELECT folder_id, 17, 'refused', 1772525645, 99, '', '', 'NO [OVERQUOTA] mailbox full' FROM folder""")
    why = api.ask("GET", "/api/v1/mailboxes/1001/why").json
    mirror = why["mirrors"][0]
    assert why["mailbox"] == "1001" and mirror["state"] == "not equal"
    assert "1 message that could not be copied" in mirror["what"] and "class of service" in mirror["todo"]
    assert mirror["whose"] == ("The words of each message below tell: production did not give it, dr did not take it, or our own "
                               "limits forbid it.")
    notes = " ".join(mirror["notes"])
    assert "$Unopened" in notes and "2 messages gone from production" in notes and "did not put there" in notes
    assert mirror["messages"] == [{"folder": "INBOX", "uid": 17, "state": "refused", "size_bytes": 99,
                                   "date": "2026-03-03T08:14:05.000Z", "words": "NO [OVERQUOTA] mailbox full"}]
    api.ask("GET", "/api/v1/mailboxes/77/why").problem(404)
    api.sql("UPDATE mirror SET verify_differences = 2, verify_report = 'INBOX: 1 missing\nINBOX: flags of 3'")
    assert api.ask("GET", "/api/v1/mailboxes/1001/why").json["mirrors"][0]["verify_report"] == [
        "INBOX: 1 missing", "INBOX: flags of 3"]


def test_a_stopped_site(api):
    add(api, "1001", routes=["dr"])
    api.sql("UPDATE site SET login_state = 'stopped', error = 'NO wrong password', error_at = UTC_TIMESTAMP(6), "
            "stopped_until = UTC_TIMESTAMP(6) + INTERVAL 10 MINUTE WHERE name = 'dr'")
    try:
        mirror = api.ask("GET", "/api/v1/mailboxes/1001/why").json["mirrors"][0]
        assert mirror["state"] == "stopped" and "NO wrong password" in mirror["what"]
        site = next(site for site in api.ask("GET", "/api/v1/status").json["sites"] if site["name"] == "dr")
        assert site["login_state"] == "stopped" and site["error"] == "NO wrong password" and site["stopped_seconds"] > 500
    finally:
        api.sql("UPDATE site SET login_state = 'unproven', error = '', error_at = NULL, stopped_until = NULL")


# --- what it survives -------------------------------------------------------------------------------------------------

def test_the_database_is_away_and_comes_back(api):
    add(api, "1001")
    api.database.kill()
    try:
        wait_for(lambda: api.ask("GET", "/health/ready", token=None).status == 503, 20, "503")
        assert "store" in api.ask("GET", "/api/v1/status").problem(503)
        assert api.ask("POST", "/api/v1/mailboxes", {"mailbox": "1002"}).headers["Retry-After"]
        api.csv("mailbox\n1003\n").problem(503)
        assert api.ask("GET", "/health/live", token=None).status == 200
        assert api.guard.alive()
    finally:
        api.database.start()
    wait_for(lambda: api.ask("GET", "/health/ready", token=None).status == 200, 20, "ready again")
    assert [mailbox["number"] for mailbox in listed(api)["mailboxes"]] == ["1001"]


def test_it_starts_without_a_database(database, workdir):
    served = Served(workdir, database).migrate()
    database.stop()
    try:
        served.start()
        assert served.ask("GET", "/health/ready", token=None).status == 503
        database.start()
        wait_for(lambda: served.ask("GET", "/health/ready", token=None).status == 200, 20, served.log)
    finally:
        served.end()
        if not database.answers():
            database.start()


def test_sigterm_answers_what_is_in_hand(api):
    text = "mailbox\n" + "".join(f"{number}\n" for number in range(100000, 160000))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        imported = pool.submit(api.csv, text)
        wait_for(lambda: int(api.sql("SELECT COUNT(*) FROM mailbox")[0][0]) > 500, 20, "the import works")
        began = time.monotonic()
        assert api.stop() == 0
        assert time.monotonic() - began < 20
        answer = imported.result()
    assert answer.status == 200
    done = int(api.sql("SELECT COUNT(*) FROM mailbox")[0][0])
    assert answer.json["added"] == done < 60000 and answer.json["refused"] == 60000 - done
    assert "stopped" in answer.json["lines"][-1]["reason"]


def test_kill_leaves_a_socket_that_can_be_used_again(api):
    api.guard.kill()
    api.start()
    assert api.ask("GET", "/api/v1/status").status == 200


# --- TLS --------------------------------------------------------------------------------------------------------------

def test_tls(database, workdir):
    certificate = make_certificate(workdir / "tls")
    key = workdir / "key.pem"
    key.touch(0o600)
    key.write_bytes(certificate.key_file.read_bytes())
    served = Served(workdir, database, tls={"cert_file": str(certificate.cert_file), "key_file": str(key)}).migrate()
    served.tls = tls_context(certificate.ca_file)
    try:
        served.start()
        assert served.ask("GET", "/api/v1/status").status == 200
        assert served.raw(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")[:4] != b"HTTP"
        assert served.ctl("status", "--json").returncode == 1, "no worker is alive"
        assert json.loads(served.ctl("status", "--json").stdout)["workers"]["copier"]["alive"] == 0
        other = make_certificate(workdir / "other")
        served.settings["api"]["tls"]["cert_file"] = str(other.cert_file)
        served.write()
        refused = served.ctl("status")
        assert refused.returncode == 3 and "not reachable" in refused.stderr, refused
    finally:
        served.end()
