"""What the demo prints: lines for a terminal of 80 columns, and for a file or pipe the same without control codes."""

import re
import shutil
import sys
import textwrap
import time


class Screen:
    def __init__(self, out=sys.stdout):
        self._out = out
        self.is_terminal = out.isatty()
        self._bar_shown = False
        self._last_plain = time.monotonic()
        self.width = min(100, shutil.get_terminal_size((80, 24)).columns) if self.is_terminal else 80

    def _write(self, text):
        self._out.write(text)
        self._out.flush()

    def _style(self, text, code):
        return f"\033[{code}m{text}\033[0m" if self.is_terminal else text

    def _clear(self):
        if self._bar_shown:
            self._write("\r\033[K")
            self._bar_shown = False

    def title(self, text):
        self._write(self._style(text, "1") + "\n")

    def step(self, text):
        self._clear()
        self._write("\n" + self._style(text, "1") + "\n")
        self._last_plain = time.monotonic()

    def line(self, text=""):
        self._clear()
        self._write(f"  {text}\n" if text else "\n")

    def quote(self, text):
        """What a program said, in lines of our width; what stands behind a title stays behind it."""
        self._clear()
        for line in text.rstrip().splitlines():
            title = re.match(r"\S+ {2,}", line)
            indent = 4 + (len(title[0]) if title else 0)
            self._write("\n".join(textwrap.wrap("    " + line, self.width - 2, subsequent_indent=" " * indent)) + "\n")

    def result(self, text, good):
        """The line that the demo is about."""
        self._clear()
        if len(text) + 2 > self.width and " (" in text:
            text = text.replace(" (", "\n    (", 1)
        self._write("  " + self._style(text, "1;32" if good else "1;31") + "\n")

    def fact(self, what, value):
        """`what` to the left and its outcome to the right, dots between."""
        self._clear()
        dots = "." * max(2, self.width - 6 - len(what) - len(value))
        self._write(f"  {what} {dots} {value}\n")

    def waiting(self, what):
        """`what`, of which fact() will tell the outcome."""
        if self.is_terminal:
            self._write(f"  {what} ...")
            self._bar_shown = True

    def bar(self, part, text):
        """A progress bar in place; into a file a line every few seconds."""
        part = min(1.0, max(0.0, part))
        if not self.is_terminal:
            if time.monotonic() - self._last_plain >= 3:
                self._last_plain = time.monotonic()
                self._write(f"  {part:4.0%}  {text}\n")
            return
        room = max(10, self.width - len(text) - 13)
        full = int(room * part)
        self._write(f"\r\033[K  [{'#' * full}{'-' * (room - full)}] {part:4.0%}  {text}")
        self._bar_shown = True
