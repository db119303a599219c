//! Guards the invariants that docs/architecture.md states, by text search.
//!
//! A text search is coarse: it sees what is written, not what is meant. Each rule says at its lists what may be added there.

#[path = "tidy/source.rs"]
mod source;

use source::{Offence, Source, bracketed, children, in_name, is_test_file, name, places, tree};

/// A place where a rule does not hold, and why.
type Exception = (&'static str, &'static str);

/// Decisions: no clock, no system, nothing that waits. A name without an ending is a file and the folder of its parts.
const PURE: [&str; 24] = [
    "core/src/actor/stopwatch",
    "core/src/actor/wheel",
    "core/src/connection/flow",
    "core/src/connection/outgoing",
    "core/src/connection/polling",
    "core/src/pool/backlog",
    "core/src/pool/chunk",
    "core/src/pool/held",
    "core/src/pool/rules",
    "core/src/pool/scheduler",
    "core/src/pool/span",
    "core/src/pool/table",
    "core/src/pool/tasks",
    "core/src/pool/window",
    "core/src/queue/ledger",
    "core/src/router/",
    "core/src/shared/store/",
    "core/src/shm/claims",
    "core/src/shm/ring",
    "core/src/supervisor/backoff",
    "core/src/supervisor/intensity",
    "core/src/supervisor/policy",
    "core/src/sync/table",
    "core/src/wire/",
];

/// Where an operating system may be named: a path that ends in `/` stands for all below.
const DOORS: [Exception; 12] = [
    ("benches/src/main.rs", "what it measures beside are the parts of one system"),
    ("benches/tests/smoke.rs", "the same"),
    ("core/src/sys.rs", "picks the leaf"),
    ("examples/catalog/door.rs", "opening without following, kinds of special files: std has no common word"),
    ("spawn-unix/", "a leaf"),
    ("spawn-windows/", "a leaf"),
    ("tests/tests/system/", "what the tests do to processes from outside"),
    ("tests/tests/linux.rs", "groups, names, descriptors: only Linux has them"),
    ("tests/tests/seals.rs", "only Linux has them"),
    ("tests/tests/guardians.rs", "only Linux needs them"),
    ("tests/tests/signals.rs", "only Linux has them"),
    ("tests/tests/catalog/special.rs", "makes the special files and names that the catalog must survive"),
];

/// Where `unsafe` may stand.
const UNSAFE: [Exception; 3] = [
    ("derive/src/task/parse.rs", "the tokens of a function that the macro refuses"),
    ("spawn-unix/", "a leaf"),
    ("spawn-windows/", "a leaf"),
];

/// Programs that are wrong on purpose, for what the compiler says of them: input of a test, not code of the project.
const WRONG_ON_PURPOSE: &str = "tests/tests/ui/";

/// The modules of core from the lowest layer up. Those of one line are siblings that do not know each other. A new module
/// goes where everything it names is above it in this list.
const LAYERS: &[&[&str]] = &[
    &["sys"],
    &["wire"],
    &["error"],
    &["event"],
    &["shm"],
    &["connection"],
    &["router"],
    &["actor"],
    &["process", "registry"],
    &["supervisor"],
    &["blob", "pool", "queue", "shared", "sync"],
    &["program"],
];

/// Files of core that name any layer: they only re-export.
const ABOVE_ALL: [&str; 3] = ["core/src/lib.rs", "core/src/prelude.rs", "core/src/private.rs"];

/// Files that name a layer which is not below theirs, and which.
const UPWARDS: [Exception; 0] = [];

/// Tests that do not run by themselves.
const IGNORED: [Exception; 0] = [];

/// Names that say nothing of what a thing is.
const EMPTY_NAMES: [&str; 8] = ["manager", "managers", "util", "utils", "common", "imp", "helper", "helpers"];

/// The length up to which a file is one noun.
const LONG: usize = 600;

/// Files longer than that.
const LONGER: [Exception; 3] = [
    ("core/src/router/tests/world.rs", "the world that all of the router's tests are played in"),
    ("tests/tests/calls.rs", "one suite, a claim after the other"),
    ("derive/src/handlers/parse.rs", "the grammar of one attribute, with a test for each thing that it refuses"),
];

/// The length of an example that is read in one go.
const EXAMPLE: usize = 90;

fn assert_none(rule: &str, offences: Vec<Offence>) {
    assert!(offences.is_empty(), "{rule}:\n  {}\n", offences.join("\n  "));
}

fn excepted(list: &[Exception], path: &str) -> bool {
    list.iter().any(|(place, _)| if place.ends_with('/') { path.starts_with(place) } else { path == *place })
}

