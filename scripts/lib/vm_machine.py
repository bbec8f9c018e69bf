"""Owns what scripts/lib/bench_vm does with a VM, by the scripts of tests/vm, which the tests use as well: it calls them,
each with a time limit, because a VM that is out of memory may not answer for minutes. Its own are the bench's swap, the
start that is the same for all, and counters."""
import os, re, subprocess, time
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOLS = f"{ROOT}/tests/vm"
PROGRAMS = "/opt/makeroom-test/image/bin"
# Where makeroom's own goes in this VM, so that the peers' swap has the same disk.
SWAP = "/mnt/lima-colima/by-hand"
# As QEMU has it, but for what Linux cannot use here: it clears and copies memory by the byte. The one of the tests is quicker, and
# a bare Vite build is killed there; on this one the VM falls silent, as it does where memory is short.
CPU = "max,-la57"
COUNTERS = "cat /proc/pressure/memory /proc/vmstat"


class Silent(Exception):
    """The VM has not answered within the limit, or not as it should."""


def run(command, limit, **more):
    """Standard output; Silent where it fails or takes longer than the limit."""
    try:
        done = subprocess.run(command, text=True, capture_output=True, timeout=limit, stdin=subprocess.DEVNULL, **more)
    except subprocess.TimeoutExpired:
        raise Silent(f"no answer within {limit} s: {' '.join(command)}") from None
    if done.returncode:
        raise Silent(f"exit code {done.returncode}: {' '.join(command)}: {done.stderr.strip()[-500:]}")
    return done.stdout


