"""Made-up subscribers and classes of service for the stand-in directory, the same for the same seed.

    server.load(subscribers.make(server.suffix, numbers, seed=1))

Each has what trips a naive copy: umlauts, a leading blank, options on attributes, bytes that are no text, a password whose
opaque form (SHA-1 of the digits) may hold NUL, and a DN that names somebody in the same directory.
"""
import hashlib
import random

FAMILY = ["Müller", "Ångström", "Østergård", "Smith", "d'Arc", "Łukasiewicz", "Garcia", "Nguyễn"]
GIVEN = ["Jörg", "Anna", "Zoë", "Peter", "María", "Søren"]


def password_digits(number, seed=0):
    """What its user types."""
    return str(random.Random(f"{number}/{seed}").randrange(10**5, 10**6))


def opaque(digits):
    return hashlib.sha1(digits.encode()).digest()


def cos(suffix, number):
    attributes = {"objectClass": [b"standinClassOfService"], "standinCosNumber": [b"%d" % number],
                  "standinCosName": [f"Klasse {number} für alle".encode()], "cn": [b"COS %d" % number],
                  "standinMailboxBytes": [b"%d" % (number * 1_000_000)], "standinImapAccess": [b"full"],
                  "standinMayRecordGreetings": [b"TRUE"], "standinRight07": [b"TRUE"]}
    return f"standinCosNumber={number},ou=COS,{suffix}", attributes


def subscriber(suffix, number, seed=0, identity=None, audio_bytes=2000, cos_number=1):
    draw = random.Random(f"{number}/{seed}/who")
    identity = identity or f"U{number}{draw.randrange(10**6):06d}"  # no two of many thousands have the same
    family, given = draw.choice(FAMILY), draw.choice(GIVEN)
    attributes = {
        "objectClass": [b"standinSubscriber"], "standinId": [identity.encode()], "standinMailbox": [str(number).encode()],
        "standinCos": [b"%d" % cos_number], "cn": [f"{given} {family}".encode()], "cn;lang-de": [f"Hr. {family}".encode()],
        "sn": [family.encode()], "description": [b" with a leading blank"], "standinCommunity": [b"1"],
        "standinExtension": [b"%d" % (draw.randrange(10**6)) for _ in range(2)], "standinPasswordExpired": [b"FALSE"],
        "standinPassword": [opaque(password_digits(number, seed))], "standinNameAudio": [draw.randbytes(audio_bytes)],
        "standinGreetingAudio;x-1": [draw.randbytes(300)], "standinGreetingAudio;x-3": [draw.randbytes(301)],
        "standinActiveGreetings": [b"1", b"3"], "standinHost": [b"store1.example"], "standinModified": [b"20260101000000Z"],
        "manager": [f"standinId=BOSS,ou=People,{suffix}".encode()],
    }
    return f"standinId={identity},ou=People,{suffix}", attributes


def make(suffix, numbers, seed=0, classes=(1, 2, 12), audio_bytes=2000):
    return [cos(suffix, number) for number in classes] + [
        subscriber(suffix, number, seed, audio_bytes=audio_bytes, cos_number=classes[i % len(classes)])
        for i, number in enumerate(numbers)]
