//! Golden bytes: what was once encoded is read as the same value for ever. `golden/<Message>.<case>.hex` holds the bytes,
//! the `.json` beside it their canonical JSON.
//!
//! A file is written once and never again. After adding a case: `SALLYPORT_GOLDEN=write cargo test -p sallyport-proto
//! --test golden -- --test-threads 1`, which writes what is missing and refuses to overwrite. A golden that fails says
//! that deployed jails and agencies would misread each other: change the code, not the file.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)]

#[path = "golden/cases.rs"]
mod cases;
#[path = "golden/values/mod.rs"]
mod values;

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use cases::Case;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, ReflectMessage, Value};
use sallyport_proto::json;
use serde_json::json;

/// Reserved for sealing, which no build writes or reads yet.
const RESERVED: &[&str] = &[
    "Disclosure.sealed_enc",
    "Disclosure.sealed_ciphertext",
    "RequestDetails.sealed_enc",
    "RequestDetails.sealed_ciphertext",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

#[allow(
    clippy::disallowed_methods,
    reason = "writing must be asked for, and a test has no other way to be asked"
)]
fn golden(name: &str, fresh: impl FnOnce() -> String) -> String {
    let may_write = std::env::var("SALLYPORT_GOLDEN").is_ok_and(|mode| mode == "write");
    let path = folder().join(name);
    kept(&path, may_write, fresh).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The file's text. Written first when it is missing and `may_write`; an existing one is never touched.
fn kept(path: &Path, may_write: bool, fresh: impl FnOnce() -> String) -> io::Result<String> {
    if may_write && !path.exists() {
        fs::File::create_new(path)?.write_all(fresh().as_bytes())?;
    }
    fs::read_to_string(path)
}

fn golden_bytes(case: &Case) -> Vec<u8> {
    let lines = |bytes: &[u8]| {
        let hex = data_encoding::HEXLOWER.encode(bytes);
        hex.as_bytes()
            .chunks(100)
            .map(|line| format!("{}\n", String::from_utf8_lossy(line)))
            .collect::<String>()
    };
    let text = golden(&format!("{}.{}.hex", case.message, case.name), || lines(&case.bytes));
    let hex: String = text.split_whitespace().collect();
    data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()
}

fn json_text(value: &serde_json::Value) -> String {
    format!("{}\n", serde_json::to_string_pretty(value).unwrap())
}

fn pool() -> DescriptorPool {
    DescriptorPool::decode(&include_bytes!("../src/gen/sallyport.v1.binpb")[..]).unwrap()
}

fn messages(pool: &DescriptorPool) -> Vec<MessageDescriptor> {
    pool.all_messages()
        .filter(|message| message.package_name() == "sallyport.v1" && !message.is_map_entry())
        .collect()
}

#[test]
fn a_golden_is_written_only_when_asked_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("Message.case.hex");
    assert!(kept(&path, false, || "unasked".into()).is_err());
    assert_eq!(kept(&path, true, || "first".into()).unwrap(), "first");
    assert_eq!(kept(&path, true, || "second".into()).unwrap(), "first");
}

#[test]
fn golden_bytes_are_read_as_the_value_they_were_made_of() {
    for case in cases::all() {
        eprintln!("{}.{}", case.message, case.name);
        (case.read)(&golden_bytes(&case));
    }
}

#[test]
fn the_same_value_is_encoded_and_signed_to_the_same_bytes() {
    for case in cases::all() {
        assert_eq!(golden_bytes(&case), case.bytes, "{}.{}", case.message, case.name);
    }
}

#[test]
fn golden_bytes_have_the_same_canonical_json() {
    for case in cases::all() {
        let json = json::canonical(case.message, &golden_bytes(&case)).unwrap();
        let text = golden(&format!("{}.{}.json", case.message, case.name), || json_text(&json));
        let golden: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json, golden, "{}.{}", case.message, case.name);
    }
}

#[test]
fn every_message_has_a_full_and_a_minimal_golden() {
    let cases: BTreeSet<_> =
        cases::all().iter().map(|case| format!("{}.{}", case.message, case.name)).collect();
    let pool = pool();
    let missing: Vec<_> = messages(&pool)
        .iter()
        .flat_map(|message| ["full", "minimal"].map(|name| format!("{}.{name}", message.name())))
        .filter(|name| !cases.contains(name))
        .collect();
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn every_field_is_set_in_a_golden_of_its_message() {
    let pool = pool();
    let mut set = BTreeSet::new();
    for case in cases::all() {
        let descriptor = pool.get_message_by_name(&format!("sallyport.v1.{}", case.message)).unwrap();
        collect_set(&DynamicMessage::decode(descriptor, &*golden_bytes(&case)).unwrap(), &mut set);
    }
    let unset: Vec<_> = messages(&pool)
        .iter()
        .flat_map(|message| {
            message.fields().map(|field| format!("{}.{}", message.name(), field.name())).collect::<Vec<_>>()
        })
        .filter(|field| !set.contains(field) && !RESERVED.contains(&field.as_str()))
        .collect();
    assert_eq!(unset, Vec::<String>::new());
}

fn collect_set(message: &DynamicMessage, set: &mut BTreeSet<String>) {
    for (field, value) in message.fields() {
        set.insert(format!("{}.{}", message.descriptor().name(), field.name()));
        match value {
            Value::Message(inner) => collect_set(inner, set),
            Value::List(items) => {
                items.iter().filter_map(Value::as_message).for_each(|m| collect_set(m, set));
            }
            _ => {}
        }
    }
}

#[test]
fn no_golden_file_is_without_its_test() {
    let known: BTreeSet<_> = cases::all()
        .iter()
        .flat_map(|case| ["hex", "json"].map(|ext| format!("{}.{}.{ext}", case.message, case.name)))
        .chain(["enumerations.json".to_owned()])
        .collect();
    let orphans: Vec<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| (name.ends_with(".hex") || name.ends_with(".json")) && !known.contains(name))
        .collect();
    assert_eq!(orphans, Vec::<String>::new());
}

#[test]
fn a_word_never_changes_its_number() {
    let pool = pool();
    let words: serde_json::Map<String, serde_json::Value> = pool
        .all_enums()
        .filter(|words| words.package_name() == "sallyport.v1")
        .flat_map(|words| {
            words.values().map(|word| (word.name().to_owned(), json!(word.number()))).collect::<Vec<_>>()
        })
        .collect();
    let text = golden("enumerations.json", || json_text(&words.clone().into()));
    let golden: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    assert!(!golden.is_empty());
    for (word, number) in golden {
        assert_eq!(words.get(&word), Some(&number), "{word}");
    }
}

#[test]
fn no_debug_print_shows_person_data() {
    let person = values::common::PERSON;
    let as_numbers = format!("{:?}", person.as_bytes());
    let as_numbers = as_numbers.trim_matches(['[', ']']);
    for case in cases::all() {
        let printed = (case.read)(&golden_bytes(&case));
        assert!(!printed.contains(person), "{}.{}: {printed}", case.message, case.name);
        assert!(!printed.contains(as_numbers), "{}.{} prints bytes: {printed}", case.message, case.name);
    }
}
