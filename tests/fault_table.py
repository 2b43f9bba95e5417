"""What clients of weir gateway see while an upstream fails: script/gateway-faults [OPTIONS]

For each kind of fault a fresh gateway stands in front of a good and a bad upstream (tests/mock_llm.py, processes of their own); half of the
requests are streams. A quarter of the requests in, the bad one begins to fail. A row of the table says:

  success     requests whose first byte came; wanted: 99.9 % with one good upstream
  lost later  streams that ended after their first byte with an error event, which no gateway can undo
  load        requests that arrived at upstreams, or were sent to what cannot count, over requests of clients; wanted: at most 1.1
  slowest     the longest wait for a first byte
  how         ends of attempts that were no good answer, by the gateway's own count: each must be one that this fault can have

The partition has four upstreams, two of them in a network namespace whose cable is pulled (or whose answers are lost); what the machine does
not permit is left out, saying so. --markdown prints the table of docs/gateway.md.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import weir_process as weir

SILENCE_MS = int(1000 * weir.SLOWDOWN)    # until one who hangs is left: what such a row waits for
PATIENCE_MS = int(10000 * weir.SLOWDOWN)  # where nobody hangs: a good upstream that a busy machine holds up stays good
BODY = {"model": "chat", "messages": [{"role": "user", "content": "one two"}]}


class NotPermitted(Exception):
    """This machine does not let the fault be made."""


def command(*words):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True)
    if done.returncode != 0:
        raise NotPermitted(f"{' '.join(map(str, words))}: {done.stderr.strip()[:200]}")


def wait_for(host, port, process):
    for _ in range(int(400 * weir.SLOWDOWN)):
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{host}:{port}/ready", timeout=5):
            return
        if process.poll() is not None:
            raise RuntimeError(f"{process.args[0]} ended with {process.returncode}")
        time.sleep(0.025)
    raise RuntimeError(f"nobody is ready at {host}:{port}")


class Upstream:
    """A mock in a process of its own, that can be killed, paused and told to fail."""

    def __init__(self, folder, host="127.0.0.1", prefix=()):
        self.host, self.port = host, weir.free_port()
        self.counted = folder / f"count-{host}-{self.port}"
        self.process = subprocess.Popen([*prefix, sys.executable, str(weir.ROOT / "tests" / "mock_llm.py"), str(self.port), "--host", host,
                                         "--count", str(self.counted)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.url = f"http://{host}:{self.port}"

    def wait(self):
        wait_for(self.host, self.port, self.process)

    def arrived(self):
        return self.counted.stat().st_size

    def behave(self, behaviour):
        body = json.dumps({"behaviour": behaviour}).encode()
        urllib.request.urlopen(urllib.request.Request(self.url + "/control", body, {"Content-Type": "application/json"}), timeout=10).close()

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@dataclasses.dataclass
class Fault:
    name: str
    make: object            # of the bad upstreams; called when a quarter of the requests is sent
    ends: tuple             # of attempts, besides good ones
    codes: tuple = ()       # of error events in streams that had begun
    setting: object = None  # a context manager that yields a Place; None: loopback

    @property
    def silence_ms(self):
        return SILENCE_MS if {"no_first_byte", "stalled"} & set(self.ends) else PATIENCE_MS


@dataclasses.dataclass
class Place:
    """Where upstreams are and how the gateway is started."""
    good: list
    bad: list
    prefix: tuple = ()
    fail: object = None     # in place of Fault.make
    names: dict = dataclasses.field(default_factory=dict)  # upstream -> the host in its URL


@dataclasses.dataclass
class Seen:
    """What a client got."""
    status: int = 0
    code: str = ""          # of the error
    begun: bool = False     # a first byte of an answer came
    whole: bool = False
    first_byte_s: float = 0
    trouble: str = ""       # with the connection or the form of the answer


async def read_body(reader, head, seen, began):
    length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.I)
    if length:
        return await reader.readexactly(int(length.group(1)))
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += (await reader.readexactly(size + 2))[:-2]
        if not seen.begun:
            seen.begun, seen.first_byte_s = True, time.monotonic() - began
    await reader.readline()
    return body


async def ask(reader, writer, stream, seen):
    """One request on a connection that is kept."""
    began = time.monotonic()
    body = json.dumps({**BODY, "stream": stream}).encode()
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                 % (len(body), body))
    head = await reader.readuntil(b"\r\n\r\n")
    seen.status = int(head.split(b" ", 2)[1])
    said = await read_body(reader, head, seen, began)
    if seen.status != 200:
        seen.code = str(json.loads(said)["error"].get("code"))
        return
    if not seen.begun:
        seen.begun, seen.first_byte_s = True, time.monotonic() - began
    if not stream:
        seen.whole = json.loads(said)["choices"][0]["message"]["content"] == "You said: one two"
        return
    events = [e.removeprefix("data: ") for e in said.decode().split("\n\n") if e.startswith("data: ")]
    parts = [json.loads(e) for e in events if e != "[DONE]"]
    text = "".join(c["delta"].get("content") or "" for p in parts for c in p.get("choices", []))
    seen.code = next((str(p["error"].get("code")) for p in parts if "error" in p), "")
    seen.whole = events[-1] == "[DONE]" and not seen.code and text == "You said: one two"


async def load(port, requests, clients, fail):
    """`requests` requests by `clients` that ask again at once; fail() runs when a quarter has been sent."""
    numbers, got = iter(range(requests)), []

    async def client():
        reader = writer = None
        for n in numbers:
            if n == requests // 4:
                await asyncio.get_running_loop().run_in_executor(None, fail)
            got.append(seen := Seen())
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
                await asyncio.wait_for(ask(reader, writer, n % 2 == 1, seen), 60 * weir.SLOWDOWN)
            except (OSError, EOFError, asyncio.TimeoutError, ValueError, LookupError) as error:
                seen.trouble = repr(error)
                if writer:
                    writer.close()
                writer = None
        if writer:
            writer.close()
    await asyncio.gather(*(client() for _ in range(clients)))
    return got


@contextlib.contextmanager
def gateway(place, folder, silence_ms):
    port = weir.free_port()
    urls = ", ".join(f'"http://{place.names.get(u, u.host)}:{u.port}"' for u in (*place.bad, *place.good))
    path = folder / "faults.yaml"
    path.write_text(f"listen: {{port: {port}}}\nupstreams: {{pods: {{endpoints: [{urls}]}}}}\n"
                    f"models: {{chat: {{policy: round_robin, targets: [{{upstream: pods}}],\n"
                    f"  timeouts: {{connect_ms: {silence_ms // 2}, first_byte_ms: {silence_ms}, idle_ms: {silence_ms}}}}}}}\n")
    process = subprocess.Popen([*place.prefix, str(weir.WEIR), "gateway", str(path), "--log-level", "error"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        weir.wait_until_ready(process, lambda: process.stderr.read().decode())
        yield port
    finally:
        process.kill()
        process.communicate()


def attempts(port):
    """How many attempts ended how."""
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
    found = re.findall(r'^weir_gateway_attempts_total\{[^}]*end="(\w+)"[^}]*\} (\d+)', text, re.M)
    return {end: int(n) for end, n in found if int(n)}


@contextlib.contextmanager
def loopback(folder):
    made = []
    try:
        for _ in range(2):
            made.append(Upstream(folder))
        for u in made:
            u.wait()
        yield Place(made[:1], made[1:])
    finally:
        for u in made:
            u.end()


@contextlib.contextmanager
def partition(folder, pull):
    """Two upstreams of four in a network namespace, at the other end of a cable that pull(namespace, interface, host address) spoils."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        raise NotPermitted("a network namespace wants root and ip(8)")
    tag = os.getpid() % 100_000
    space, here, there = f"weir-{tag}", f"wfa{tag}", f"wfb{tag}"
    base = f"10.{200 + tag % 50}.{tag % 251}"
    with contextlib.ExitStack() as stack:
        command("ip", "netns", "add", space)
        stack.callback(subprocess.run, ["ip", "netns", "del", space], capture_output=True)
        command("ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", space)
        stack.callback(subprocess.run, ["ip", "link", "del", here], capture_output=True)
        command("ip", "address", "add", f"{base}.1/30", "dev", here)
        command("ip", "-n", space, "address", "add", f"{base}.2/30", "dev", there)
        command("ip", "link", "set", here, "up")
        command("ip", "-n", space, "link", "set", there, "up")
        made = []
        stack.callback(lambda: [u.end() for u in made])
        for _ in range(2):
            made.append(Upstream(folder))
        for _ in range(2):
            made.append(Upstream(folder, f"{base}.2", ("ip", "netns", "exec", space)))
        for u in made:
            u.wait()
        yield Place(made[:2], made[2:], fail=lambda: pull(space, there, f"{base}.1"))


