"""Makes one table of the samples: medians, ratios, and the targets they are held against.

Must not know how anything was measured. The rows and targets stand in ROWS, the only place that has them. Standard
library only.
"""

import argparse
import json
import statistics
from dataclasses import dataclass

SERVERS = {
    "transship": "Transship",
    "nginx": "nginx, plain file",
    "plain": "docker-registry",
    "proxy": "docker-registry, proxy mode",
}
# What is held against, but serves nothing, and has no column.
TOOLS = "tools"
NAMES = {**SERVERS, TOOLS: "plain tools"}


@dataclass(frozen=True)
class Row:
    """One line: a measure, and what Transship's value is held against."""

    measure: str
    label: str
    form: str
    other: str = ""  # the server to compare with
    compare: str = ""  # "ratio" or "difference" to that server
    own: str = "transship"  # whose value is compared
    at_least: float | None = None  # target of the comparison, or of the value itself when there is none
    at_most: float | None = None


ROWS = [
    Row("warm_blob_gb_per_s", "warm blob, GB/s", "%.2f", "nginx", "ratio", at_least=1.0),
    Row("warm_blob_cpu_s_per_gb", "warm blob, CPU-seconds per GB", "%.3f", "nginx", "ratio", at_most=1.4),
    Row("warm_blob_both_cpu_s_per_gb", "the same, with the clients' CPU", "%.3f", "nginx", "ratio"),
    Row("warm_manifest_per_s", "warm manifest by tag, requests/s", "%.0f", "nginx", "ratio", at_least=0.8),
    Row("warm_manifest_per_s", "the same, against proxy mode", "%.0f", "proxy", "ratio", at_least=100),
    Row("warm_manifest_cpu_us", "warm manifest by tag, CPU-µs a request", "%.1f", "nginx", "ratio"),
    Row("warm_manifest_p50_ms", "warm manifest by tag, p50 ms", "%.2f", "nginx", "ratio"),
    Row("warm_manifest_p99_ms", "warm manifest by tag, p99 ms", "%.2f", "nginx", "ratio"),
    Row("cold_blob_loopback_ttfb_ms", "cold blob, loopback, first byte ms", "%.1f", "plain", "difference", at_most=5),
    Row("cold_blob_loopback_total_ms", "cold blob, loopback, total ms", "%.0f", "plain", "ratio", at_most=1.15),
    Row("cold_blob_loopback_total_ms", "fetched, hashed, written by plain tools, ms", "%.0f", "plain", "ratio", own=TOOLS),
    Row("cold_blob_loopback_total_ms", "total, against plain tools", "%.0f", TOOLS, "ratio"),
    Row("cold_blob_link_ttfb_ms", "cold blob, 1 Gbit/s, first byte ms", "%.1f", "plain", "difference", at_most=5),
    Row("cold_blob_link_total_ms", "cold blob, 1 Gbit/s, total ms", "%.0f", "plain", "ratio", at_most=1.15),
    Row("herd_1_upstream_ratio", "upstream bytes, 1 cold client", "%.2fx", at_most=1.005),
    Row("herd_8_upstream_ratio", "upstream bytes, 8 cold clients", "%.2fx", at_most=1.005),
    Row("herd_200_upstream_ratio", "upstream bytes, 200 cold clients", "%.2fx", at_most=1.005),
    Row("herd_200_seconds", "200 cold clients, s until all have it", "%.1f", "proxy", "ratio"),
    Row("memory_warm_mib", "resident MiB, 500 streams, warm blob", "%.0f", at_most=100),
    Row("memory_warm_peak_mib", "the same, peak of the process", "%.0f", at_most=100),
    Row("memory_cold_mib", "resident MiB, 500 streams, cold blob", "%.0f", at_most=100),
    Row("memory_cold_peak_mib", "the same, peak of the process", "%.0f", at_most=100),
    Row("memory_fills_mib", "resident MiB, 500 streams, 500 fills", "%.0f", at_most=100),
    Row("memory_fills_peak_mib", "the same, peak of the process", "%.0f", at_most=100),
]


def read_medians(path):
    """{measure: {server: median}} of the samples, and how many samples each median is of."""
    values = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            sample = json.loads(line)
            values.setdefault(sample["measure"], {}).setdefault(sample["server"], []).append(sample["value"])
    return {m: {s: statistics.median(v) for s, v in by.items()} for m, by in values.items()}, values


def held_against(row, medians):
    """The figure that the target is about, and how it is shown."""
    own = medians[row.own]
    if not row.compare:
        return own, ""
    other = medians[row.other]
    if row.compare == "difference":
        return own - other, f"{own - other:+.1f} ms to {NAMES[row.other]}"
    ratio = own / other if other else float("inf")
    return ratio, f"{ratio:.2f}x {NAMES[row.other]}"


def verdict(row, figure):
    """The target and whether it is met; empty where there is none."""
    if row.at_least is not None:
        return f"at least {row.at_least:g}", "yes" if figure >= row.at_least else "NO"
    if row.at_most is not None:
        return f"at most {row.at_most:g}", "yes" if figure <= row.at_most else "NO"
    return "", ""


def cells(row, medians):
    """The cells of one line."""
    figure, shown = held_against(row, medians)
    shows = {**{server: medians.get(server) for server in SERVERS}, "transship": medians[row.own]}
    values = [row.form % value if value is not None else "" for value in shows.values()]
    return [row.label, *values, shown, *verdict(row, figure)]


def print_table(lines):
    """Markdown with aligned columns: text to the left, figures to the right."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    right = range(1, 1 + len(SERVERS))
    for number, line in enumerate(lines):
        padded = [c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(line, widths))]
        print("| " + " | ".join(padded) + " |")
        if number == 0:
            rules = ["-" * (w - 1) + (":" if i in right else "-") for i, w in enumerate(widths)]
            print("| " + " | ".join(rules) + " |")


def main():
    """Prints the table and, when asked, writes everything as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--header", required=True)
    parser.add_argument("--samples", required=True)
    parser.add_argument("--json", help="file that gets header, medians and samples")
    arguments = parser.parse_args()

    with open(arguments.header, encoding="utf-8") as file:
        header = json.load(file)
    medians, samples = read_medians(arguments.samples)
    for name, meaning in header.items():
        print(f"{name}: {meaning}")
    print("Medians; for a cold blob, docker-registry is the upstream asked directly.\n")
    rows = [cells(row, medians[row.measure]) for row in ROWS if row.measure in medians]
    print_table([["measure", *SERVERS.values(), "comparison", "target", "met"], *rows])
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"header": header, "medians": medians, "samples": samples}, file, indent=2)
            file.write("\n")


if __name__ == "__main__":
    main()
