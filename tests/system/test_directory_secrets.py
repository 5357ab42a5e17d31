"""No secret in log, database, API, diff, files, process list or core: searched for by known values, in the forms that a leak would have."""
import base64
import hashlib
import json
import os
import subprocess
import urllib.request
from pathlib import Path

import pytest

from helpers import wait_for
from standin import subscribers
from test_directory import World

NUMBER, DIGITS = 1004, "73915"
TEST_PASSWORD = "Users4711"
PAGES = ("status", "mailboxes", "mailboxes/1001", "why/1001", "held", "sites", "routes", "directory", "directory/dr/entries?limit=500",
         "directory/dr/troubles", "directory/dr/differences?limit=500", "directory/dr/handovers")


def forms(value):
    """Of a value as bytes: raw, hex, base64 at each of the three offsets that it may have in a longer one."""
    found = {value, value.hex().encode(), value.hex().upper().encode()}
    for before in range(3):
        text = base64.b64encode(b"\0" * before + value)
        found.add(text[(before * 8 + 5) // 6:len(text) - 4 if text.endswith(b"=") else len(text)])
    return found


def secrets(world):
    """name -> bytes that must stand nowhere. A short password is searched for as what one would make of it to compare it."""
    entry = dict(subscribers.subscriber(world.production.suffix, 1003)[1])
    known = {"the trusted server's password": world.mail[0].password.encode(), "a test mailbox's password": TEST_PASSWORD.encode(),
             "a password as it is stored": subscribers.opaque(DIGITS), "another's": entry["standinPassword"][0],
             "a recorded name": entry["standinNameAudio"][0][:48], "a greeting": entry["standinGreetingAudio;x-1"][0][:48],
             "the key of the digests": (Path(world.product.config["data_dir"]) / "ldapsync.key").read_bytes().strip()[:32]}
    for name in ("md5", "sha1", "sha256", "sha512"):
        known[f"{name} of five digits"] = hashlib.new(name, DIGITS.encode()).digest()
        known[f"{name} of their stored form"] = hashlib.new(name, subscribers.opaque(DIGITS)).digest()
    return known


def leaks(known, places):
    return [f"{name} in {place}" for place, content in places.items() for name, value in known.items()
            if any(form in content for form in forms(value))]


def database(world):
    return subprocess.run(["mariadb-dump", "--no-defaults", f"--socket={world.product.database_socket}", "--user=root", "--hex-blob",
                           "mirror"], capture_output=True, check=True).stdout


def documents(world):
    token = (Path(world.product.config["data_dir"]) / "api.token").read_text().strip()
    found = {}
    for page in PAGES:
        request = urllib.request.Request(f"{world.product.url}/api/v1/{page}", headers={"Authorization": f"Bearer {token}"})
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                found[page] = answer.read()
        except urllib.error.HTTPError as error:
            found[page] = error.read()
    return found


def own_files(world):
    """What lies in data_dir, but for the database's own files (it is dumped) and the key."""
    root = Path(world.product.config["data_dir"])
    return {str(path): path.read_bytes() for path in root.rglob("*")
            if path.is_file() and path.name != "ldapsync.key" and "mysql" not in str(path.relative_to(root)).split("/")[0]
            and "database" not in str(path.relative_to(root)).split("/")[0]}


def processes(world):
    found = {}
    for program in ("mirror-supervisor", "mirror-scanner", "mirror-copier", "mirror-ldapsync", "mirror-api"):
        for pid in world.product.pids(program):
            for part in ("cmdline", "environ"):
                found[f"{part} of {program}"] = Path(f"/proc/{pid}/{part}").read_bytes()
    return found


@pytest.fixture(scope="module")
def world():
    with World(users_password=TEST_PASSWORD) as made:
        made.product.config["log"] = {"level": "debug"}
        made.product.write_config()
        made.product.reload()
        made.await_equal()
        made.product.ctl("mailbox", "add", "1001").ok()
        wait_for(lambda: made.product.sql("SELECT COUNT(*) FROM entry WHERE password_proven_at IS NOT NULL") == [["2"]], 40, "both tried")
        made.change(NUMBER, {"standinPassword": [subscribers.opaque(DIGITS)]})
        made.await_equal()
        # What differs now is shown as such, also on the side that we do not write.
        made.reconfigure(keep_attributes=["standinPassword", "standinNameAudio"])
        made.change(NUMBER, {"standinPassword": [subscribers.opaque("11223")], "standinNameAudio": [b"\0" * 64]}, server=made.target)
        yield made


def test_secrets_are_nowhere(world):
    shown = {" ".join(words): (world.product.ctl(*words).out + world.product.ctl(*words).err).encode() for words in (
        ("directory", "diff"), ("directory", "diff", "--ldif"), ("directory", "diff", "--json"), ("directory", "list", "--all", "--json"),
        ("status", "--json"), ("why", "1001", "--json"))}
    places = {"the log": world.product.log().encode(), "the database": database(world), **documents(world), **shown, **own_files(world),
              **processes(world)}
    assert len(places) > 25 and all(places[name] for name in ("the log", "the database", "directory/dr/entries?limit=500"))
    assert len(json.loads(places["directory/dr/entries?limit=500"])["entries"]) == 60
    assert leaks(secrets(world), places) == []


def test_a_change_is_shown_and_its_value_is_not(world):
    world.reconfigure(keep_attributes=["standinActiveGreetings"])
    world.product.ctl("directory", "sync", "--full", "--wait")
    world.reconfigure(write=False)
    world.change(1005, {"standinPassword": [subscribers.opaque(DIGITS)], "standinNameAudio": [os.urandom(3000)]})
    shown = {words[-1]: world.product.ctl("directory", *words).out for words in (("diff",), ("diff", "--ldif"), ("diff", "--json"))}
    assert all("standinPassword" in text and "standinNameAudio" in text for text in shown.values()), shown
    assert leaks(secrets(world), {name: text.encode() for name, text in shown.items()}) == []


def test_nobody_of_us_leaves_a_core(world):
    for program in ("mirror-supervisor", "mirror-scanner", "mirror-copier", "mirror-ldapsync", "mirror-api"):
        pids = world.product.pids(program)
        assert pids
        for pid in pids:
            limit, = [line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if line.startswith("Max core file size")]
            assert limit.split()[4:6] == ["0", "0"], f"{program}: {limit}"


@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: value.hex().encode(), lambda value: base64.b64encode(b"x" + value + b"yz"),
                                  lambda value: base64.b64encode(value)], ids=["raw", "hex", "base64 inside", "base64"])
def test_the_search_finds_what_is_planted(world, wrap):
    known = secrets(world)
    for name, value in known.items():
        assert leaks({name: value}, {"here": b"before " + wrap(value) + b" after"}) == [f"{name} in here"]
