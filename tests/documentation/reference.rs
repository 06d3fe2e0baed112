//! docs/reference/: a page for each function and type, as HTML and for man(1), made from the header's comments alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::c::{header, root, succeed};
use crate::c_programs::{Finished, finish};
use crate::page::Directory;
use crate::support::namespace::{find_program, skip};

const TYPES: [&str; 15] = [
    "shaker_address",
    "shaker_callback",
    "shaker_change",
    "shaker_checker",
    "shaker_config",
    "shaker_engine",
    "shaker_monitor",
    "shaker_monitor_config",
    "shaker_request",
    "shaker_result",
    "shaker_state",
    "shaker_stats",
    "shaker_status",
    "shaker_watch",
    "shaker_watch_info",
];

/// Whether a program that the test needs is missing; then it says so.
pub fn lacks(test: &str, programs: &[&str]) -> bool {
    let missing = programs.iter().find(|program| find_program(program).is_none());
    missing.is_some_and(|program| {
        skip(test, &format!("there is no {program} on this machine"));
        true
    })
}

/// Runs the script of the tree at `source`.
fn build(source: &Path, output: &Path) -> Finished {
    let mut script = Command::new(source.join("docs/reference/build"));
    finish(script.arg(output).env("SOURCE_DATE_EPOCH", "1700000000").current_dir("/"))
}

/// The reference of this tree.
struct Reference(Directory);

impl Reference {
    fn make(name: &str) -> Reference {
        let output = Directory::new(name);
        let built = build(root(), output.path());
        assert!(built.status.success(), "docs/reference/build: {built:?}");
        assert_eq!((built.stdout.as_str(), built.stderr.as_str()), ("", ""), "it says something");
        Reference(output)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A page as a reader sees it, in one line.
    fn man_page(&self, name: &str) -> String {
        let mut man = Command::new("man");
        man.args(["--no-hyphenation", "--no-justification", "--warnings", "-l"]);
        man.arg(self.path(&format!("man/man3/{name}.3"))).env("MANWIDTH", "200").env("MANPAGER", "cat");
        let shown = succeed(man.env("LC_ALL", "C.UTF-8"));
        assert_eq!(shown.stderr, "", "{name}(3)");
        shown.stdout.split_whitespace().collect::<Vec<&str>>().join(" ")
    }
}

/// A function's declaration as the header has it.
fn prototype(function: &str) -> String {
    let code = header::code();
    let at = code.find(&format!("{function}(")).expect("a declared function");
    let start = code[..at].rfind("\n\n").expect("its comment, and a line before that") + 2;
    let end = at + code[at..].find(';').expect("the end of its declaration");
    code[start..=end].to_owned()
}

fn unspaced(text: &str) -> String {
    text.split_whitespace().collect()
}

#[test]
fn each_function_has_a_man_page_with_its_prototype_and_what_it_returns() {
    if lacks("each_function_has_a_man_page", &["doxygen", "python3", "man"]) {
        return;
    }
    let reference = Reference::make("functions");
    for function in header::functions() {
        let (page, prototype) = (reference.man_page(&function), prototype(&function));
        assert!(page.contains(&format!(" NAME {function} — ")), "{page}");
        assert!(page.contains(" LIBRARY libtcpshaker (-ltcpshaker, or ‘pkg-config --cflags --libs tcpshaker’)"));
        let synopsis = format!("SYNOPSIS#include<tcpshaker.h>{}DESCRIPTION", unspaced(&prototype));
        assert!(unspaced(&page).contains(&synopsis), "{synopsis} is not in {page}");
        assert_eq!(page.contains(" RETURN VALUES Returns "), !prototype.starts_with("void "), "{page}");
        let see_also = page.split(" SEE ALSO ").nth(1).unwrap_or_else(|| panic!("no SEE ALSO: {page}"));
        assert!(see_also.contains("tcpshaker(3)"), "{page}");

        let pages = reference.path("man");
        let mut man = Command::new("man");
        let found = succeed(man.args(["-w", "-M"]).arg(&pages).args(["3", &function]));
        assert_eq!(Path::new(found.stdout.trim()), pages.join(format!("man3/{function}.3")));
    }
}

#[test]
fn types_and_the_whole_have_man_pages_that_name_every_part_of_them() {
    if lacks("types_and_the_whole_have_man_pages", &["doxygen", "python3", "man"]) {
        return;
    }
    let reference = Reference::make("types");
    let whole = reference.man_page("tcpshaker");
    for name in header::functions().iter().map(String::as_str).chain(TYPES) {
        assert!(whole.contains(&format!(" {name}(3) ")), "{name} is not in tcpshaker(3)");
    }
    for part in ["The sign rule", "Threads", "Ways to ask", "Monitors", "Ownership", "Promises", "Fork", "Addresses"] {
        assert!(whole.contains(&format!(" {part} ")), "{part} is not in tcpshaker(3)");
    }
    let enums = ["shaker_status", "shaker_engine", "shaker_state"].map(|name| reference.man_page(name));
    for constant in header::constants() {
        let value = format!(" {constant} = ");
        assert!(whole.contains(&constant) || enums.iter().any(|page| page.contains(&value)), "{constant}");
    }
    let code = header::code();
    for name in
        ["shaker_request", "shaker_result", "shaker_stats", "shaker_watch", "shaker_change", "shaker_watch_info"]
    {
        let (_, body) = code.split_once(&format!("typedef struct {name} {{")).expect("a struct");
        let (body, _) = body.split_once('}').expect("its end");
        let page = reference.man_page(name);
        let fields: Vec<&str> = body.split(';').map(str::trim).filter(|field| !field.is_empty()).collect();
        assert!(fields.len() > 7, "{name}: {fields:?}");
        for field in fields {
            let shown = field.split_whitespace().collect::<Vec<&str>>().join(" ");
            assert!(page.contains(&format!(" {shown} ")), "{shown} is not in {page}");
        }
    }
}

#[test]
fn man_pages_have_nothing_that_a_formatter_warns_of() {
    if lacks("man_pages_have_nothing_that_a_formatter_warns_of", &["doxygen", "python3", "mandoc"]) {
        return;
    }
    let reference = Reference::make("format");
    let pages = fs::read_dir(reference.path("man/man3")).unwrap();
    let pages: Vec<PathBuf> = pages.map(|page| page.unwrap().path()).collect();
    assert_eq!(pages.len(), header::functions().len() + TYPES.len() + 1);
    let linted = finish(Command::new("mandoc").args(["-Tlint", "-W", "warning"]).args(&pages));
    assert!(linted.status.success() && linted.stdout.is_empty(), "{linted:?}");
}

#[test]
fn each_function_has_a_page_of_html_and_a_link_to_it() {
    if lacks("each_function_has_a_page_of_html", &["doxygen", "python3"]) {
        return;
    }
    let reference = Reference::make("html");
    let html = reference.path("html");
    let list = fs::read_to_string(html.join("tcpshaker_8h.html")).unwrap();
    for name in header::functions().iter().map(String::as_str).chain(TYPES) {
        let page =
            fs::read_to_string(html.join(format!("{name}.html"))).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(page.contains(&format!("<title>tcpshaker: {name}")), "{name}");
        assert!(list.contains(&format!("href=\"{name}.html")), "no link to {name}");
    }
    // Each link within the pages leads somewhere.
    for entry in fs::read_dir(&html).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "html") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for (at, start) in text.match_indices("href=\"") {
            let target = text[at + start.len()..].split('"').next().unwrap();
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            if file.is_empty() || file.starts_with("http") {
                continue;
            }
            let linked = fs::read_to_string(html.join(file)).unwrap_or_else(|error| panic!("{target}: {error}"));
            assert!(
                anchor.is_empty() || linked.contains(&format!("id=\"{anchor}\"")),
                "{target} in {}",
                path.display()
            );
        }
    }
}

