"""Rules for every text of the tree: words that must not stand there, shell scripts, the table of suites, README's
table of configuration keys, the container files."""
import os
import re
import shutil
import subprocess

import tree
import yaml

import suites

NOT_TEXT = re.compile(r"tests/fuzz/corpus/")
# Put together from halves, so that this file may hold them.
BANNED_WORDS = ["TO" "DO", "FIX" "ME", "X" "XX"]
BANNED_PATHS = ["/wo" "rk/", "../sha" "red"]


def texts():
    for path in tree.files():
        if NOT_TEXT.match(tree.name(path)):
            continue
        try:
            yield path, path.read_text()
        except UnicodeDecodeError:
            pass


def output_of(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def registry_hosts():
    """The hosts that this machine takes packages from, as its own tools name them: none belongs into the project."""
    said = output_of("apt-get", "indextargets", "--format", "$(REPO_URI)")
    said += "\n".join(f"{key}={value}" for key, value in os.environ.items() if re.search("INDEX|REGISTRY", key, re.I))
    for folder in ("/etc/apt/sources.list.d", "/etc/apt"):
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            if name.endswith((".list", ".sources")):
                with open(f"{folder}/{name}") as file:
                    said += file.read()
    if shutil.which("npm"):
        said += output_of("npm", "config", "get", "registry")
    if shutil.which("pip3"):
        said += output_of("pip3", "config", "list")
    return sorted({host for host in re.findall(r"https?://(?:[^@/\s]*@)?([a-zA-Z0-9.-]+)", said) if "." in host})


def test_banned_words():
    words = re.compile(r"\b(" + "|".join(BANNED_WORDS) + r")\b|" + "|".join(map(re.escape, BANNED_PATHS)))
    tree.complain([f"{tree.name(path)}:{number}: {line.strip()[:80]}" for path, text in texts()
                   for number, line in enumerate(text.splitlines(), 1) if words.search(line)],
                  "left-over notes, and paths of the machine where this was written")


def test_no_registry_hosts():
    hosts = registry_hosts()
    tree.complain([f"{tree.name(path)}: {host}" for path, text in texts() for host in hosts if host in text],
                  "package sources are the machine's own, never named here")


def test_shell_scripts_parse():
    offenders, seen = [], 0
    for path, text in texts():
        shell = re.match(r"#! ?(?:/usr/bin/env )?(?:/bin/)?(ba)?sh\b", text)
        if shell:
            seen += 1
            done = subprocess.run([f"{shell[1] or ''}sh", "-n", str(path)], capture_output=True, text=True)
            offenders += [done.stderr.strip()] if done.returncode else []
            offenders += [] if os.access(path, os.X_OK) else [f"{tree.name(path)}: not executable"]
    assert seen, "no shell script found"
    tree.complain(offenders, "shell scripts")


def test_python_compiles():
    offenders = []
    for path, text in texts():
        if path.suffix == ".py" or re.match(r"#!.*python", text):
            try:
                compile(text, tree.name(path), "exec")
            except SyntaxError as error:
                offenders.append(str(error))
    tree.complain(offenders, "Python")


def test_suites_are_listed():
    listed = set(suites.table()) - suites.WRAPPED - {"lint"}
    there = {path.stem.removeprefix("test_").replace("_", "-") for path in tree.files("test_*.py", "tests/system")}
    assert listed == there, "tests/suites.txt and tests/system/test_*.py name the same suites"


def test_compose_file():
    compose = tree.ROOT / "docker-compose.yml"
    services = yaml.safe_load(compose.read_text())["services"]
    for name, service in services.items():
        assert "build" in service or "image" in service, name
    for tool in (["docker-compose"], ["docker", "compose"]):
        if shutil.which(tool[0]) and subprocess.run([*tool, "version"], capture_output=True).returncode == 0:
            done = subprocess.run([*tool, "-f", str(compose), "config", "-q"], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            break


def runtime_packages():
    """Debian packages of the libraries that the built programs ask for by name."""
    packages = set()
    for path in sorted(map(str, tree.BIN.iterdir())):
        needed = re.findall(r"NEEDED\s+(\S+)", subprocess.run(["objdump", "-p", path], capture_output=True, text=True,
                                                              check=True).stdout)
        places = dict(re.findall(r"^\s*(\S+) => (\S+)", output_of("ldd", path), re.M))
        for library in needed:
            place = os.path.realpath(places[library])
            # /lib is a link to /usr/lib, and dpkg knows each file under one of the two only.
            owner = output_of("dpkg", "-S", place) or output_of("dpkg", "-S", place.removeprefix("/usr"))
            packages.add(owner.split(":")[0])
    return packages - {"libc6"}


def test_image_has_the_libraries():
    """The container image is made of `scripts/packages runtime`."""
    listed = output_of(tree.ROOT / "scripts/packages", "--list", "runtime").split()
    packages = runtime_packages()
    assert packages
    tree.complain(sorted(packages - set(listed)), "the programs are linked with packages that the group lacks")
