# SPDX-License-Identifier: Apache-2.0
# Copyright the cnipp authors
"""Tables and pictures of what bench/run measured."""
import re

COLORS = {"ours": "#1f77b4", "reference": "#d62728", "floor": "#9a9a9a"}
COUNTS = ("processes", "syscalls", "netlink", "transactions", "faults", "kib")
MARKS = "<!-- made by bench/run: begin -->", "<!-- made by bench/run: end -->"


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ratio(row, other):
    """How many times better than the other side; against the floor, how many times worse."""
    sides = row["sides"]
    if "ours" not in sides or other not in sides:
        return "-"
    a, b = sides["ours"]["median"], sides[other]["median"]
    if row.get("more_is_better"):
        a, b = b, a
    return f"{a / b:.2f}" if other == "floor" else f"{b / a:.1f}"


def time_table(rows):
    out = [["case", "verb", "unit", "ours", "p10", "p90", "reference", "p10", "p90", "floor",
            "reference / ours", "ours / floor"]]
    for row in rows:
        if "skipped" in row:
            continue
        cells = [row["case"], row["verb"], row["unit"]]
        for side, keys in (("ours", ("median", "p10", "p90")), ("reference", ("median", "p10", "p90")),
                           ("floor", ("median",))):
            values = row["sides"].get(side)
            cells += [number(values[key]) if values else "-" for key in keys]
        out.append(cells + [ratio(row, "reference"), ratio(row, "floor")])
    return out


def count_table(rows):
    out = [["case", "verb", "", "processes", "system calls", "netlink messages", "nf_tables transactions",
            "page faults", "peak memory KiB"]]
    for row in rows:
        for side, values in row.get("sides", {}).items():
            if "syscalls" not in values:
                continue
            out.append([row["case"], row["verb"], side,
                        *(f"{values[key]:.0f}" if key in values else "-" for key in COUNTS)])
    return out


def text(table):
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return "\n".join("  ".join(cell.ljust(w) if i < 2 else cell.rjust(w)
                               for i, (cell, w) in enumerate(zip(row, widths))).rstrip()
                     for row in table)


def markdown(table):
    lines = ["| " + " | ".join(row) + " |" for row in table]
    return "\n".join([lines[0], "|" + "---|" * len(table[0]), *lines[1:]])


def svg(width, height, title, body):
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="16" y="24" font-size="15">{title}</text>', *body, "</svg>", ""])


def bars(rows, title):
    """Medians of the latencies, one bar a side; p10 to p90 as a line."""
    rows = [r for r in rows if r.get("unit") == "ms" and "skipped" not in r]
    left, scale_width, line = 230, 520, 15
    top = max(v["p90"] for r in rows for v in r["sides"].values())
    body, y = [], 44
    for row in rows:
        body.append(f'<text x="{left - 8}" y="{y + line}" text-anchor="end">{row["case"]} {row["verb"]}</text>')
        for side, v in row["sides"].items():
            x = [left + v[key] / top * scale_width for key in ("median", "p10", "p90")]
            body.append(f'<rect x="{left}" y="{y}" width="{x[0] - left:.1f}" height="{line - 4}" '
                        f'fill="{COLORS[side]}"/>')
            body.append(f'<line x1="{x[1]:.1f}" x2="{x[2]:.1f}" y1="{y + 5}" y2="{y + 5}" stroke="black"/>')
            body.append(f'<text x="{max(x[0], x[2]) + 5:.1f}" y="{y + 10}" font-size="11">'
                        f'{number(v["median"])} ms</text>')
            y += line
        y += 8
    for i, side in enumerate(COLORS):
        body.append(f'<rect x="{left + i * 110}" y="{y + 4}" width="12" height="12" fill="{COLORS[side]}"/>')
        body.append(f'<text x="{left + i * 110 + 18}" y="{y + 14}">{side}</text>')
    return svg(left + scale_width + 90, y + 30, title, body)


def curve(rows, title):
    """Connections per second over the number of masqueraded containers."""
    rows = [r for r in rows if "number" in r]
    if not rows:
        return None
    width, height, left, bottom = 640, 360, 80, 60
    top = max(v["p90"] for r in rows for v in r["sides"].values()) * 1.1
    step = (width - left - 120) / max(1, len(rows) - 1)
    body = []
    for i in range(6):
        y = 40 + (height - bottom - 40) * i / 5
        body.append(f'<line x1="{left}" x2="{width - 120}" y1="{y:.0f}" y2="{y:.0f}" stroke="#ddd"/>')
        body.append(f'<text x="{left - 6}" y="{y + 4:.0f}" text-anchor="end">{top * (5 - i) / 5:,.0f}</text>')
    for i, row in enumerate(rows):
        body.append(f'<text x="{left + i * step:.0f}" y="{height - bottom + 20}" text-anchor="middle">'
                    f'{row["number"]:,}</text>')
    body.append(f'<text x="{(left + width - 120) / 2}" y="{height - 16}" text-anchor="middle">'
                'masqueraded containers</text>')
    for k, side in enumerate(("ours", "reference")):
        points = [(left + i * step, 40 + (height - bottom - 40) * (1 - r["sides"][side]["median"] / top))
                  for i, r in enumerate(rows) if side in r["sides"]]
        body.append('<polyline points="' + " ".join(f"{x:.0f},{y:.0f}" for x, y in points) +
                    f'" fill="none" stroke="{COLORS[side]}" stroke-width="2"/>')
        body.append(f'<text x="{width - 110}" y="{60 + 20 * k}" fill="{COLORS[side]}">{side}</text>')
    return svg(width, height, title, body)


def page(result):
    """The part of docs/performance.md that is made anew."""
    about = result["about"]
    lines = [f"{about['date']}; Linux {about['kernel']}, {about['cpus']} CPUs, {about['iptables']}, load "
             f"average {about['load']}; {about['rounds']} rounds, sides in turns. The reference is "
             f"{about['reference']}.", "", "![latency](performance-latency.svg)", ""]
    if any("number" in row for row in result["rows"]):
        lines += ["![new connections](performance-connections.svg)", ""]
    lines += ["## Times and rates", "", markdown(time_table(result["rows"])), "", "## Counts", "",
              markdown(count_table(result["rows"])), ""]
    skipped = [f"- {row['case']}: {row['skipped']}" for row in result["rows"] if "skipped" in row]
    return "\n".join(lines + (["Not run:", "", *skipped, ""] if skipped else []))


def write_docs(result, directory):
    path = f"{directory}/performance.md"
    with open(path) as f:
        content = f.read()
    begin, end = MARKS
    made = f"{begin}\n\n{page(result)}\n{end}"
    if begin not in content:
        raise SystemExit(f"{path}: no line {begin!r}")
    content = re.sub(re.escape(begin) + ".*?" + re.escape(end), lambda _: made, content, flags=re.S)
    with open(path, "w") as f:
        f.write(content)
    pictures = {"latency": bars(result["rows"], "Time of one verb (median; line: p10 to p90)"),
                "connections": curve(result["rows"], "New TCP connections per second")}
    for name, picture in pictures.items():
        if picture:
            with open(f"{directory}/performance-{name}.svg", "w") as f:
                f.write(picture)