def pull_cable(space, interface, _):
    command("ip", "-n", space, "link", "set", interface, "down")


def lose_answers(space, _, host):
    command("ip", "-n", space, "route", "add", "blackhole", f"{host}/32")


@contextlib.contextmanager
def named(folder, silent):
    """Upstreams have names, and the gateway /etc/hosts and /etc/resolv.conf of its own. silent: the name server does not answer any more;
    else it is not there. A bad upstream that loses its name closes its connections, so that it must be looked up again."""
    hosts, resolv = folder / "hosts", folder / "resolv.conf"
    both = "127.0.0.1 localhost good.test\n"
    hosts.write_text(both + "127.0.0.1 bad.test\n")
    resolv.write_text("nameserver 127.0.0.99\noptions timeout:2 attempts:2\n")
    prefix = ("unshare", "-m", "sh", "-c", f'mount --bind {hosts} /etc/hosts && mount --bind {resolv} /etc/resolv.conf && exec "$@"', "sh")
    command(*prefix, "true")
    with contextlib.ExitStack() as stack:
        if silent:
            server = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            try:
                server.bind(("127.0.0.99", 53))
            except OSError as error:
                raise NotPermitted(f"port 53: {error}") from None
        place = stack.enter_context(loopback(folder))
        bad, good = place.bad[0], place.good[0]

        def fail():
            hosts.write_text(both)
            bad.behave("close")
        # Lookups wait for each other, so that a good upstream with a name would wait for the silent server as well: it has an address.
        names = {bad: "bad.test"} if silent else {bad: "bad.test", good: "good.test"}
        yield dataclasses.replace(place, prefix=prefix, fail=fail, names=names)