/// A tree of its own, with what the reference is made from.
fn copy(name: &str) -> Directory {
    let tree = Directory::new(name);
    for directory in ["docs/reference", "include"] {
        let copies = tree.path().join(directory);
        fs::create_dir_all(&copies).unwrap();
        for entry in fs::read_dir(root().join(directory)).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, copies.join(path.file_name().unwrap())).unwrap();
        }
    }
    tree
}

#[test]
fn reference_is_the_same_wherever_it_is_made_and_names_no_directory_of_the_machine() {
    if lacks("reference_is_the_same_wherever_it_is_made", &["doxygen", "python3"]) {
        return;
    }
    let tree = copy("elsewhere");
    let output = tree.path().join("output");
    let built = build(tree.path(), &output);
    assert!(built.status.success(), "{built:?}");
    let reference = Reference::make("here");
    succeed(Command::new("diff").arg("-r").arg(&output).arg(reference.0.path()));
    let found = finish(Command::new("grep").args(["-rlF", tree.path().to_str().unwrap()]).arg(&output));
    assert_eq!(found.stdout, "");
}

#[test]
fn header_with_a_function_that_no_comment_explains_has_no_reference() {
    if lacks("header_with_a_function_that_no_comment_explains", &["doxygen", "python3"]) {
        return;
    }
    let tree = copy("unexplained");
    let path = tree.path().join("include/tcpshaker.h");
    let text = fs::read_to_string(&path).unwrap();
    let (before, after) = text.rsplit_once("#ifdef __cplusplus").expect("the end of the header");
    fs::write(&path, format!("{before}void shaker_unexplained(void);\n\n#ifdef __cplusplus{after}")).unwrap();
    let built = build(tree.path(), &tree.path().join("output"));
    assert!(!built.status.success() && built.stderr.contains("shaker_unexplained"), "{built:?}");
}
