"""Pictures for the pages: SVG that is the same in each run.

They are drawn for a light page. The style sheet of the site turns them for a
dark one. A picture is 520 wide, so that its text can be read on a phone.
"""

from __future__ import annotations

import drawsvg

WIDTH = 520
INK, QUIET, LINE = "#1f2933", "#5b6472", "#c3c9d0"
TEAL, DONT, DO = "#0f5257", "#b3261e", "#166534"
PALE = {TEAL: "#dcebec", DONT: "#f3dcda", DO: "#dbe8df", QUIET: "#eceef0"}


class Picture:
    """A picture that grows downwards.

    Args:
        height: In units of the picture, as all lengths here.
    """

    def __init__(self, height: float) -> None:
        self.drawing = drawsvg.Drawing(
            WIDTH, height, font_family="system-ui, sans-serif"
        )
        self.tip = drawsvg.Marker(-8, -4, 0, 4, orient="auto")
        self.tip.append(
            drawsvg.Lines(-8, -4, 0, 0, -8, 4, close=True, fill=QUIET)
        )

    def text(
        self,
        words: str,
        x: float,
        y: float,
        colour: str = INK,
        size: float = 14,
        anchor: str = "start",
        bold: bool = False,
    ) -> None:
        """Write a line. `y` is the middle of its small letters."""
        self.drawing.append(
            drawsvg.Text(
                words,
                size,
                x,
                y,
                fill=colour,
                text_anchor=anchor,
                dominant_baseline="middle",
                **({"font_weight": 600} if bold else {}),
            )
        )

    def box(
        self,
        words: str,
        x: float,
        y: float,
        width: float,
        height: float = 32,
        colour: str = TEAL,
        dashed: bool = False,
    ) -> None:
        """Draw a box with lines of text in its middle."""
        self.drawing.append(
            drawsvg.Rectangle(
                x,
                y,
                width,
                height,
                rx=4,
                fill=PALE[colour],
                stroke=colour,
                **({"stroke_dasharray": "4 3"} if dashed else {}),
            )
        )
        lines = words.split("\n")
        for number, line in enumerate(lines):
            self.text(
                line,
                x + width / 2,
                y + height / 2 + 18 * (number - (len(lines) - 1) / 2) + 1,
                INK if number == 0 else QUIET,
                14 if number == 0 else 12,
                "middle",
            )

    def line(
        self, x1: float, y1: float, x2: float, y2: float, colour: str = LINE
    ) -> None:
        self.drawing.append(drawsvg.Line(x1, y1, x2, y2, stroke=colour))

    def arrow(self, x1: float, y1: float, x2: float, y2: float) -> None:
        self.drawing.append(
            drawsvg.Line(
                x1,
                y1,
                x2,
                y2,
                stroke=QUIET,
                stroke_width=1.5,
                marker_end=self.tip,
            )
        )

    def dot(
        self, x: float, y: float, colour: str = TEAL, radius: float = 4
    ) -> None:
        self.drawing.append(drawsvg.Circle(x, y, radius, fill=colour))

    def scale(
        self,
        y: float,
        marks: list[tuple[float, str]],
        left: float = 20,
        right: float = WIDTH - 20,
    ) -> None:
        """Draw a line with marks, from positions and what stands below."""
        self.line(left, y, right, y, QUIET)
        for x, words in marks:
            self.line(x, y, x, y + 5, QUIET)
            self.text(words, x, y + 16, QUIET, 12, "middle")

    def svg(self) -> str:
        return f"{self.drawing.as_svg(header='')}\n"
