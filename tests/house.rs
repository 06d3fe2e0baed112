//! The house has an order: which file may import which, how long one is, where `unsafe` may stand. ARCHITECTURE.md has
//! the layers; this reads them there and the imports in src/. What is under `#[cfg(test)]` may import what it likes.

#[path = "house/modules.rs"]
mod modules;
#[path = "house/reader.rs"]
mod reader;
#[path = "house/rules.rs"]
mod rules;
#[path = "house/tokens.rs"]
mod tokens;

use std::path::Path;

use modules::{Arrow, Files, Modules};
use rules::Layers;

/// The files that talk to the system or to C.
const MAY_BE_UNSAFE: [&str; 11] = [
    "c_api/",
    "sys/",
    "engine/raw/raw_socket.rs",
    "engine/raw/receiving.rs",
    "engine/raw/routes.rs",
    "engine/raw/sending.rs",
    "engine/socket/linux.rs",
    "engine/socket/tcp_info.rs",
    "engine/socket/options/linux.rs",
    "engine/socket/options/windows.rs",
    "resolver/lookup.rs",
];

fn document() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/ARCHITECTURE.md")).expect("ARCHITECTURE.md")
}

/// The sources under src/.
fn sources() -> Files {
    let mut files = Files::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder of src") {
            let path = entry.expect("an entry of src").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&root).expect("below src").to_str().expect("a name in ASCII");
                files.insert(name.replace('\\', "/"), std::fs::read_to_string(&path).expect("a source"));
            }
        }
    }
    files
}

/// Fails with every line of what breaks a rule.
#[track_caller]
fn assert_none(broken: Vec<String>) {
    assert!(broken.is_empty(), "\n  {}\n", broken.join("\n  "));
}

mod this_tree {
    use super::*;

    #[test]
    fn every_import_points_down_the_layers() {
        let arrows = Modules::of(&sources()).arrows();
        assert!(arrows.len() > 200, "the reader found {} imports only", arrows.len());
        assert_none(Layers::in_document(&document()).broken_by(&arrows));
    }

    #[test]
    fn no_files_import_each_other_in_a_circle() {
        assert_none(rules::circles(&Modules::of(&sources()).arrows()));
    }

    #[test]
    fn every_file_is_in_a_layer_of_the_picture_and_every_layer_has_files() {
        assert_none(Layers::in_document(&document()).that_are_not_the_trees(&sources()));
    }

    #[test]
    fn the_document_tells_the_one_job_of_every_file() {
        assert_none(rules::files_without_a_job(&sources(), &document()));
    }

    #[test]
    fn no_file_is_longer_than_400_lines() {
        assert_none(rules::too_long(&sources()));
    }

    #[test]
    fn only_files_that_talk_to_the_system_or_to_c_are_unsafe() {
        let modules = Modules::of(&sources());
        assert_none(rules::unsafe_elsewhere(&modules, &MAY_BE_UNSAFE));
        assert_none(rules::unsafe_for_nothing(&modules, &MAY_BE_UNSAFE));
    }
}

/// The reader, on trees that break a rule.
mod a_broken_tree {
    use super::*;

    const PICTURE: &str = "# A tree\n\n## The layers\n\nUpper above lower.\n\n```text\nroof         over all\n\
        floor/       rooms\nleft, right  side by side\nground/      stones\n```\n";

    fn tree(files: &[(&str, &str)]) -> Files {
        files.iter().map(|(name, text)| (format!("{name}.rs"), (*text).to_owned())).collect()
    }

    fn arrows(files: &[(&str, &str)]) -> Vec<(String, String, usize)> {
        let arrows = Modules::of(&tree(files)).arrows();
        arrows.into_iter().map(|Arrow { from, to, line, .. }| (from, to, line)).collect()
    }

    fn arrow(from: &str, to: &str, line: usize) -> (String, String, usize) {
        (format!("{from}.rs"), format!("{to}.rs"), line)
    }

    /// What the layers of the picture say to a tree of roof, floor and ground.
    fn up(roof: &str, floor: &str, ground: &str) -> Vec<String> {
        let root = "mod roof; mod floor; mod ground;";
        let files = [("lib", root), ("roof", roof), ("floor/mod", floor), ("ground/mod", ground)];
        Layers::in_document(PICTURE).broken_by(&Modules::of(&tree(&files)).arrows())
    }

