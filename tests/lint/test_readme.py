"""README says what the programs say: its configuration keys, its first site, its commands, its words for states."""
import re
import subprocess

import tree


def readme():
    return (tree.ROOT / "README.md").read_text()


def said_by(program, *arguments):
    return subprocess.run([tree.BIN / program, *arguments], capture_output=True, text=True, check=True).stdout


def key_table(text, begin, end):
    """The rows of a Markdown table between two markers, blanks around cells aside."""
    assert text.count(begin) == 1 and text.count(end) == 1, f"README.md has {begin} and {end}, once each"
    rows = text.split(begin)[1].split(end)[0].splitlines()
    return [re.sub(r"\s*\|\s*", "|", row.strip()) for row in rows if row.strip()]


def test_configuration_keys():
    """README's table is `mirror-supervisor --help-config`, which prints the one table of keys."""
    begin, end = "<!-- config-keys:begin -->", "<!-- config-keys:end -->"
    want = key_table(f"{begin}\n{said_by('mirror-supervisor', '--help-config')}\n{end}", begin, end)
    have = key_table(readme(), begin, end)
    assert len(want) > 10
    tree.complain([f"missing: {row}" for row in want if row not in have] +
                  [f"not a key (any more): {row}" for row in have if row not in want] +
                  (["another order"] if sorted(want) == sorted(have) and want != have else []),
                  "README's table of keys is not the one of --help-config: replace it by that")


def test_the_first_site_is_accepted(tmp_path):
    """In ten lines, and as it stands there."""
    example = re.search(r"^```yaml\n(.*?)^```$", readme(), re.M | re.S)[1]
    assert len(example.splitlines()) <= 10
    (tmp_path / "mirror.yaml").write_text(example)
    secret = tmp_path / "trusted.secret"
    secret.touch(0o600)
    secret.write_text("secret1234\n")
    said = said_by("mirror-supervisor", "--config", tmp_path / "mirror.yaml", "--check-config")
    assert "ok" in said


def test_commands():
    """Each command of mirrorctl's help stands in README's table."""
    commands = re.findall(r"^  ((?:mailbox|held) \w+|\w+)\b", said_by("mirrorctl", "--help").split("Options")[0], re.M)
    table = "\n".join(re.findall(r"^\| `mirrorctl .*", readme(), re.M))
    assert len(commands) > 8
    tree.complain([command for command in commands if not re.search(rf"\b{command.split()[-1]}\b", table)],
                  "commands that README's table lacks")


def test_words_of_states():
    words = re.findall(r'^    X\(\w+, "([^"]+)"', (tree.ROOT / "api/api_judge.h").read_text(), re.M)
    chapter = readme().split("words in `status` mean")[1].split("##")[0]
    explained = ", ".join(re.findall(r"^\| ([^|]+) \|", chapter, re.M)).split(", ")
    assert len(words) > 8
    tree.complain([word for word in words if word not in explained], "states that README does not explain")
