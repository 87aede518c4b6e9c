# SPDX-License-Identifier: GPL-2.0
"""ns per packet over rules, both logarithmic, as an SVG that looks right on light and dark."""
import math

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 860, 480, 70, 40, 190, 50
COLOURS = {"floor": "#888888", "xdp_drop": "#bbbbbb", "legacy": "#d55e00", "iptables-nft": "#e69f00",
           "nft": "#cc79a7", "nft-set": "#9467bd", "netdev": "#8c564b", "xdp": "#0072b2", "tc": "#56b4e9",
           "hook": "#66c2a5", "takeover": "#009e73", "none": "#999999"}
STYLE = """<style>
text { font: 12px sans-serif; fill: #222 } .grid { stroke: #8884 } .axis { stroke: #888 }
@media (prefers-color-scheme: dark) { text { fill: #ddd } }
</style>"""


def svg(result, shape="single", traffic="random"):
    lines = {}
    for r in result["rows"]:
        if r["shape"] == shape and r["traffic"] == traffic and r["ns"] and not r["wrong"] and r["rules"]:
            lines.setdefault(r["system"], []).append((r["rules"], r["ns"]))
    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" '
           'aria-label="ns per packet over rules">' % (WIDTH, HEIGHT), STYLE]
    points = [p for line in lines.values() for p in line]
    if not points:
        return "\n".join(out + ["<text x='20' y='30'>nothing measured</text></svg>"])
    x0, x1 = 0, max(1, math.ceil(math.log10(max(p[0] for p in points))))
    y0 = math.floor(math.log10(min(p[1] for p in points)))
    y1 = max(y0 + 1, math.ceil(math.log10(max(p[1] for p in points))))

    def at_x(v):
        return LEFT + (math.log10(v) - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT)

    def at_y(v):
        return HEIGHT - BOTTOM - (math.log10(v) - y0) / (y1 - y0) * (HEIGHT - TOP - BOTTOM)
    for e in range(x0, x1 + 1):
        x = at_x(10 ** e)
        out.append('<line class="grid" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>'
                   % (x, TOP, x, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 18, format(10 ** e, ",")))
    for e in range(y0, y1 + 1):
        y = at_y(10 ** e)
        out.append('<line class="grid" x1="%d" y1="%.1f" x2="%d" y2="%.1f"/><text x="%d" y="%.1f" text-anchor="end">%s</text>'
                   % (LEFT, y, WIDTH - RIGHT, y, LEFT - 6, y + 4, format(10 ** e, ",")))
    labels = []
    for system, line in lines.items():
        colour = COLOURS.get(system, "#888")
        line.sort()
        path = " ".join("%.1f,%.1f" % (at_x(n), at_y(ns)) for n, ns in line)
        width = 3 if system in ("xdp", "tc", "hook", "takeover") else 1.5
        out.append('<polyline fill="none" stroke="%s" stroke-width="%s" points="%s"/>' % (colour, width, path))
        out += ['<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>' % (at_x(n), at_y(ns), colour) for n, ns in line]
        labels.append([at_y(line[-1][1]), system, colour, line[-1]])
    labels.sort()
    for i, lab in enumerate(labels):  # apart from each other
        if i and lab[0] < labels[i - 1][0] + 14:
            lab[0] = labels[i - 1][0] + 14
    for y, system, colour, last in labels:
        out.append('<text x="%d" y="%.1f" style="fill:%s">%s %s ns</text>'
                   % (WIDTH - RIGHT + 8, y + 4, colour, system, format(round(last[1]), ",")))
    out.append('<text x="%d" y="22">ns of CPU per packet, %s rules, %s traffic, drop; kernel %s</text>'
               % (LEFT, {"single": "single-address"}.get(shape, shape), traffic, result["conditions"]["kernel"]))
    out.append('<text x="%d" y="%d" text-anchor="middle">rules</text></svg>' % (LEFT + (WIDTH - LEFT - RIGHT) / 2, HEIGHT - 10))
    return "\n".join(out)
