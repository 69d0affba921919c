"""Draws the Mermaid diagrams of the documents as SVG files under docs/diagrams.

A diagram in a document is an image link to its file with its Mermaid source below. The file says in its metadata what
it was drawn from, so that a test can tell whether the two are in step without drawing anything.
"""

import base64
import hashlib
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from infra.local.packages import MERMAID, prepare_diagrams
from infra.local.servers import PACKAGES

DOCS: Final = Path(__file__).parents[1] / "docs"
PICTURES: Final = DOCS / "diagrams"
RENDER_TIMEOUT_S: Final = 120
_LEGIBLE: Final = (
    ".messageText, .loopText, .loopText tspan { paint-order: stroke; stroke: #ffffff !important; stroke-width: 5px; }"
    " .edgeLabel rect { opacity: 1 !important; }"
)
"""Lines end where they would run through a label."""
_CONFIG: Final[dict[str, Any]] = {
    "startOnLoad": False,
    "theme": "neutral",
    "deterministicIds": True,
    "fontFamily": "Verdana, DejaVu Sans, sans-serif",
    "htmlLabels": False,
    "themeCSS": _LEGIBLE,
    "themeVariables": {"noteBkgColor": "#fff7d6", "noteTextColor": "#333333", "noteBorderColor": "#c9b458"},
    "flowchart": {"htmlLabels": False, "nodeSpacing": 36, "rankSpacing": 52, "wrappingWidth": 420},
    "sequence": {"mirrorActors": False, "useMaxWidth": True, "wrap": False, "actorMargin": 24},
}
_SOURCE: Final = re.compile(r"\]\(diagrams/([\w-]+)\.svg\)|```mermaid\n(.*?)```", re.DOTALL)
_PAGE: Final = """<!doctype html><meta charset="utf-8"><body><script src="{script}"></script><script>
const bytes = text => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
(async () => {{
  mermaid.initialize({config});
  for (const [name, source] of {sources}) {{
    const out = document.createElement("pre");
    out.id = name;
    try {{
      const {{svg}} = await mermaid.render("diagram-" + name, source);
      const holder = document.createElement("div");
      holder.innerHTML = svg;
      let xml = new XMLSerializer().serializeToString(holder.querySelector("svg")), text = "";
      const encoded = new TextEncoder().encode(xml);
      for (let i = 0; i < encoded.length; i += 8192) text += String.fromCharCode(...encoded.subarray(i, i + 8192));
      out.textContent = "svg " + btoa(text);
    }} catch (error) {{
      out.textContent = "error " + bytes(String(error));
    }}
    document.body.append(out);
  }}
}})();
</script>"""


class Diagram(Struct, frozen=True):
    """A diagram of a document."""

    name: str
    """Of its file, without what it ends with."""
    source: str

    @property
    def path(self) -> Path:
        """Where it is drawn."""
        return PICTURES / f"{self.name}.svg"

    @property
    def digest(self) -> str:
        """Of all that decides what it looks like."""
        return hashlib.sha256(json.dumps([MERMAID, _CONFIG, self.source]).encode()).hexdigest()

    @property
    def is_drawn(self) -> bool:
        """Whether the file is this very diagram."""
        return self.path.exists() and f"<metadata>{self.digest}</metadata>" in self.path.read_text(encoding="utf-8")


def diagrams_in(text: str) -> list[Diagram]:
    """The diagrams of a document.

    Raises:
        ValueError: if a source follows no link to its picture, or two share one.
    """
    found: list[Diagram] = []
    name = None
    for link, source in _SOURCE.findall(text):
        if link:
            name = link
        elif name is None:
            raise ValueError(f"no picture is linked above: {source[:60]!r}")
        else:
            found.append(Diagram(name, source))
            name = None
    return found


def all_diagrams() -> list[Diagram]:
    """The diagrams of all documents."""
    return [one for path in sorted(DOCS.rglob("*.md")) for one in diagrams_in(path.read_text(encoding="utf-8"))]


def draw(diagrams: list[Diagram]) -> None:
    """Draw diagrams into their files.

    Raises:
        InvalidConfiguration: if Mermaid or a browser can't be had.
        ValueError: if a source can't be drawn; the message is Mermaid's.
    """
    script, browser = prepare_diagrams(PACKAGES)
    sources = json.dumps([(one.name, one.source) for one in diagrams])
    with tempfile.TemporaryDirectory() as directory:
        page = Path(directory) / "page.html"
        page.write_text(_PAGE.format(script=script.as_uri(), config=json.dumps(_CONFIG), sources=sources))
        command = [browser, "--headless", "--disable-gpu", f"--user-data-dir={directory}/profile"]
        command += ["--virtual-time-budget=60000", "--dump-dom", page.as_uri()]
        if os.geteuid() == 0:  # Chromium refuses to sandbox itself for root
            command.insert(1, "--no-sandbox")
        done = subprocess.run(command, capture_output=True, text=True, timeout=RENDER_TIMEOUT_S, check=True)
    answers = {name: (kind, base64.b64decode(body).decode()) for name, kind, body in _answers(done.stdout)}
    PICTURES.mkdir(exist_ok=True)
    for one in diagrams:
        kind, text = answers.get(one.name, ("error", "the browser drew nothing"))
        if kind == "error":
            raise ValueError(f"{one.name}: {text}")
        one.path.write_text(_signed(one, text), encoding="utf-8")


def _answers(page: str) -> list[tuple[str, str, str]]:
    return re.findall(r'<pre id="([\w-]+)">(svg|error) ([\w+/=]*)</pre>', page)


def _signed(diagram: Diagram, svg: str) -> str:
    """The SVG with the digest of its source, on white, so that it can be read on a dark page."""
    head, end, body = svg.partition(">")
    head = re.sub(r'style="', 'style="background-color: white; ', head, count=1)
    body = re.sub(r"[ \t]+$", "", body, flags=re.MULTILINE)
    return f"{head}{end}<metadata>{diagram.digest}</metadata>{body}\n"


if __name__ == "__main__":
    wanted = all_diagrams()
    if stale := [one for one in wanted if not one.is_drawn]:
        draw(stale)
    for path in set(PICTURES.glob("*.svg")) - {one.path for one in wanted}:
        path.unlink()
    print(f"{len(wanted)} diagrams, {len(stale)} drawn again")
