"""Makes the description for a registry's page from README.md, when an archive is built.

There is no repository there: a relative link would lead nowhere, and a picture would be missing. A
link becomes its text, a picture with what explains it goes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


def description(readme: str) -> str:
    """Return the text of README.md without its pictures and relative links."""
    text = re.sub(r"<!-- picture -->.*?<!-- end of picture -->\n+", "", readme, flags=re.DOTALL)
    return re.sub(r"\[([^\]]+)\]\((?!https?://)[^)]*\)", r"\1", text)


class Description(MetadataHookInterface):
    """Tells Hatchling the description."""

    def update(self, metadata: dict[str, Any]) -> None:
        readme = Path(self.root, "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": description(readme)}