fn rust() -> impl Iterator<Item = &'static Source> {
    tree().iter().filter(|file| file.is_rust() && !file.path.starts_with(WRONG_ON_PURPOSE))
}

fn is_pure(path: &str) -> bool {
    PURE.iter()
        .filter_map(|pure| Some((pure, path.strip_prefix(pure)?)))
        .any(|(pure, rest)| pure.ends_with('/') || rest == ".rs" || rest.starts_with('/'))
}

fn impurities(file: &Source) -> Vec<Offence> {
    let mut found = Vec::new();
    for word in ["async", "await", "tokio", "Instant::now", "SystemTime"] {
        found.extend(places(&file.shipped, word).into_iter().map(|at| file.offence(at, word)));
    }
    for (root, names) in [("std", &["fs", "net", "process", "thread"][..]), ("crate", &["sys"])] {
        let reached = children(&file.shipped, root).into_iter().filter(|(_, name)| names.contains(&name.as_str()));
        found.extend(reached.map(|(at, name)| file.offence(at, &format!("{root}::{name}"))));
    }
    found
}

#[test]
fn pure_files_name_no_clock_no_system_and_nothing_that_waits() {
    let pure = rust().filter(|file| is_pure(&file.path));
    assert_none("a decision is impure", pure.flat_map(impurities).collect());
}

fn systems(file: &Source) -> Vec<Offence> {
    let mut found = Vec::new();
    for word in ["cfg", "cfg_attr"] {
        for at in places(&file.code, word) {
            let behind = file.code[at + word.len()..].trim_start_matches(['!', ' ']);
            if behind.starts_with('(') {
                let (condition, _) = bracketed(&file.code, file.code.len() - behind.len());
                let named = ["unix", "windows", "target_os", "target_family"].into_iter();
                let named: Vec<&str> = named.filter(|word| !places(condition, word).is_empty()).collect();
                found.extend((!named.is_empty()).then(|| file.offence(at, &named.join(", "))));
            }
        }
    }
    found
}

#[test]
fn only_the_doors_name_an_operating_system() {
    let others = rust().filter(|file| !excepted(&DOORS, &file.path));
    assert_none("an operating system is named outside the leaves and doors", others.flat_map(systems).collect());
}

#[test]
fn only_the_leaves_are_unsafe() {
    let others = rust().filter(|file| !excepted(&UNSAFE, &file.path));
    let found = others.flat_map(|file| places(&file.code, "unsafe").into_iter().map(|at| file.offence(at, "unsafe")));
    assert_none("unsafe outside the leaves", found.collect());
}

/// The module of core in which a file is: `core/src/wire/frame.rs` is in `wire`.
fn module(path: &str) -> Option<&str> {
    let below = path.strip_prefix("core/src/")?;
    Some(below.split_once('/').map_or(below.strip_suffix(".rs")?, |(module, _)| module))
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// What a file of core names of other modules: `crate::x`, and as many `super` as lead out of its own.
fn named_modules(file: &Source) -> Vec<(usize, String)> {
    let below = file.path.strip_prefix("core/src/").unwrap_or_default();
    let is_root = below.ends_with("/mod.rs");
    let depth = below.split('/').count() - usize::from(is_root);
    let supers = vec!["super"; depth].join("::");
    let mut named = children(&file.shipped, "crate");
    named.extend(children(&file.shipped, &supers).into_iter().filter(|(_, name)| name != "super"));
    named
}

fn upwards(file: &Source) -> Vec<Offence> {
    let Some(own) = module(&file.path) else { return Vec::new() };
    let Some(own_layer) = layer(own) else {
        return vec![format!("{}: the module {own} has no layer: give it one in tests/tests/tidy.rs", file.path)];
    };
    let named = named_modules(file).into_iter();
    let upwards = named.filter(|(_, name)| {
        let up = name != own && layer(name).is_some_and(|layer| layer >= own_layer);
        up && !excepted(&UPWARDS, &format!("{} names {name}", file.path))
    });
    upwards.map(|(at, name)| file.offence(at, &format!("{own} names {name}"))).collect()
}

#[test]
fn modules_name_lower_layers_only() {
    let core = rust().filter(|file| file.path.starts_with("core/src/") && !is_test_file(&file.path));
    let layered = core.filter(|file| !ABOVE_ALL.contains(&file.path.as_str()));
    assert_none("an arrow points up", layered.flat_map(upwards).collect());
}

fn unfinished(file: &Source) -> Vec<Offence> {
    let mut found = Vec::new();
    for word in ["todo!", "unimplemented!", "dbg!"] {
        found.extend(places(&file.code, word).into_iter().map(|at| file.offence(at, word)));
    }
    if !excepted(&IGNORED, &file.path) {
        found.extend(places(&file.code, "#[ignore").into_iter().map(|at| file.offence(at, "#[ignore]")));
    }
    if file.path.contains("src/") {
        found.extend(places(&file.shipped, "thread::sleep").into_iter().map(|at| file.offence(at, "thread::sleep")));
    }
    found
}

#[test]
fn nothing_is_left_unfinished_ignored_or_asleep() {
    assert_none("not finished", rust().flat_map(unfinished).collect());
}

fn notes(file: &Source) -> Vec<Offence> {
    // Put together here, so that this file may be searched too.
    let words = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"]].map(|parts| parts.concat());
    let folders = ["home", "root"].map(|folder| format!("/{folder}/"));
    let mut found = Vec::new();
    for word in &words {
        found.extend(places(&file.text, word).into_iter().map(|at| file.offence(at, word)));
    }
    for folder in &folders {
        let places = file.text.match_indices(folder.as_str()).map(|(at, _)| at);
        // `src/root/` is a folder of the project, not of a machine.
        let absolute = places.filter(|at| *at == 0 || !in_name(file.text.as_bytes()[at - 1]));
        found.extend(absolute.map(|at| file.offence(at, folder)));
    }
    found
}

#[test]
fn no_notes_to_oneself_and_no_paths_of_a_machine() {
    assert_none("it belongs in an issue, or nowhere", tree().iter().flat_map(notes).collect());
}

/// The words of `snake_case` and `CamelCase`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for char in name.chars() {
        let upper = char.is_uppercase();
        if upper || !char.is_alphanumeric() {
            words.push(String::new());
        }
        if let Some(last) = words.last_mut().filter(|_| char.is_alphanumeric()) {
            last.extend(char.to_lowercase());
        }
    }
    words
}

