"""Figures of a run: the least, the middle and the most of some rounds, and tables of them."""

import statistics


def spread(values):
    """{"min": …, "median": …, "max": …} with three digits that count."""
    return {"min": _round(min(values)), "median": _round(statistics.median(values)), "max": _round(max(values))}


def _round(value):
    return float(f"{value:.3g}")


def text(figures):
    return f"{figures['median']:g} ({figures['min']:g} to {figures['max']:g})"


def table(rows):
    """Lines of columns, each as wide as it must be."""
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)