    #[test]
    fn an_import_that_runs_up_is_named_with_its_file_and_line() {
        assert_none(up("use crate::floor::Floor;", "use crate::ground::Stone;", ""));
        let broken = up("", "", "\nuse std::io;\nuse crate::{roof::Roof, ground};");
        assert_eq!(broken, ["ground/mod.rs:3 imports crate::roof::Roof from roof.rs, which is not below it"]);
        let in_code = up("", "fn f() { crate::roof::climb(); }", "");
        assert_eq!(in_code, ["floor/mod.rs:1 imports crate::roof::climb from roof.rs, which is not below it"]);
    }

    #[test]
    fn an_import_of_a_layer_on_the_same_line_does_not_point_down() {
        let files = [("lib", "mod left; mod right;"), ("left", "use crate::right::R;"), ("right", "")];
        let broken = Layers::in_document(PICTURE).broken_by(&Modules::of(&tree(&files)).arrows());
        assert_eq!(broken, ["left.rs:1 imports crate::right::R from right.rs, which is not below it"]);
    }

    #[test]
    fn what_the_root_itself_defines_is_above_every_layer() {
        let files = [("lib", "mod roof; struct Root;"), ("roof", "use crate::Root;")];
        let broken = Layers::in_document(PICTURE).broken_by(&Modules::of(&tree(&files)).arrows());
        assert_eq!(broken, ["roof.rs:1 imports crate::Root from lib.rs, which is not below it"]);
    }

