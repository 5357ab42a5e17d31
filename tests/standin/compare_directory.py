"""Are two directories equal? Judged by the `ldapsearch` program alone, byte for byte, with options on attributes.

    differences(production, target) -> ["1001: standinPassword: other bytes", ...]
"""
import io

import ldif


class _Reader(ldif.LDIFParser):
    def __init__(self, text):
        super().__init__(io.BytesIO(text))
        self.entries = {}

    def handle(self, dn, entry):
        self.entries[dn] = {name.lower(): sorted(values) for name, values in entry.items()}


def read(server, base, filter):
    reader = _Reader(server.search(base, filter, "*"))
    reader.parse()
    return reader.entries


def _mapped(value, server, other):
    return value.replace(server.suffix.encode(), other.suffix.encode())


def differences(production, target, exclude=("standinmodified",)):
    """Of all subscribers and COS; `production`'s suffix in values and DNs is read as the target's."""
    found = []
    for base, filter in (("people_dn", "(objectClass=standinSubscriber)"), ("cos_dn", "(objectClass=standinClassOfService)")):
        ours = {dn.replace(production.suffix, target.suffix): entry
                for dn, entry in read(production, getattr(production, base), filter).items()}
        theirs = read(target, getattr(target, base), filter)
        found += [f"{dn}: missing on the target" for dn in ours if dn not in theirs]
        found += [f"{dn}: only on the target" for dn in theirs if dn not in ours]
        for dn in ours.keys() & theirs.keys():
            for name in sorted((ours[dn].keys() | theirs[dn].keys()) - set(exclude)):
                want = sorted(_mapped(value, production, target) for value in ours[dn].get(name, []))
                if want != theirs[dn].get(name, []):
                    found.append(f"{dn}: {name}: {'missing' if name not in theirs[dn] else 'other values'}")
    return found
