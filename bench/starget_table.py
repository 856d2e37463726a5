"""Runs starget and what it is compared with, and prints a table: starget_table.py PROGRAM IMAGE WORK ROUND-TRIP-MS ROUNDS."""

import json
import os
import shutil
import subprocess
import sys
import time

DIRECTORY = "usr/share/doc/"
FOOTER = 51


def run(words, environment=None):
    """Runs to the end; seconds, resident MiB at most, and both outputs."""
    started = time.monotonic()
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True)
    # Both are read to the end before the process is asked for.
    out, error = process.communicate()
    seconds = time.monotonic() - started
    if process.returncode != 0:
        sys.exit(f"{words} ended with {process.returncode}: {error[-2000:]}")
    return seconds, out, error


def measured(words, environment):
    """The same in a process of its own, whose only child it is: its peak is that of the program."""
    program = (
        "import resource,subprocess,sys;code=subprocess.call(sys.argv[1:]);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss,file=sys.stderr);sys.exit(code)"
    )
    seconds, out, error = run([sys.executable, "-c", program, *words], environment)
    lines = error.strip().splitlines()
    return seconds, int(lines[-1]) / 1024, out, lines[:-1]


def remove(path):
    """A file or a folder, if it is there."""
    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.exists(path):
        os.remove(path)


class Bench:
    def __init__(self, program, image, work, rounds):
        self.program, self.image, self.work, self.rounds = program, image, work, rounds
        self.environment = {
            "HOME": work,
            "PATH": os.environ["PATH"],
            "STARGET_CACHE_DIR": f"{work}/cache",
            "STARGET_STATE_DIR": f"{work}/state",
        }
        self.rows = []

    def starget(self, *words):
        words = [self.program, *words, "--json", "--stats"]
        seconds, resident, out, lines = measured(words, self.environment)
        stats = next(json.loads(line)["stats"] for line in lines if line.startswith('{"stats"'))
        return seconds, resident, stats, out

    def row(self, name, words, bound, warm=True):
        """The median of some rounds."""
        taken = []
        for _ in range(self.rounds):
            remove(f"{self.work}/out")
            if not warm:
                shutil.rmtree(f"{self.work}/cache", ignore_errors=True)
            taken.append(self.starget(*words))
        seconds, resident, stats, _ = sorted(taken, key=lambda one: one[0])[self.rounds // 2]
        traffic = stats["traffic"]
        self.add(name, traffic["requests"], traffic["bytes"], bound, seconds, resident)
        return seconds

    def add(self, name, requests, count, bound, seconds, resident):
        ratio = f"{count / bound:.3f}x" if bound else ""
        resident = f"{resident:.0f}" if resident else ""
        self.rows.append([name, str(requests), f"{count:,}", ratio, f"{seconds:.2f}", resident])
        print("bench:", " | ".join(self.rows[-1]), file=sys.stderr, flush=True)

    def members(self, pattern):
        """The bytes of the members of all files that a pattern matches: what cannot be left out."""
        _, _, _, out = self.starget("stat", self.image, pattern)
        ranges = set()
        for line in out.splitlines():
            ranges.update(tuple(chunk["range"]) for chunk in json.loads(line)["chunks"] if chunk["range"])
        return sum(end - start for start, end in ranges)


def main(program, image, work, round_trip, rounds):
    bench = Bench(program, image, work, int(rounds))
    out = f"{work}/out"
    _, _, stats, text = bench.starget("info", image)
    info = json.loads(text)
    layer = info["layers"][0]
    size = sum(one["size"] for one in info["layers"])
    manifests = stats["traffic"]["bytes"] - stats["traffic"]["blob_bytes"]
    tables = sum(one["toc_bytes"] + FOOTER for one in info["layers"])
    # With the cache warm only what the tag means is asked.
    _, _, warm, _ = bench.starget("ls", image, "etc/hostname")
    tag = warm["traffic"]["bytes"]
    small = "usr/bin/env"

    bench.row("ls, cold", ["ls", image], manifests + tables, warm=False)
    bench.row("ls, warm", ["ls", image], tag)
    member = bench.members(small)
    bench.row(f"get of {small}, cold", ["get", image, small, out], manifests + tables + member, warm=False)
    bench.row(f"get of {small}, warm", ["get", image, small, out], tag + member)
    wanted = tag + bench.members(f"{DIRECTORY}**")
    bench.row(f"get of {DIRECTORY}, warm, 4 at a time", ["get", image, DIRECTORY, out], wanted)
    everything = tag + bench.members("**")
    one = bench.row("get of everything, 1 at a time", ["get", "--concurrency", "1", image, ".", out], everything)
    eight = bench.row("get of everything, 8 at a time", ["get", "--concurrency", "8", image, ".", out], everything)

    url = f"http://{image.split('/')[0]}/v2/bench/blobs/{layer['digest']}"
    seconds, _, _ = run(["curl", "--silent", "--show-error", "--fail", "--output", "/dev/null", url])
    bench.add("plain GET of the layer, to nowhere", 1, size, None, seconds, None)
    remove(out)
    words = ["skopeo", "copy", "--quiet", "--src-tls-verify=false", f"docker://{image}", f"oci:{out}:x"]
    seconds, resident, _, _ = measured(words, bench.environment)
    bench.add("skopeo copy to a folder", "", size, None, seconds, resident)

    files = sum(1 for _ in bench.starget("ls", image)[3].splitlines())
    print(f"Image of {size:,} bytes, table of contents {tables:,} bytes, {files:,} paths; round trip {round_trip} ms;")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; everything with 8 is {one / eight:.2f}x as fast as with 1.\n")
    print("| what | requests | bytes | of the least possible | s | resident MiB |")
    print("|---|---:|---:|---:|---:|---:|")
    for row in bench.rows:
        print("| " + " | ".join(row) + " |")


main(*sys.argv[1:])
