"""Folder names on the wire: modified UTF-7 (RFC 3501, 5.1.3) and hierarchy levels.

A folder is a tuple of its levels everywhere in these tools, ("Archiv", "Grüße & mehr"), so that two servers with
different delimiters can be compared.
"""

import base64


def mutf7_encode(text):
    """'Grüße & mehr' -> b'Gr&APwA3w-e &- mehr'"""
    out, wide = bytearray(), []

    def flush():
        if wide:
            coded = base64.b64encode("".join(wide).encode("utf-16-be")).rstrip(b"=").replace(b"/", b",")
            out.extend(b"&" + coded + b"-")
            wide.clear()

    for char in text:
        if 0x20 <= ord(char) <= 0x7E:
            flush()
            out.extend(b"&-" if char == "&" else char.encode())
        else:
            wide.append(char)
    flush()
    return bytes(out)


def mutf7_decode(data):
    """The reverse. What isn't modified UTF-7 (a server that sends UTF-8 or rubbish) is kept readable, not refused."""
    out, rest = [], bytes(data)
    while rest:
        plain, ampersand, rest = rest.partition(b"&")
        out.append(plain.decode("utf-8", "surrogateescape"))
        if not ampersand:
            break
        coded, minus, after = rest.partition(b"-")
        try:
            if not minus:
                raise ValueError("no end of shift")
            padded = coded.replace(b",", b"/") + b"=" * (-len(coded) % 4)
            out.append(base64.b64decode(padded, validate=True).decode("utf-16-be") if coded else "&")
            rest = after
        except ValueError:
            out.append("&")
    return "".join(out)


def wire_name(levels, delimiter):
    """('Archiv', '2026'), '.' -> b'Archiv.2026'"""
    return mutf7_encode((delimiter or "").join(levels))


def levels_of(name, delimiter):
    """The reverse; INBOX in any case is 'INBOX'."""
    text = mutf7_decode(name)
    levels = tuple(text.split(delimiter)) if delimiter else (text,)
    return ("INBOX",) + levels[1:] if levels[0].upper() == "INBOX" else levels