def told(behaviour):
    return lambda bad: bad.behave(behaviour)


TIMED_OUT = ("no_first_byte", "stalled", "connect_failed")
FAULTS = [
    Fault("killed", lambda bad: bad.process.kill(), ("connect_failed", "cut"), ("upstream_error",)),
    Fault("hung, its port still open", lambda bad: bad.process.send_signal(signal.SIGSTOP), TIMED_OUT, ("upstream_timeout",)),
    Fault("hangs before each answer", told("hang"), ("no_first_byte",)),
    Fault("hangs in the middle", told("hang-mid"), ("stalled", "no_first_byte"), ("upstream_timeout",)),
    Fault("slow", told("slow"), ()),
    Fault("closes without a word", told("reset"), ("cut",)),
    Fault("cuts in the middle", told("cut"), ("cut",), ("upstream_error",)),
    Fault("ends streams early", told("cut-clean"), ("cut",), ("upstream_error",)),
    Fault("malformed SSE at once", told("malformed-first"), ("malformed",)),
    Fault("malformed SSE in the middle", told("malformed"), ("malformed",), ("upstream_error",)),
    Fault("an error event in the middle", told("error-mid"), ("malformed",), ("upstream_error",)),
    Fault("a page in place of an answer", told("html"), ("malformed",)),
    Fault("429 storm", told("429"), ("status_429",)),
    Fault("500", told("500"), ("status_500",)),
    Fault("503", told("503"), ("status_503",)),
    Fault("its name is gone", None, ("connect_failed", "cut"), setting=lambda folder: named(folder, False)),
    Fault("the name server is silent", None, ("connect_failed", "cut"), setting=lambda folder: named(folder, True)),
    Fault("half of the pool cut off", None, TIMED_OUT, ("upstream_timeout",), setting=lambda folder: partition(folder, pull_cable)),
    Fault("answers of half of the pool lost", None, TIMED_OUT, ("upstream_timeout",), setting=lambda folder: partition(folder, lose_answers)),
]


