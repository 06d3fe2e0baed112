//! docs/site/: all pages as one site, the reference inside it, and a search over both.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::c::{root, scratch, succeed};
use crate::c_programs::finish;
use crate::page::Directory;
use crate::reference::lacks;
use crate::support::namespace::{find_program, skip};

/// The site, made once; or nothing where it cannot be made.
fn site(test: &str) -> Option<&'static Path> {
    static SITE: OnceLock<PathBuf> = OnceLock::new();
    if lacks(test, &["mkdocs", "doxygen", "python3"]) {
        return None;
    }
    Some(SITE.get_or_init(|| {
        let site = scratch().join("site");
        let built = finish(Command::new(root().join("docs/site/build")).arg(&site).current_dir("/"));
        assert!(built.status.success(), "docs/site/build: {built:?}");
        assert_eq!((built.stdout.as_str(), built.stderr.as_str()), ("", ""), "it says something");
        site
    }))
}

/// The files below a directory whose names end so, each with its text.
fn texts(directory: &Path, ending: &str) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(texts(&path, ending));
        } else if path.to_str().unwrap().ends_with(ending) {
            let text = fs::read_to_string(&path).unwrap();
            found.insert(path, text);
        }
    }
    found
}

/// The values of an attribute in a page, as a browser reads them.
fn attributes<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let start = format!(" {name}=\"");
    let values = page.split(start.as_str()).skip(1);
    values.filter_map(|rest| rest.split('"').next()).collect()
}

/// A path without the parts that lead up again.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => _ = plain.pop(),
            part => plain.push(part),
        }
    }
    plain
}

#[test]
fn each_page_is_in_the_site_and_each_link_leads_somewhere() {
    let Some(site) = site("each_page_is_in_the_site") else { return };
    for page in fs::read_dir(root().join("docs")).unwrap() {
        let page = page.unwrap().path();
        if page.extension().is_some_and(|extension| extension == "md") {
            let made = site.join("docs").join(page.file_name().unwrap()).with_extension("html");
            assert!(made.is_file(), "{} is not in the site", page.display());
        }
    }
    let pages = texts(site, ".html");
    let anchors: BTreeMap<&PathBuf, BTreeSet<&str>> = pages
        .iter()
        .map(|(path, text)| (path, attributes(text, "id").into_iter().chain(attributes(text, "name")).collect()))
        .collect();
    let mut broken = Vec::new();
    let mut links = 0;
    for (path, text) in &pages {
        // It is shown at any address, so its links begin at the root of a server.
        if path.ends_with("404.html") {
            continue;
        }
        for target in attributes(text, "href").into_iter().chain(attributes(text, "src")) {
            if target.contains("://") || target.starts_with("data:") {
                continue;
            }
            links += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let linked = if file.is_empty() { path.clone() } else { plain(&path.parent().unwrap().join(file)) };
            let leads_there = linked.is_file()
                && (anchor.is_empty() || anchors.get(&linked).is_none_or(|known| known.contains(anchor)));
            if !leads_there {
                broken.push(format!("{target} in {}", path.display()));
            }
        }
    }
    assert!(links > 2000, "there are {links} links only");
    assert!(broken.is_empty(), "lead nowhere: {broken:#?}");
}

#[test]
fn pages_of_the_site_ask_nothing_of_other_hosts() {
    let Some(site) = site("pages_of_the_site_ask_nothing_of_other_hosts") else { return };
    for (path, text) in texts(site, ".html") {
        let links = text.split("<link").skip(1).filter_map(|link| link.split('>').next());
        let loaded = links.flat_map(|link| attributes(link, "href")).chain(attributes(&text, "src"));
        let foreign: Vec<&str> = loaded.filter(|target| target.contains("//")).collect();
        assert!(foreign.is_empty(), "{} loads {foreign:?}", path.display());
    }
    for (path, text) in texts(site, ".css") {
        assert!(
            !text.contains("url(http") && !text.contains("url(\"http") && !text.contains("@import"),
            "{}",
            path.display()
        );
    }
}

/// What a browser does with the index, less the waiting.
const SEARCH: &str = r#"
const fs = require("fs"), site = process.argv[1] + "/search/";
const lunr = require(site + "lunr.js");
const { docs } = JSON.parse(fs.readFileSync(site + "search_index.json", "utf8"));
const index = lunr(function () {
  this.ref("location"); this.field("title"); this.field("text");
  for (const page of docs) this.add(page);
});
for (const word of process.argv.slice(2)) console.log(index.search(word).map((found) => found.ref).join(" "));
"#;

#[test]
fn search_finds_words_of_pages_and_of_the_reference() {
    let test = "search_finds_words_of_pages_and_of_the_reference";
    let Some(site) = site(test) else { return };
    if find_program("node").is_none() {
        return skip(test, "there is no node on this machine");
    }
    let searched = [
        ("shaker_check_addr", "reference/shaker_check_addr.html"),
        ("SHAKER_ERR_DEADLOCK", "reference/shaker_status.html"),
        ("synproxy", "docs/why.html#"),
        ("keepalived", "index.html"),
    ];
    let mut node = Command::new("node");
    node.args(["-e", SEARCH]).arg(site).args(searched.map(|(word, _)| word));
    let found = succeed(&mut node);
    let found: Vec<&str> = found.stdout.lines().collect();
    assert_eq!(found.len(), searched.len());
    for ((word, place), found) in searched.into_iter().zip(found) {
        assert!(found.split(' ').any(|page| page.starts_with(place)), "{word} is found in {found}, not in {place}");
    }
}

#[test]
fn site_with_a_link_that_leads_nowhere_is_not_made() {
    if lacks("site_with_a_link_that_leads_nowhere_is_not_made", &["mkdocs", "doxygen", "python3"]) {
        return;
    }
    let tree = Directory::new("broken-site");
    let copied = ["README.md", "docs", "include", "bindings", "benches", "CHANGELOG.md", "CONTRIBUTING.md"];
    let copied = copied.into_iter().chain(["SECURITY.md", "ARCHITECTURE.md", "examples-c", "abi", "tests/consumers"]);
    for name in copied {
        let place = tree.path().join(name);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        succeed(Command::new("cp").arg("-r").arg(root().join(name)).arg(place));
    }
    let limits = tree.path().join("docs/limits.md");
    fs::write(&limits, fs::read_to_string(&limits).unwrap() + "\n[gone](gone.md)\n").unwrap();
    let built = finish(Command::new(tree.path().join("docs/site/build")).arg(tree.path().join("site")));
    assert!(!built.status.success() && built.stderr.contains("gone.md"), "{built:?}");
}
