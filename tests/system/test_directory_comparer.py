"""The comparer of directories, which judges ldapsync, turns red for each kind of planted difference."""
import ldap
import pytest

from standin import subscribers
from standin.compare_directory import differences
from standin.slapd import Slapd

NUMBERS = range(1001, 1006)
AUDIO = "standinNameAudio"


@pytest.fixture(scope="module")
def servers():
    with Slapd() as production, Slapd(suffix="o=backup") as target:
        for server in (production, target):
            server.load(subscribers.make(server.suffix, NUMBERS))
        yield production, target


def one_byte(entry):
    value = bytearray(entry[AUDIO][0])
    value[len(value) // 2] ^= 1
    return {AUDIO: [bytes(value)]}


PLANTED = {
    "a byte of a recorded name": one_byte,
    "the last byte is missing": lambda entry: {AUDIO: [entry[AUDIO][0][:-1]]},
    "a NUL more at the end of a password": lambda entry: {"standinPassword": [entry["standinPassword"][0] + b"\0"]},
    "a value of several is missing": lambda entry: {"standinExtension": entry["standinExtension"][:1]},
    "a value more": lambda entry: {"standinExtension": [*entry["standinExtension"], b"999999999"]},
    "an attribute is missing": lambda entry: {"description": []},
    "an attribute more": lambda entry: {"standinTimeZone": [b"Europe/Berlin"]},
    "another option": lambda entry: {"standinGreetingAudio;x-3": [], "standinGreetingAudio;x-4": entry["standinGreetingAudio;x-3"]},
    "an option is lost": lambda entry: {"cn;lang-de": [], "cn": [*entry["cn"], *entry["cn;lang-de"]]},
    "capitals": lambda entry: {"sn": [entry["sn"][0].upper()]},
    "a leading blank": lambda entry: {"description": [entry["description"][0].strip()]},
    "production's suffix in a value": lambda entry: {"manager": [b"standinId=BOSS,ou=People,dc=store,dc=example"]},
    "another class of service": lambda entry: {"standinCos": [b"12"]},
}


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_difference(servers, what):
    production, target = servers
    assert differences(production, target) == []
    connection = target.admin()
    (dn, entry), = connection.search_s(target.people_dn, ldap.SCOPE_SUBTREE, "(standinMailbox=1002)")
    changes = PLANTED[what](entry)
    try:
        connection.modify_s(dn, [(ldap.MOD_REPLACE, name, values) for name, values in changes.items()])
        found = differences(production, target)
        assert found and all(line.startswith(dn) for line in found), found
    finally:
        connection.modify_s(dn, [(ldap.MOD_REPLACE, name, entry.get(name, [])) for name in changes])
        connection.unbind_s()
    assert differences(production, target) == []


@pytest.mark.parametrize("side, said", [(0, "only on the target"), (1, "missing on the target")])
def test_an_entry_that_only_one_side_has(servers, side, said):
    server = servers[side]
    connection = server.admin()
    (dn, entry), = connection.search_s(server.people_dn, ldap.SCOPE_SUBTREE, "(standinMailbox=1003)")
    connection.delete_s(dn)
    try:
        found = differences(*servers)
        assert len(found) == 1 and said in found[0], found
    finally:
        connection.add_s(dn, list(entry.items()))
        connection.unbind_s()
    assert differences(*servers) == []