fn is_empty_name(name: &str) -> bool {
    words(name).iter().any(|word| EMPTY_NAMES.contains(&word.as_str()))
}

fn empty_names(file: &Source) -> Vec<Offence> {
    let mut found = Vec::new();
    for keyword in ["mod", "struct", "enum", "trait", "type", "union"] {
        for at in places(&file.code, keyword) {
            let declared = name(file.code[at + keyword.len()..].trim_start());
            found.extend(is_empty_name(declared).then(|| file.offence(at, declared)));
        }
    }
    let file_name = file.path.split('/').find(|part| is_empty_name(part.split('.').next().unwrap_or(part)));
    found.extend(file_name.map(|part| format!("{}: {part}", file.path)));
    found
}

#[test]
fn names_say_what_a_thing_is() {
    assert_none("a name that says nothing", rust().flat_map(empty_names).collect());
}

/// The name of the example whose root a file is, if it is one.
fn example(path: &str) -> Option<&str> {
    let below = path.strip_prefix("examples/")?;
    let name = below.strip_suffix("/main.rs").or_else(|| below.strip_suffix(".rs"))?;
    (!name.contains('/') && name != "lib").then_some(name)
}

fn example_offences(file: &Source, name: &str, manifest: &str) -> Vec<Offence> {
    let head: Vec<&str> = file.text.lines().take_while(|line| line.starts_with("//!")).collect();
    let head = head.join("\n");
    let mut found = Vec::new();
    let first = head.lines().next().unwrap_or_default().trim_start_matches("//!");
    if name_count(first) < 3 {
        found.push(file.offence(0, "does not begin with a comment that says what it shows"));
    }
    if !head.contains("cargo run") || places(&head, &format!("--example {name}")).is_empty() {
        found.push(file.offence(0, &format!("does not say at its begin: cargo run --example {name}")));
    }
    if file.text.lines().count() > EXAMPLE {
        found.push(format!("{}: {} lines are more than one reads in one go", file.path, file.text.lines().count()));
    }
    if !manifest.contains(&format!("name = \"{name}\"")) {
        found.push(format!("{}: examples/Cargo.toml does not list it", file.path));
    }
    found
}

fn name_count(line: &str) -> usize {
    line.split_whitespace().count()
}

#[test]
fn every_example_says_what_it_shows_and_how_to_run_it() {
    let manifest = tree().iter().find(|file| file.path == "examples/Cargo.toml").map_or("", |file| &file.text);
    let examples = rust().filter_map(|file| Some((file, example(&file.path)?)));
    assert_none("an example", examples.flat_map(|(file, name)| example_offences(file, name, manifest)).collect());
}

