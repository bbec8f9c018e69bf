"""A build that needs more than was made room for, and one that leaks for ever: the parts `guard` and `thrash` of bench_vm.

Services in use are beside it; makeroom pauses the first of them at once, the others as a step. The build of `guard` needs
150 MiB more than is available with the first one paused; its variants are other values of --floor (with a pressure of
100 %, which leaves all to the floor) and of --pressure (with a floor of 1 MiB, which leaves all to the pressure where the
build grows slowly: it is another one, of twice the time). `thrash` leaks 100 MiB a second; earlyoom
and systemd-oomd are as Debian ships them, with the swap that makeroom makes, 2 GiB, made by hand, and systemd-oomd is told
to watch everything for pressure and for swap (Debian has it watch what users run); `oomctl` says whether it does.

Meanwhile the kernel's memory pressure is read in the VM once a second, over a connection of its own; the longest that it
took counts, and the highest full avg10."""
import os, re, subprocess, threading, time

from vm_machine import Silent
from vm_table import is_clean, median

SERVICES = [90, 150, 150]
WORK_EVERY = 5
FIRST = ["--pause", "svc0"]
STEP = [*FIRST, "--then", "svc*"]
GUARD = {
    "first": FIRST,
    "then": STEP,
    **{f"floor {part}": [*STEP, "--pressure", "100%", "--floor", f"{mebibytes}MiB"] for part, mebibytes in (("3 %", 44), ("10 %", 147), ("15 %", 220))},
}
SLOW = {f"pressure {percent} %": [*STEP, "--floor", "1MiB", "--pressure", f"{percent}%"] for percent in (5, 10, 20)}
# Seconds that the build takes to grow where nothing holds it up.
BUILDS = {"build": (30, GUARD), "slow build": (60, SLOW)}
THRASH = {"abort": [*STEP, "--abort-on-thrash", "10s"], "earlyoom": None, "oomd": None}
UNITS = {"earlyoom": "earlyoom", "oomd": "systemd-oomd"}
NAMES = {
    "first": "without --then", "then": "--then", **{name: f"--then, {name} alone" for name in [*GUARD, *SLOW] if " " in name},
    "abort": "makeroom --abort-on-thrash 10s", "earlyoom": "earlyoom", "oomd": "systemd-oomd",
}
# Seconds. What has not ended the leak by then is not waited for.
LEAK_LIMIT = 300
ANSWER_LIMIT = 2.0