    #[test]
    fn comments_texts_and_tests_import_nothing() {
        assert_none(up("", "", "//! [`crate::roof::R`]\n/* /* */ use crate::roof::R; */ // use crate::roof::R;"));
        assert_none(up("", "", r####"const T: &str = r#"" use crate::roof::R; "#; const C: char = '"'; "####));
        assert_none(up("", "", r#"fn f<'a>(t: &'a str) { g("\" crate::roof::R") }"#));
        assert_none(up("", "", "#[cfg(test)]\nmod tests { use crate::roof::R; fn f() {} } fn g() {}"));
        assert_none(up(
            "",
            "",
            "#[cfg(all(test, unix))]\n#[allow(dead_code)]\npub fn f(x: [u8; 2]) { crate::roof::r() }",
        ));
        assert_eq!(up("", "", "#[cfg(not(test))]\nfn f() { crate::roof::r() }").len(), 1);
        assert_eq!(up("", "", "#[cfg(test)]\nmod tests { fn f() {} }\nuse crate::roof::R;").len(), 1);
        assert_eq!(up("", "", "const C: char = '\\'';\nfn f(t: &'static str) { crate::roof::r() }").len(), 1);
    }

    #[test]
    fn an_import_by_super_by_an_alias_or_by_a_child_is_one_too() {
        let files = [
            ("lib", "mod a;"),
            ("a/mod", "mod b; mod c; mod d { pub fn inner() { super::b::g(); } }"),
            ("a/b", "\nuse super::c as other;\nfn f() { other::g(); }"),
            ("a/c", ""),
        ];
        let expected = [arrow("a/b", "a/c", 2), arrow("a/b", "a/c", 3), arrow("a/mod", "a/b", 1)];
        assert_eq!(arrows(&files), expected);
        let by_child = [("lib", "mod a;"), ("a", "mod b; fn f() { b::g(); }"), ("a/b", "")];
        assert_eq!(arrows(&by_child), [arrow("a", "a/b", 1)]);
    }

    #[test]
    fn a_file_that_is_chosen_for_the_system_is_read_under_each_of_its_names() {
        let choice =
            "#[cfg_attr(unix, path = \"a/unix.rs\")]\n#[cfg_attr(windows, path = \"a/windows.rs\")]\nmod system;";
        let files =
            [("lib", "mod a; mod b;"), ("a", choice), ("a/unix", ""), ("a/windows", "use crate::b::B;"), ("b", "")];
        assert_eq!(arrows(&files), [arrow("a/windows", "b", 1)]);
    }

    #[test]
    fn a_re_export_leads_to_the_file_of_the_item() {
        let files = [
            ("lib", "mod a; mod b; pub use a::One;"),
            ("a/mod", "mod one; mod two; pub(crate) use one::{One, Other}; pub use two::*;"),
            ("a/one", "pub struct One; pub struct Other;"),
            ("a/two", "pub struct Two;"),
            ("b", "use crate::a::One;\nuse crate::a::Two;\nuse crate::One as Same;"),
        ];
        assert_eq!(arrows(&files), [arrow("b", "a/one", 1), arrow("b", "a/one", 3), arrow("b", "a/two", 2)]);
    }

    #[test]
    fn a_circle_of_files_is_named() {
        let root = ("lib", "mod a; mod b; mod c;");
        let circle = [root, ("a", "use crate::b::B;"), ("b", "use crate::c::C;"), ("c", "fn f() { crate::a::f() }")];
        let found = rules::circles(&Modules::of(&tree(&circle)).arrows());
        assert_eq!(found, ["a circle: a.rs -> b.rs -> c.rs -> a.rs"]);
        let line = [root, ("a", "use crate::b::B;\nuse crate::c::C;"), ("b", "use crate::c::C;"), ("c", "")];
        assert_none(rules::circles(&Modules::of(&tree(&line)).arrows()));
    }

    #[test]
    fn a_parent_that_only_re_exports_is_in_no_circle_and_one_that_uses_the_item_is() {
        let circles = |parent| {
            let child = ("a/child", "use super::sibling::S; pub struct C;");
            let files = [("lib", "mod a;"), ("a/mod", parent), child, ("a/sibling", "pub struct S;")];
            rules::circles(&Modules::of(&tree(&files)).arrows())
        };
        assert_none(circles("mod child; mod sibling; pub use child::C;"));
        let files = [("lib", "mod a;"), ("a", "mod b; pub use b::B; pub struct A(B);"), ("a/b", "use super::A;")];
        assert_eq!(rules::circles(&Modules::of(&tree(&files)).arrows()), ["a circle: a.rs -> a/b.rs -> a.rs"]);
    }

    #[test]
    fn a_type_that_calls_its_methods_in_another_file_is_in_a_circle_with_it() {
        let circles = |caller: &str| {
            let part = ("a/part", "use super::whole::Whole; impl Whole { pub fn go(&self) {} }");
            let whole = ("a/whole", caller);
            rules::circles(
                &Modules::of(&tree(&[("lib", "mod a;"), ("a/mod", "mod part; mod whole;"), part, whole])).arrows(),
            )
        };
        let found = circles("pub struct Whole; impl<T> Whole { fn f(&self) { self.go(); } }");
        assert_eq!(found, ["a circle: a/part.rs -> a/whole.rs -> a/part.rs"]);
        assert_none(circles("pub struct Whole; impl Whole { fn f(&self) {} }"));
    }

    #[test]
    fn a_file_of_401_lines_is_too_long() {
        assert_none(rules::too_long(&tree(&[("a", &"\n".repeat(400))])));
        assert_eq!(rules::too_long(&tree(&[("a", &"\n".repeat(401))])), ["a.rs has 401 lines"]);
    }

    #[test]
    fn unsafe_is_found_in_code_and_nowhere_else() {
        let files = [
            ("lib", "mod a; mod b;"),
            ("a", "// unsafe\n#[unsafe(no_mangle)]\nfn f() { \"unsafe\"; }\nunsafe fn g() {}"),
            ("b", "#[cfg(test)]\nfn f() { unsafe { g() } }"),
        ];
        let modules = Modules::of(&tree(&files));
        assert_eq!(rules::unsafe_elsewhere(&modules, &["b"]), ["a.rs:4 is unsafe"]);
        assert_none(rules::unsafe_elsewhere(&modules, &["a.rs"]));
        assert_eq!(rules::unsafe_for_nothing(&modules, &["a.rs", "b.rs"]), ["b.rs is not unsafe"]);
    }

    #[test]
    fn a_picture_that_is_not_the_trees_is_told() {
        let files =
            tree(&[("lib", ""), ("roof", ""), ("floor/room", ""), ("left", ""), ("ground/mod", ""), ("shed", "")]);
        let broken = Layers::in_document(PICTURE).that_are_not_the_trees(&files);
        let expected =
            ["shed.rs is in none of the layers of ARCHITECTURE.md", "the layer right of ARCHITECTURE.md has no file"];
        assert_eq!(broken, expected);
        assert_eq!(Layers::in_document("no picture").that_are_not_the_trees(&files).len(), 5);
    }

    #[test]
    fn a_file_that_the_document_forgets_or_remembers_too_long_is_told() {
        let document = "\n## The files\n\n- `lib.rs`: the root\n- `old.rs`: gone\n\n## More\n\n- `new.rs`: elsewhere\n";
        let broken = rules::files_without_a_job(&tree(&[("lib", ""), ("new", "")]), document);
        let expected =
            ["ARCHITECTURE.md does not say what new.rs is for", "ARCHITECTURE.md speaks of old.rs, which is gone"];
        assert_eq!(broken, expected);
    }
}
