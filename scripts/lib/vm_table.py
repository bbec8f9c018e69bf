"""What bench_vm prints: all runs that are known, and a line for each figure, with the limit beside it."""
import json, os, statistics, sys


class Table:
    def __init__(self, file=None):
        self.file, self.missed = file, 0
        self.records = [json.loads(row) for row in open(file)] if file and os.path.exists(file) else []

    def keep(self, record):
        self.records.append(record)
        if self.file:
            with open(self.file, "a") as out:
                out.write(json.dumps(record) + "\n")
        taken = record.get("seconds")
        print(f"  {record['part']} {record['build']} {record['variant']}: {record['code']}, {taken and round(taken, 1)} s", file=sys.stderr, flush=True)

    def of(self, part, build, variant):
        return [row for row in self.records if (row["part"], row["build"], row["variant"]) == (part, build, variant)]

    def line(self, name, value, limit="", holds=None):
        self.missed += holds is False
        print(f"{name:<45} {value:<88} {limit:<25} {'' if holds is None else 'holds' if holds else 'MISSED'}", flush=True)


def median(rows, figure):
    known = [row[figure] for row in rows if row.get(figure) is not None]
    return statistics.median(known) if known else float("nan")


def is_clean(row):
    return row["code"] == 0 and row["oom_kills"] == 0 and row["same"] and not row["swap_left"]


def told(rows):
    """Medians, and all single values of the time."""
    singles = " ".join("-" if row["seconds"] is None else f"{row['seconds']:.1f}" for row in rows)
    stalls = " ".join("-" if row["full_stall"] is None else f"{row['full_stall']:.2f}" for row in rows)
    text = f"{median(rows, 'seconds'):.1f} s ({singles}), whole {median(rows, 'whole'):.1f} s, full stall {median(rows, 'full_stall'):.2f} s ({stalls})"
    trouble = {what for row in rows for what, is_so in (
        (f"exit {row['code']}", row["code"] != 0), ("OOM kills", row["oom_kills"]), ("SERVICES CHANGED", not row["same"]), ("SWAP LEFT", row["swap_left"])) if is_so}
    return text + "".join(f", {what}" for what in sorted(trouble))
