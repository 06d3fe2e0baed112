//! The rules of the source tree. Each returns what breaks it, one line for each place.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::modules::{Arrow, Files, Modules};

/// The most lines of a file.
const LINES: usize = 400;

/// The layers, the uppermost first. On one line stand those that are side by side.
pub struct Layers(Vec<Vec<String>>);

impl Layers {
    /// Read from the picture: in each line of the first block under the heading, the names before a wider gap.
    pub fn in_document(document: &str) -> Layers {
        let section = document.split_once("\n## The layers\n").map_or("", |(_, section)| section);
        let picture = section.split("```").nth(1).unwrap_or_default();
        let names = picture.lines().skip(1).map(|line| line.trim_start().split("  ").next().unwrap_or_default());
        Layers(
            names
                .filter(|names| !names.is_empty())
                .map(|names| names.split(", ").map(str::to_owned).collect())
                .collect(),
        )
    }

    /// The layer of a file: its number, and its name, which is a folder's or a file's without its ending.
    fn of(&self, file: &str) -> Option<(usize, &str)> {
        let holds = |name: &&String| match name.ends_with('/') {
            true => file.starts_with(name.as_str()),
            false => file.strip_suffix(".rs") == Some(name),
        };
        let named =
            |(number, names): (usize, &'_ Vec<String>)| names.iter().find(holds).map(|name| (number, name.len()));
        let (number, _) = self.0.iter().enumerate().filter_map(named).max_by_key(|(_, length)| *length)?;
        self.0[number].iter().find(holds).map(|name| (number, name.as_str()))
    }

    /// Files that are in no layer, and layers that have no file. The root of the crate stands above all.
    pub fn that_are_not_the_trees(&self, files: &Files) -> Vec<String> {
        let homeless = files.keys().filter(|file| *file != "lib.rs" && self.of(file).is_none());
        let lived_in: BTreeSet<&str> = files.keys().filter_map(|file| self.of(file)).map(|(_, name)| name).collect();
        let empty = self.0.iter().flatten().filter(|name| !lived_in.contains(name.as_str()));
        let homeless = homeless.map(|file| format!("{file} is in none of the layers of ARCHITECTURE.md"));
        homeless.chain(empty.map(|name| format!("the layer {name} of ARCHITECTURE.md has no file"))).collect()
    }

    /// Imports that run up, or to a layer on the same line.
    pub fn broken_by(&self, arrows: &BTreeSet<Arrow>) -> Vec<String> {
        let runs_down = |arrow: &&Arrow| match (self.of(&arrow.from), self.of(&arrow.to)) {
            (Some((from, from_name)), Some((to, to_name))) => from < to || from_name == to_name,
            (None, _) => arrow.from == "lib.rs",
            (_, None) => false,
        };
        let up = arrows.iter().filter(|arrow| !runs_down(arrow));
        up.map(|Arrow { from, line, path, to }| {
            format!("{from}:{line} imports {path} from {to}, which is not below it")
        })
        .collect()
    }
}

/// Files that import each other in a circle; of each knot of files the shortest circle.
pub fn circles(arrows: &BTreeSet<Arrow>) -> Vec<String> {
    let mut imports = BTreeMap::<&str, BTreeSet<&str>>::new();
    for arrow in arrows {
        imports.entry(&arrow.from).or_default().insert(&arrow.to);
    }
    let all = imports.keys().filter_map(|file| way_back(&imports, file));
    let mut seen = BTreeSet::new();
    let mut shortest: Vec<Vec<&str>> = all.collect();
    shortest.sort_by_key(Vec::len);
    shortest.retain(|circle| {
        let is_new = circle.iter().all(|file| !seen.contains(file));
        seen.extend(circle.iter().copied());
        is_new
    });
    shortest.iter().map(|circle| format!("a circle: {}", circle.join(" -> "))).collect()
}

/// The shortest way from a file to itself.
fn way_back<'a>(imports: &BTreeMap<&'a str, BTreeSet<&'a str>>, start: &'a str) -> Option<Vec<&'a str>> {
    let mut ways = VecDeque::from([vec![start]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in imports.get(way.last()?).into_iter().flatten().copied() {
            let longer = [way.as_slice(), &[next]].concat();
            if next == start {
                return Some(longer);
            }
            if seen.insert(next) {
                ways.push_back(longer);
            }
        }
    }
    None
}

/// Files that are too long to have one job.
pub fn too_long(files: &Files) -> Vec<String> {
    let lengths = files.iter().map(|(file, text)| (file, text.lines().count()));
    lengths.filter(|(_, lines)| *lines > LINES).map(|(file, lines)| format!("{file} has {lines} lines")).collect()
}

/// `unsafe` in other files than those that may have it, which are named by folder or file.
pub fn unsafe_elsewhere(modules: &Modules, may: &[&str]) -> Vec<String> {
    let is_elsewhere = |(file, _): &&(String, usize)| !may.iter().any(|name| file.starts_with(name));
    modules.unsafe_at.iter().filter(is_elsewhere).map(|(file, line)| format!("{file}:{line} is unsafe")).collect()
}

/// Names in a list of files that have no `unsafe`.
pub fn unsafe_for_nothing(modules: &Modules, may: &[&str]) -> Vec<String> {
    let needs = |name: &str| modules.unsafe_at.iter().any(|(file, _)| file.starts_with(name));
    may.iter().filter(|name| !needs(name)).map(|name| format!("{name} is not unsafe")).collect()
}

/// The difference between the files of the tree and those that the document tells the job of: "- `name`: ...".
pub fn files_without_a_job(files: &Files, document: &str) -> Vec<String> {
    let section = document.split_once("\n## The files\n").map_or("", |(_, section)| section);
    let section = section.split("\n## ").next().unwrap_or_default();
    let named = section.lines().filter_map(|line| line.strip_prefix("- `")?.split_once("`: "));
    let named: BTreeSet<&str> = named.map(|(file, _)| file).collect();
    let there: BTreeSet<&str> = files.keys().map(String::as_str).collect();
    let untold = there.difference(&named).map(|file| format!("ARCHITECTURE.md does not say what {file} is for"));
    let gone = named.difference(&there).map(|file| format!("ARCHITECTURE.md speaks of {file}, which is gone"));
    untold.chain(gone).collect()
}