#[test]
fn a_file_is_one_noun_and_not_long() {
    let long = rust().filter(|file| file.text.lines().count() > LONG && !excepted(&LONGER, &file.path));
    let found = long.map(|file| format!("{}: {} lines", file.path, file.text.lines().count()));
    assert_none("longer than a file should be: split it, or list it with a reason", found.collect());
}

// The rules themselves: each must see what it forbids.

fn file(path: &str, text: &str) -> Source {
    Source::new(path, text.to_owned())
}

#[test]
fn impurity_is_seen() {
    for impure in ["async fn a() {}", "use std::{io, fs::File};", "let t = Instant::now();", "use crate::sys::Exit;"] {
        assert_eq!(impurities(&file("core/src/wire/x.rs", impure)).len(), 1, "{impure}");
    }
    let pure = "use std::time::{Duration, Instant}; // async\n#[cfg(test)] mod tests { use std::thread; }";
    assert_eq!(impurities(&file("core/src/wire/x.rs", pure)), [] as [Offence; 0]);
    assert!(is_pure("core/src/supervisor/policy.rs") && is_pure("core/src/supervisor/policy/child.rs"));
    assert!(!is_pure("core/src/supervisor/mod.rs") && !is_pure("core/src/pool/windows_of_time.rs"));
}

#[test]
fn a_system_is_seen() {
    for named in
        ["#[cfg(unix)] a", "#[cfg(not(any(target_os = \"linux\", x)))] a", "cfg!(windows)", "#[cfg_attr(unix, x)] a"]
    {
        assert_eq!(systems(&file("core/src/x.rs", named)).len(), 1, "{named}");
    }
    assert_eq!(systems(&file("core/src/x.rs", "#[cfg(test)] fn unix() {} // cfg(unix)")).len(), 0);
}

#[test]
fn an_arrow_that_points_up_is_seen() {
    let up = ["use crate::actor::Address;", "use crate::{wire::ids, process};", "fn a() { crate::pool::b() }"];
    for up in up {
        assert_eq!(upwards(&file("core/src/router/x.rs", up)).len(), 1, "{up}");
    }
    assert_eq!(upwards(&file("core/src/router/mod.rs", "use super::actor::X;")).len(), 1);
    assert_eq!(upwards(&file("core/src/router/x.rs", "use super::super::actor::X;")).len(), 1);
    assert_eq!(upwards(&file("core/src/shm/x.rs", "use crate::connection::X;")).len(), 1, "a sibling");
    let down = "use crate::wire::ids; use crate::router::Y; use super::actor; pub(crate) struct X;";
    assert_eq!(upwards(&file("core/src/router/x.rs", down)), [] as [Offence; 0]);
    assert_eq!(upwards(&file("core/src/nowhere.rs", "")).len(), 1, "a module without a layer");
}

#[test]
fn what_is_unfinished_is_seen() {
    for unfinished_code in ["todo!()", "dbg!(x)", "#[ignore = \"slow\"]", "std::thread::sleep(x)"] {
        assert_eq!(unfinished(&file("core/src/x.rs", unfinished_code)).len(), 1, "{unfinished_code}");
    }
    assert_eq!(unfinished(&file("tests/tests/x.rs", "thread::sleep(x)")).len(), 0);
    let note = ["// TO", "DO: x /ho", "me/x src/root/y"].concat();
    assert_eq!(notes(&file("a.md", &note)).len(), 2);
}

#[test]
fn an_empty_name_is_seen() {
    for empty in ["struct LockManager;", "mod test_utils {}", "enum Common { A }"] {
        assert_eq!(empty_names(&file("core/src/x.rs", empty)).len(), 1, "{empty}");
    }
    assert_eq!(empty_names(&file("core/src/helper/x.rs", "")).len(), 1);
    assert_eq!(empty_names(&file("core/src/x.rs", "struct Important; mod commons_tax; use tokio_util;")).len(), 0);
}

#[test]
fn an_example_without_a_head_is_seen() {
    let good = "//! Shows a thing or two: `cargo run --example x`.\nfn main() {}\n";
    assert_eq!(example_offences(&file("examples/x.rs", good), "x", "name = \"x\""), [] as [Offence; 0]);
    assert_eq!(example_offences(&file("examples/x.rs", &"fn main() {}\n".repeat(EXAMPLE + 1)), "x", "").len(), 4);
    assert_eq!(example("examples/catalog/main.rs"), Some("catalog"));
    assert_eq!(
        (example("examples/catalog/walk.rs"), example("examples/lib.rs"), example("core/src/x.rs")),
        (None, None, None)
    );
}