class Beside:
    """What is beside one run: the peer that watches, and the look at how soon the VM answers. Entered, it gives a dictionary
    that holds at the end what was seen: `answered`, `killed`, `steps`, `notes`."""

    def __init__(self, bench, variant):
        self.bench, self.vm, self.unit = bench, bench.vm, UNITS.get(variant)
        self.seen, self.over, self.answered, self.pressure = {}, threading.Event(), [], []
        self.socket = f"{bench.dir}/look.ssh"

    def ssh(self, *words):
        return ["ssh", "-F", self.vm.config, "-o", f"ControlPath={self.socket}", *words]

    def __enter__(self):
        if self.unit == "systemd-oomd":
            self.vm.root("systemctl set-property --runtime -- -.slice ManagedOOMMemoryPressure=kill ManagedOOMSwap=kill")
        if self.unit:
            self.vm.root(f"systemctl start {self.unit}")
        if self.unit == "systemd-oomd":
            self.vm.until(lambda: len(re.findall(r"Path: /\s", self.vm.root("oomctl"))) == 2, 60)
        self.since = float(self.vm.ssh("cut -d \" \" -f 1 /proc/uptime"))
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.connection = subprocess.Popen(self.ssh("-o", "ControlMaster=yes", "-N", "vm"), start_new_session=True, **quiet)
        self.vm.until(lambda: os.path.exists(self.socket), 60)
        self.looking = threading.Thread(target=self.look, daemon=True)
        self.looking.start()
        return self.seen

    def look(self):
        while not self.over.wait(1):
            begun = time.monotonic()
            try:
                answer = subprocess.run(self.ssh("vm", "cat /proc/pressure/memory"), capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
                self.pressure += map(float, re.findall(r"full avg10=([\d.]+)", answer.stdout))
            except subprocess.TimeoutExpired:
                pass
            self.answered.append(time.monotonic() - begun)

    def __exit__(self, *_):
        self.over.set()
        self.looking.join(130)
        self.connection.terminate()
        self.connection.wait(30)
        said = self.bench.read("said")
        notes = [row for row in said.splitlines() if row.startswith("makeroom: ")]
        self.seen |= {"answered": max(self.answered, default=None), "pressure": max(self.pressure, default=None)}
        self.seen |= {"steps": len(re.findall(r" more containers? paused", said)), "notes": notes}
        try:
            self.seen["killed"] = self.killed()
            if self.unit:
                self.vm.root(f"systemctl stop {self.unit}; systemctl revert -- -.slice", 120)
        except Silent as error:
            self.seen |= {"killed": ["not known"], "trouble": str(error)}

    def killed(self):
        """Who was killed, by whom, and when after the beginning: by the kernel's log and the peer's."""
        look = 'journalctl --boot --output short-monotonic --no-pager --quiet | grep -aE "Killed process|Killed /|sending SIG" || true'
        log = self.vm.root(look, 120)
        ids = {self.vm.docker("inspect", "-f", "{{.Id}}", name).strip(): name for name in self.vm.services}
        killed = []
        for row in log.splitlines():
            at = re.match(r"\[ *(\d+\.\d+)\]", row)
            if at and float(at[1]) >= self.since and (who := victim(row, ids)):
                killed.append(f"{who} after {float(at[1]) - self.since:.0f} s")
        return killed


def victim(row, ids):
    """earlyoom and the kernel name a process, systemd-oomd a cgroup; a step of the builder is no container."""
    if found := re.search(r"(kernel|earlyoom).*process \d+ \W*(\w+)", row):
        return f"{ {'grower': 'build', 'hog': 'a service'}.get(found[2], found[2])} by {found[1]}"
    if found := re.search(r"systemd-oomd.*Killed (\S+)", row):
        service = next((name for identity, name in ids.items() if identity in found[1]), None)
        return f"{f'service {service}' if service else 'build' if ':docker:' in found[1] else found[1]} by systemd-oomd"
    return None


def measure_guard(bench):
    bench.part("systemd")
    bench.vm.serve(SERVICES, work_every=WORK_EVERY)
    bench.vm.settle()
    available = int(bench.vm.ssh("grep MemAvailable /proc/meminfo").split()[1]) >> 10
    for _ in range(bench.options.runs):
        for kind, (seconds, variants) in BUILDS.items():
            for variant, options in variants.items():
                build = bench.by_buildkit(available + SERVICES[0] + 150, seconds)
                bench.measure("guard", kind, variant, build, 400, asked=options, beside=Beside(bench, variant))


def measure_thrash(bench):
    bench.part("systemd")
    bench.vm.serve(SERVICES, work_every=WORK_EVERY)
    for _ in range(bench.options.runs):
        for variant, options in THRASH.items():
            bench.measure("thrash", "leak", variant, bench.by_buildkit(4000, 40), LEAK_LIMIT, asked=options, beside=Beside(bench, variant))


def told(rows):
    def each(figure, form="{}"):
        return " ".join("-" if row.get(figure) is None else form.format(row[figure]) for row in rows)

    ends = " ".join("not-ended" if row["code"] is None else str(row["code"]) for row in rows)
    text = f"exit {ends}; {each('seconds', '{:.0f}')} s; full stall {each('full_stall', '{:.1f}')} s, at most {each('pressure', '{:.0f}')} %; answers {each('answered', '{:.1f}')} s"
    text += f"; steps {each('steps')}" if any(row["steps"] for row in rows) else ""
    killed = "; ".join(", ".join(row["killed"]) or "none" for row in rows)
    return f"{text}; killed: {killed}" + ("" if all(row["same"] for row in rows) else "; SERVICES CHANGED")


def is_unharmed(row):
    return row["same"] and not row["swap_left"] and not any("service" in who for who in row["killed"])


def print_guard(table):
    for kind, (_, variants) in BUILDS.items():
        for variant in variants:
            if rows := table.of("guard", kind, variant):
                limit = ("0, a step, no kill", all(is_clean(row) and row["steps"] for row in rows)) if variant == "then" else ()
                table.line(f"{kind}: {NAMES[variant]}", told(rows), *limit)
    first, then = (median(table.of("guard", "build", variant), "full_stall") for variant in ("first", "then"))
    table.line("  full stall, --then / without", f"{then:.1f} s / {first:.1f} s = {then / first:.2f}", "at most 0.5", then <= 0.5 * first)


def print_thrash(table):
    for variant in THRASH:
        if rows := table.of("thrash", "leak", variant):
            is_well = all(row["code"] == 124 and row["answered"] <= ANSWER_LIMIT and is_unharmed(row) for row in rows)
            table.line(f"leak: {NAMES[variant]}", told(rows), *((f"124, {ANSWER_LIMIT:.0f} s, unharmed", is_well) if variant == "abort" else ()))
