//! What a configuration is refused for, and that every problem is named with its line.
#![allow(clippy::unwrap_used)]
use crate::{
    config::{self, Config},
    jail::{ALLOW, Jail, Setting},
};

fn read(edit: impl Fn(String) -> String) -> Result<Config, String> {
    let jail = Jail::new(&Setting::default());
    jail.write("agent.toml", &edit(jail.config_text(&Setting::default())));
    config::read(&jail.config()).map_err(|problems| problems.to_string())
}

/// Refused for `key`, whose line is named, with these words.
fn check(from: &str, to: &str, key: &str, words: &str) {
    let text = match read(|text| text.replacen(from, to, 1)) {
        Ok(_) => panic!("accepted: {to}"),
        Err(text) => text,
    };
    let line = text.lines().find(|line| line.contains(&format!(": {key}: ")));
    let line = line.unwrap_or_else(|| panic!("{key} is not named in:\n{text}"));
    assert!(line.contains(words), "{line}");
    let number = line.split_once("agent.toml:").and_then(|(_, rest)| rest.split(':').next());
    assert!(number.is_some_and(|n| n.parse::<usize>().is_ok()), "no line number: {line}");
}

#[test]
fn a_good_configuration_is_read_whole() {
    let config = read(|text| text).unwrap();
    assert_eq!(config.facility.ori.as_str(), crate::jail::ORI);
    assert_eq!(config.allow.subscribers().len(), 2);
    assert!(config.intake.mapping.is_some());
}

#[test]
fn actual_traffic_is_refused_until_disclosures_are_sealed() {
    check("kind = \"EXERCISE\"\nexercise_id = \"test\"", "kind = \"ACTUAL\"", "traffic.kind", "not sealed");
}

#[test]
fn an_exercise_needs_an_id_and_nothing_else_has_one() {
    check("exercise_id = \"test\"", "", "traffic.exercise_id", "needs an id");
    check("kind = \"EXERCISE\"", "kind = \"TEST\"", "traffic.exercise_id", "only an EXERCISE");
    check("kind = \"EXERCISE\"", "kind = \"PING\"", "traffic.kind", "ping command");
}

#[test]
fn a_port_that_others_can_reach_is_refused() {
    check("127.0.0.1:0", "0.0.0.0:7411", "http.listen", "loopback");
}

#[test]
fn an_unsigned_registry_is_refused_outside_demonstrations() {
    let unpinned = |text: String| {
        let line = text.lines().find(|line| line.starts_with("registrar_key")).unwrap().to_owned();
        text.replace(&line, "")
    };
    let unsigned = |text: String| unpinned(text).replace("[nats]", "unsigned = true\n[nats]");
    assert!(read(unpinned).err().unwrap().contains("registrar_key is missing"));
    assert!(read(unsigned).is_ok());
    let actual = read(|text| unsigned(text).replace("kind = \"EXERCISE\"", "kind = \"ACTUAL\""));
    assert!(actual.is_err());
    check(
        "file = \"registry.toml\"",
        "file = \"registry.toml\"\nunsigned = true",
        "registry.unsigned",
        "signed",
    );
}

#[test]
fn a_registry_that_was_changed_after_signing_is_refused() {
    let jail = Jail::new(&Setting::default());
    let text = std::fs::read_to_string(jail.path("registry.toml")).unwrap();
    jail.write("registry.toml", &text.replace("Northgate", "Southgate"));
    let problems = config::read(&jail.config()).err().unwrap().to_string();
    assert!(problems.contains("registry.toml.sig: signature"), "{problems}");
}

#[test]
fn a_facility_that_the_registry_does_not_know_is_refused() {
    check("ori = \"zz0010000\"", "ori = \"zz0090000\"", "facility.ori", "does not list");
    check("jurisdiction = \"zz\"", "jurisdiction = \"yy\"", "facility.jurisdiction", "in zz");
    check("instance = \"zz-test\"", "instance = \"zz-other\"", "facility.instance", "zz-test");
}

#[test]
fn a_key_for_another_use_or_another_facility_is_refused_and_never_printed() {
    check("\"sign.nk\"", "\"connect.nk\"", "facility.signing_seed_file", "SV...");
    check("\"secret\"", "\"connect.nk\"", "facility.secret_file", "hexadecimal");
    let other = nkeys::KeyPair::new_service();
    let jail = Jail::new(&Setting::default());
    jail.write("sign.nk", &other.seed().unwrap());
    let problems = config::read(&jail.config()).err().unwrap().to_string();
    assert!(problems.contains("not the key that the registry lists"), "{problems}");
    assert!(!problems.contains(&other.seed().unwrap()));
}

#[test]
fn an_allow_entry_that_the_registry_or_the_mapping_does_not_know_is_refused() {
    check(
        "subscriber = \"test-civil\"",
        "subscriber = \"test-nobody\"",
        "allow[1].subscriber",
        "not in the registry",
    );
    check("agreement = \"zz-civil\"", "agreement = \"zz-supervision\"", "allow[1].agreement", "no agreement");
    check("flag = \"hold\"", "flag = \"holt\"", "allow[1].flag", "no flag");
    check("\"person_name\"]", "\"person_nane\"]", "allow[0].fields", "no field");
}

#[test]
fn every_problem_is_named_at_once() {
    let text = read(|text| {
        text.replace("127.0.0.1:0", "0.0.0.0:1")
            .replace("nats://", "http://")
            .replace("\"sign.nk\"", "\"nowhere.nk\"")
            .replace("kind = \"EXERCISE\"", "kind = \"EXERCIZE\"")
            .replace("purpose = \"SUPERVISION\"", "purpose = \"NONE\"")
    });
    let text = text.err().unwrap();
    for key in ["http.listen", "nats.url", "facility.signing_seed_file", "traffic.kind", "allow[0].purpose"] {
        assert!(text.contains(key), "{key} is missing in:\n{text}");
    }
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let text = read(|text| text.replace("[store]\n", "[store]\ndirr = \"x\"\n")).err().unwrap();
    assert!(text.contains("unknown field `dirr`"), "{text}");
}

#[test]
fn the_example_of_the_repository_has_no_unknown_key() {
    let example = include_str!("../../../deploy/examples/agent.toml");
    let jail = Jail::new(&Setting::default());
    jail.write("agent.toml", example);
    let problems = config::read(&jail.config()).err().unwrap().to_string();
    assert!(!problems.contains("unknown field") && !problems.contains("missing field"), "{problems}");
    assert!(ALLOW.contains("rule-1"));
}
