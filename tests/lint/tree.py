"""The files that the lint tests look at: the source tree without what was built or is git's own."""
import os
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("MIRROR_BIN", ROOT / "build/bin"))
PROGRAM_FOLDERS = ("supervisor", "scanner", "copier", "api", "ctl", "ldapsync", "notifier")
NOT_OURS = re.compile(r"(\.git|build|build-.*|__pycache__|\.pytest_cache|node_modules)$")


def files(pattern="*", under="."):
    found = []
    for folder, names, leaves in os.walk(ROOT / under):
        names[:] = sorted(name for name in names if not NOT_OURS.match(name))
        found += [path for path in (pathlib.Path(folder) / leaf for leaf in sorted(leaves))
                  if path.match(pattern) and path.is_file() and not path.is_symlink()]
    return found


def name(path):
    return path.relative_to(ROOT).as_posix()


def c_files(tests=False):
    """All *.c and *.h, without tests unless wanted."""
    return [path for path in files("*.[ch]") if tests or not name(path).startswith("tests/")]


def area(path):
    """'imap' for lib/imap/x.c, 'scanner' for scanner/x.c."""
    parts = path.relative_to(ROOT).parts
    return parts[1] if parts[0] == "lib" else parts[0]


COMMENT_OR_LITERAL = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code_only(text):
    """C without comments and with empty literals; lines stay where they are."""
    def blank(match):
        keep = '""' if match[0][0] == '"' else "' '" if match[0][0] == "'" else " "
        return keep + "\n" * match[0].count("\n")
    return COMMENT_OR_LITERAL.sub(blank, text)


def literals(text):
    """(line number, text) of each string literal, neighbours joined into one."""
    joined, last_end, found = [], None, []
    for match in COMMENT_OR_LITERAL.finditer(text):
        if match[0][0] != '"':
            continue
        if last_end is not None and not text[last_end:match.start()].strip():
            joined[-1] += match[0][1:-1]
        else:
            joined.append(match[0][1:-1])
            found.append(text.count("\n", 0, match.start()) + 1)
        last_end = match.end()
    return list(zip(found, joined))


def complain(offenders, rule):
    """Fails with one offender a line."""
    assert not offenders, f"{rule}:\n  " + "\n  ".join(offenders)
