"""The house rules for C: size of functions, direction of includes, where SQL may stand, names, formatting."""
import collections
import json
import re
import statistics
import subprocess

import tree

MEDIAN_BELOW = 20
LONGEST = 80

# Who may include whom: a folder may include its own headers and those of every level below its own.
LEVELS = [
    {"base"},
    {"bus", "store", "imap"},
    {"daemon", "access", "target"},
    {*tree.PROGRAM_FOLDERS, "bench"},
]
# Narrower than its level: mirrorctl talks HTTP only, and what the benchmark compares with shares nothing with ours.
ONLY = {"ctl": {"ctl", "base"}, "bench": {"bench"}}

SQL = re.compile(r"\b(SELECT\b.*\bFROM|INSERT\s+(IGNORE\s+)?INTO|REPLACE\s+INTO|UPDATE\s+\S+\s+SET|DELETE\s+FROM"
                 r"|(CREATE|ALTER|DROP)\s+(TABLE|DATABASE|USER|INDEX)|START\s+TRANSACTION|GRANT\s+\w+\s+ON)\b",
                 re.I | re.S)
# Unbounded, or silent about errors.
BANNED_FUNCTIONS = re.compile(r"\b(v?sprintf|strcpy|stpcpy|strcat|gets|atoi|atol|atoll|atof|strtok)\s*\(")
LIBRARY_PREFIXES = re.compile(r"(ldap_|curl_|zmq_|mysql_|mariadb_|MHD_|cJSON_)")
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.M)


def functions():
    """(lines, name, file, is static) of every function outside tests."""
    sources = [str(path) for path in tree.c_files() if path.suffix == ".c"]
    output = subprocess.run(["ctags", "--languages=C", "--kinds-C=f", "--fields=+nef", "--extras=+F",
                             "--output-format=json", "-f", "-", *sources],
                            check=True, capture_output=True, text=True).stdout
    tags = [json.loads(line) for line in output.splitlines()]
    return [(tag["end"] - tag["line"] + 1, tag["name"], tree.ROOT / tag["path"], tag.get("file", False))
            for tag in tags if tag.get("kind") == "function"]


def test_functions_are_small(say):
    found = sorted(functions(), reverse=True, key=lambda function: function[0])
    assert found, "no function found"
    sizes = [size for size, *_ in found]
    figures = (f"{len(sizes)} functions: median {statistics.median(sizes):g} lines, nine of ten up to "
               f"{sizes[len(sizes) // 10]}, longest {sizes[0]}")
    say(figures)
    print("\n".join(f"{size:4} {name} ({tree.name(path)})" for size, name, path, _ in found[:20]))
    tree.complain([f"{size} lines: {name} in {tree.name(path)}" for size, name, path, _ in found if size > LONGEST],
                  f"{figures}; none may be over {LONGEST}")
    assert statistics.median(sizes) < MEDIAN_BELOW, figures


def allowed_areas(area):
    if area in ONLY:
        return ONLY[area]
    level = next(number for number, areas in enumerate(LEVELS) if area in areas)
    return set().union({area}, *LEVELS[:level])


def test_includes_point_one_way():
    known = set().union(*LEVELS)
    offenders = []
    for path in tree.c_files():
        if tree.area(path) not in known:
            offenders.append(f"{tree.name(path)}: its folder has no level in this test")
            continue
        for kind, header in INCLUDE.findall(path.read_text()):
            first = header.split("/")[0]
            if kind == '"' and "/" not in header:
                offenders.append(f'{tree.name(path)}: "{header}" names no folder')
            elif kind == '"' and first not in allowed_areas(tree.area(path)):
                offenders.append(f"{tree.name(path)}: {header}")
    tree.complain(offenders, "includes point program -> {access, target, daemon} -> {imap, bus, store} -> base")


def test_a_file_includes_its_own_header_first():
    """Its own or its folder's private one: that proves that the header stands by itself."""
    offenders = []
    for path in tree.c_files():
        if path.suffix == ".c" and path.with_suffix(".h").exists():
            own = f"{tree.area(path)}/{path.stem}"
            first = INCLUDE.search(path.read_text())
            if not first or first[2] not in (f"{own}.h", f"{own}_private.h"):
                offenders.append(f"{tree.name(path)}: {own}.h")
    tree.complain(offenders, "a file's own header is its first include")


def test_sql_stands_in_the_store_only():
    offenders = []
    for path in tree.c_files():
        if tree.area(path) == "store":
            continue
        text = path.read_text()
        offenders += [f"{tree.name(path)}:{line}: {literal[:60]}" for line, literal in tree.literals(text)
                      if SQL.search(literal)]
        offenders += [f"{tree.name(path)}: <{header}>" for _, header in INCLUDE.findall(text)
                      if re.search(r"\b(mysql|mariadb|errmsg|mysqld_error)\b", header)]
    tree.complain(offenders, "SQL and the database's client stand in lib/store and schema/ only")


def test_base_names_are_unique():
    places = collections.defaultdict(list)
    for path in tree.c_files(tests=True):
        if path.name != "main.c":
            places[path.name].append(tree.name(path))
    tree.complain([" and ".join(names) for names in places.values() if len(names) > 1],
                  "base names of C files are unique, save main.c")


def test_a_symbol_names_its_file():
    """An exported function begins with the name of its file, or of the header that the file is a part of
    (imap_session_x() may stand in imap_session_list.c, for there is an imap_session.h)."""
    offenders = []
    for _, symbol, path, is_static in functions():
        if is_static or symbol == "main":
            continue
        words = path.stem.split("_")
        prefixes = {path.stem} | {"_".join(words[:count]) for count in range(1, len(words))
                                  if (path.parent / ("_".join(words[:count]) + ".h")).exists()}
        if not any(symbol == prefix or symbol.startswith(prefix + "_") for prefix in prefixes):
            offenders.append(f"{symbol} in {tree.name(path)}")
    tree.complain(offenders, "an exported function begins with its file's name")


def test_no_name_looks_like_a_librarys():
    tree.complain([f"{symbol} in {tree.name(path)}" for _, symbol, path, _ in functions()
                   if LIBRARY_PREFIXES.match(symbol)], "our names don't begin with a library's prefix")


def test_every_file_says_what_it_is():
    tree.complain([tree.name(path) for path in tree.c_files(tests=True) if not path.read_text().startswith("/*")],
                  "C files and headers begin with a comment that says what they are")


def test_banned_functions():
    offenders = []
    for path in tree.c_files(tests=True):
        for number, line in enumerate(tree.code_only(path.read_text()).splitlines(), 1):
            offenders += [f"{tree.name(path)}:{number}: {call}" for call in BANNED_FUNCTIONS.findall(line)]
    tree.complain(offenders, "unbounded or error-blind functions")


def test_formatted():
    files = [str(path) for path in tree.c_files(tests=True)]
    done = subprocess.run(["clang-format", "--dry-run", "-Werror", *files], capture_output=True, text=True,
                          cwd=tree.ROOT)
    wrong = sorted(set(re.findall(r"^(\S+?):\d+:\d+: error", done.stderr, re.M)))
    tree.complain([tree.name(tree.ROOT / path) for path in wrong], "clang-format would change these (scripts/format)")
    assert done.returncode == 0, done.stderr