@dataclasses.dataclass
class Row:
    fault: Fault
    requests: int
    failed: int         # before their first byte
    lost: int           # streams that ended in an error event
    silent: int         # answers that are not whole, and do not say so
    load: float
    slowest_ms: float
    ends: dict
    wrong: list         # ends and codes that this fault cannot have

    @property
    def success(self):
        return 1 - self.failed / self.requests


def run(fault, requests, clients):
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = pathlib.Path(name)
        place = stack.enter_context((fault.setting or loopback)(folder))
        port = stack.enter_context(gateway(place, folder, fault.silence_ms))
        fail = place.fail or (lambda: [fault.make(u) for u in place.bad])
        got = asyncio.run(load(port, requests, clients, fail))
        ends = attempts(port)
        arrived = sum(u.arrived() for u in (*place.good, *place.bad))
    # Attempts that ended before the request was sent cannot arrive; those that a dead machine took cannot be counted there.
    sent = max(arrived, sum(n for end, n in ends.items() if end != "connect_failed"))
    bad_ends = {end: n for end, n in ends.items() if end != "answered"}
    failed = [s for s in got if not s.begun]
    lost = [s for s in got if s.begun and not s.whole and s.code]
    wrong = [f"attempts: {end}" for end in bad_ends if end not in fault.ends]
    wrong += sorted({f"streams: {s.code}" for s in lost if s.code not in fault.codes})
    wrong += sorted({f"requests: {s.status} {s.code} {s.trouble}" for s in failed})
    return Row(fault, len(got), len(failed), len(lost), sum(s.begun and not s.whole and not s.code for s in got), sent / requests,
               1000 * max((s.first_byte_s for s in got if s.begun), default=0), bad_ends, wrong)


def line(row, markdown):
    how = ", ".join(f"{end} {n}" for end, n in sorted(row.ends.items())) or "–"
    cells = [row.fault.name, f"{100 * row.success:.2f} %", str(row.lost), f"{row.load:.3f}", f"{row.slowest_ms:,.0f} ms", how]
    if markdown:
        return "| " + " | ".join(cells) + " |"
    return f"{cells[0]:<34} {cells[1]:>9} {cells[2]:>10} {cells[3]:>6} {cells[4]:>9}  {cells[5]}" + "".join(f"  WRONG {w}" for w in row.wrong)


def main():
    parser = argparse.ArgumentParser(prog="script/gateway-faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=3000, help="of each row")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--only", help="rows whose name has this in it")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    head = ("fault", "success", "lost later", "load", "slowest", "how")
    if options.markdown:
        print("| " + " | ".join(head) + " |\n|" + "---|" * len(head), flush=True)
    else:
        print(f"{head[0]:<34} {head[1]:>9} {head[2]:>10} {head[3]:>6} {head[4]:>9}  {head[5]}", flush=True)
    bad = False
    for fault in FAULTS:
        if options.only and options.only not in fault.name:
            continue
        try:
            row = run(fault, options.requests, options.clients)
        except NotPermitted as error:
            print(f"{fault.name}: left out: {error}", file=sys.stderr)
            continue
        print(line(row, options.markdown), flush=True)
        bad = bad or row.success < 0.999 or row.load > 1.1 or row.silent > 0 or bool(row.wrong)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
