#!/usr/bin/python3 -IS
"""A stand-in for mirror-scanner, -copier or -api that behaves as a test wants: copied beside mirror-supervisor under
that name. What it does stands in behaviour.json beside it, by program name, read anew at each start and each SIGHUP:

  status, words   say the words and end with the status, at once
  starting        pulse, but never say ready
  pulses          how many pulses to send (then none any more); default: without end
  deaf            don't heed SIGTERM
  drain_seconds   on SIGTERM work on for so long
  leave           start a process of its own, in its group, that sleeps
  spill           write this many bytes without a line end

It says what it does in lines "badchild <program>.<instance> <what>", which the supervisor passes on.
"""
import json
import os
import pathlib
import signal
import socket
import struct
import sys
import time

PULSE_SECONDS = 0.2


class Pipe:
    """A PUSH socket of ZeroMQ (ZMTP 3.0, no authentication) on a unix socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.socket.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32))
        self._read(64)
        ready = b"\x05READY" + b"\x0bSocket-Type" + struct.pack(">I", 4) + b"PUSH"
        self.socket.sendall(bytes([4, len(ready)]) + ready)
        _, size = self._read(2)
        self._read(size)

    def _read(self, count):
        got = b""
        while len(got) < count:
            piece = self.socket.recv(count - len(got))
            if not piece:
                raise EOFError("the supervisor closed the pipe")
            got += piece
        return got

    def send(self, message):
        body = json.dumps(message).encode()
        self.socket.sendall(b"\x02" + struct.pack(">Q", len(body)) + body)


class Child:
    def __init__(self, argv):
        self.program = pathlib.Path(argv[0]).name.removeprefix("mirror-")
        self.instance = int(argv[argv.index("--instance") + 1])
        assert "--pulse" in argv
        self.config = argv[argv.index("--config") + 1]
        self.signals = []
        self.read_behaviour()

    def read_behaviour(self):
        text = (pathlib.Path(__file__).parent / "behaviour.json").read_text()
        self.behaviour = json.loads(text).get(self.program, {})

    def say(self, what):
        print(f"badchild {self.program}.{self.instance} {what}", file=sys.stderr, flush=True)

    def pulse(self, pipe, state):
        pipe.send({"type": "pulse", "version": 1, "program": self.program, "pid": os.getpid(),
                   "instance": self.instance, "state": state, "text": f"{state} for a test"})

    def misbehave(self):
        if "words" in self.behaviour:
            print(self.behaviour["words"], file=sys.stderr, flush=True)
        if "status" in self.behaviour:
            os._exit(self.behaviour["status"])
        if self.behaviour.get("leave") and os.fork() == 0:
            time.sleep(600)
            os._exit(0)
        os.write(2, b"x" * self.behaviour.get("spill", 0))

    def drain(self):
        self.say("draining")
        time.sleep(self.behaviour.get("drain_seconds", 0))
        self.say("drained")
        os._exit(0)

    def run(self):
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda seen, _frame: self.signals.append(seen))
        self.say("runs " + " ".join(sorted(os.environ)))
        self.misbehave()
        run_dir = pathlib.Path(self.config).parent / "data" / "run"
        pipe = Pipe(next(run_dir.glob("pulse*")))
        sent = 0
        while True:
            if sent < self.behaviour.get("pulses", sys.maxsize):
                self.pulse(pipe, "starting" if self.behaviour.get("starting") else "ready")
                sent += 1
            if signal.SIGHUP in self.signals:
                self.signals.remove(signal.SIGHUP)
                self.read_behaviour()
                self.say("reloads")
            if signal.SIGTERM in self.signals and not self.behaviour.get("deaf"):
                self.drain()
            time.sleep(PULSE_SECONDS)


if __name__ == "__main__":
    Child(sys.argv).run()