class Vm:
    def __init__(self, directory, memory):
        self.dir, self.memory = directory, memory
        self.config = f"{directory}/ssh_config"
        self.docker_path = run([f"{TOOLS}/client"], 60).strip()
        self.wanted, self.services = ([], None), {}

    def tool(self, name, *args, limit=60):
        return run([f"{TOOLS}/{name}", self.dir, *args], limit)

    def boot(self):
        # The first boot ever makes the disks, which takes minutes.
        self.tool("boot", str(self.memory), CPU, limit=2400)

    def reboot(self):
        """After it fell silent. Its disk stays, its services start anew."""
        self.tool("down")
        self.boot()
        self.services = {}
        self.serve(*self.wanted)

    def wipe(self):
        subprocess.run([f"{TOOLS}/down", self.dir, "--wipe"], timeout=120)

    def driver(self, name):
        self.tool("driver", name, limit=180)
        self.services = {}

    def words(self, command):
        return ["ssh", "-F", self.config, "vm", command]

    def ssh(self, command, limit=60):
        return run(self.words(command), limit)

    def root(self, script, limit=60):
        return self.ssh(f"sudo sh -ec '{script}'", limit)

    def docker(self, *args, limit=120):
        return run([self.docker_path, *args], limit, env={**os.environ, "DOCKER_HOST": f"unix://{self.dir}/docker.sock"})

    def answers(self, limit=10):
        try:
            self.ssh("true", limit)
        except Silent:
            return False
        return True

    def environment(self):
        facts = self.ssh("uname -r; awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo; grep -qw erms /proc/cpuinfo && echo with || echo without").split()
        engine = self.docker("info", "--format", "{{.ServerVersion}}, {{.CgroupDriver}}, cgroup v{{.CgroupVersion}}").strip()
        client = self.docker("--version").split()[2].strip(",")
        return f"VM: {facts[1]} MiB, 2 emulated cores {facts[2]} erms, Linux {facts[0]}, engine {engine}; docker client {client}"

    def serve(self, sizes, first_port=None, work_every=None):
        """Exactly these services, a hog of so many MiB each, in fresh containers where not just these run. They answer at
        ports from the first one on, and read all of their memory every so many seconds, as a service does that is in use."""
        self.wanted = sizes, first_port, work_every
        wanted = {f"svc{number}": (size, first_port and first_port + number) for number, size in enumerate(sizes)}
        if self.services != wanted or len(self.docker("ps", "-q").split()) != len(wanted):
            self.ssh("docker ps -aq | xargs -r docker rm -f", 120)
            for name, (size, port) in wanted.items():
                network, work = "host" if port else "none", [str(work_every)] if work_every else []
                self.tool("services", "start", name, network, str(size), str(port or 0), *work, limit=120)
            self.services = wanted
            self.sums()

    def all_at_once(self, *command):
        """Has the client do this to each service, and gives the seconds that it took; by itself it does one after the other."""
        begun = time.monotonic()
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda name: self.docker(*command, name), self.services))
        return time.monotonic() - begun

    def sums(self):
        """Has each service read all its memory; gives what it found there since it started."""
        told = [row.split() for row in self.tool("services", "read", *self.services, limit=400).splitlines()] if self.services else []
        return {name: {found for whose, found in told if whose == name} for name in self.services}

    @staticmethod
    def until(look, limit):
        end = time.monotonic() + limit
        while not (found := look()):
            if time.monotonic() > end:
                raise Silent(f"nothing for {limit} s of what is waited for")
            time.sleep(0.2)
        return found

    def processes(self):
        """What tells one run of a service from another, and that it runs."""
        return self.tool("services", "states", *self.services).splitlines() if self.services else []

    def replies(self):
        """What each service says to a caller at its port."""
        ports = [port for _, port in self.services.values() if port]
        told = [self.ssh(f"timeout 60 {PROGRAMS}/busybox nc 127.0.0.1 {port} < /dev/null", 90).strip() for port in ports]
        if not all(reply.startswith("pid ") for reply in told):
            raise Silent(f"a service does not answer at its port: {told}")
        return told

    def engine_says(self):
        return self.ssh("sudo journalctl --boot --no-pager --lines=60 --unit=docker --unit=containerd; sudo dmesg | tail -n 30")

    def swaps(self):
        return [row.split()[0] for row in self.ssh("cat /proc/swaps").splitlines()[1:]]

    def make_swap(self):
        self.root(f"fallocate -l 2G {SWAP}; chmod 600 {SWAP}; mkswap {SWAP} > /dev/null; swapon {SWAP}")

    def settle(self):
        """The same start for all: nothing left of the last build, no swap, no cache, all services at home and started anew:
        what had been swapped out once would be known to the kernel as idle, and make it easier for whoever comes next."""
        self.root(f"pkill -x grower || true; pkill -x node || true; swapoff -a; rm -f {SWAP}", 180)
        self.serve(*self.wanted)
        # With no time to stop, the engine may kill what has just ended, and then take the new process for the ended one 10 s later.
        self.all_at_once("restart")
        self.sums()
        # A run that swapped leaves the free memory in small pieces, and whoever comes next has fewer huge pages.
        self.root("sync; echo 3 > /proc/sys/vm/drop_caches; echo 1 > /proc/sys/vm/compact_memory")
        # The emulator keeps what it translated of a program that lay in memory, and each byte that is written over it is slow until all
        # of that is gone. Which of these pages a build gets is chance: so all that is free is written once.
        free_kib = int(re.search(r"^MemFree: +(\d+)", self.ssh("cat /proc/meminfo"), re.M)[1])
        self.ssh(f"{PROGRAMS}/grower {free_kib // 1024 - 100} 1 > /dev/null", 180)

    def processes_started(self, seconds):
        """How many per second, by one connection that starts three of its own."""
        look = "awk \"/^processes/ { print \\$2 }\" /proc/stat"
        first, last = self.ssh(f"{look}; sleep {seconds}; {look}", seconds + 60).split()
        return (int(last) - int(first)) / seconds


def counters(text):
    """Full stall in seconds and OOM kills so far; None where there was no answer."""
    stall = re.search(r"^full .*total=(\d+)", text, re.M)
    kills = re.search(r"^oom_kill (\d+)", text, re.M)
    return (int(stall[1]) / 1e6, int(kills[1])) if stall and kills else None
