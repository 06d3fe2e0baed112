"""What the site has beside Markdown pages: the reference, which doxygen has made (TCPSHAKER_REFERENCE), and its words in the
search; and pages that mkdocs.yml does not name."""

import html.parser
import json
import os
import pathlib
import shutil

from mkdocs.structure.nav import Link, Section

REFERENCE = pathlib.Path(os.environ["TCPSHAKER_REFERENCE"])
FIRST = "reference/tcpshaker_8h.html"


def named(items):
    for item in items:
        if isinstance(item, str):
            yield item
        elif isinstance(item, list):
            yield from named(item)
        else:
            for value in item.values():
                yield from named([value])


def on_config(config):
    known = set(named(config["nav"]))
    pages = pathlib.Path(config["docs_dir"])
    use = next(item["Use"] for item in config["nav"] if isinstance(item, dict) and "Use" in item)
    for page in sorted((pages / "docs").glob("*.md")):
        name = page.relative_to(pages).as_posix()
        if name not in known:
            use.append(name)
    return config


def on_nav(nav, config, files):
    nav.items.append(Section("Reference", [Link("Functions and types", FIRST)]))
    return nav


class Contents(html.parser.HTMLParser):
    """The title of one of doxygen's pages, and the words below it."""

    def __init__(self):
        super().__init__()
        self.title, self.words, self.where = "", [], None

    def handle_starttag(self, tag, attributes):
        if tag == "title":
            self.where = "title"
        elif ("class", "contents") in attributes:
            self.where = "contents"

    def handle_endtag(self, tag):
        if tag == "title":
            self.where = None

    def handle_data(self, data):
        if self.where == "title":
            self.title += data
        elif self.where == "contents":
            self.words += data.split()


def on_post_build(config):
    site = pathlib.Path(config["site_dir"])
    shutil.copytree(REFERENCE, site / "reference", dirs_exist_ok=True)
    index = site / "search" / "search_index.json"
    search = json.loads(index.read_text(encoding="utf-8"))
    for page in sorted((site / "reference").glob("*.html")):
        text = page.read_text(encoding="utf-8")
        # Doxygen's pages know nothing of the site around them.
        way_back = '<p><a href="../index.html">libtcpshaker</a></p>\n<div id="titlearea">'
        page.write_text(text.replace('<div id="titlearea">', way_back), encoding="utf-8")
        contents = Contents()
        contents.feed(text)
        search["docs"].append(
            {
                "location": f"reference/{page.name}",
                "title": contents.title.removeprefix("tcpshaker: "),
                "text": " ".join(contents.words),
            }
        )
    index.write_text(json.dumps(search), encoding="utf-8")
