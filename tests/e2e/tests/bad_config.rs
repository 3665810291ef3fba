//! A wrong configuration: every program names every problem with file, key and line, ends with 64, and opens no socket.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{path::Path, time::Duration};

use sallyport_e2e::{
    World,
    world::{AGENT, RELAY, SUBSCRIBER},
};

const CONFIG: i32 = 64;
const DEADLINE: Duration = Duration::from_secs(20);

/// Spoils a configuration: each change must find its place.
fn spoiled(config: &Path, changes: &[(&str, &str)]) -> String {
    let mut text = std::fs::read_to_string(config).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{} holds no {from}:\n{text}", config.display());
        text = text.replacen(from, to, 1);
    }
    text
}

/// Runs `check` and `run` on a spoiled configuration; both must name every key, and its line.
fn names_all(world: &World, program: &str, config: &Path, changes: &[(&str, &str)], keys: &[&str]) {
    let bad = config.with_file_name(format!("bad-{program}.toml"));
    let text = spoiled(config, changes);
    std::fs::write(&bad, &text).unwrap();
    for command in ["check", "run"] {
        let ended =
            world.recipe(program).unwrap().args([command, "--config"]).arg(&bad).run(DEADLINE).unwrap();
        assert_eq!(ended.code().unwrap(), CONFIG, "{program} {command}: {ended:?}");
        for key in keys {
            let problem = ended.stderr.iter().find(|line| line.contains(&format!(": {key}: ")));
            let problem =
                problem.unwrap_or_else(|| panic!("{program} {command} does not name {key}: {ended:?}"));
            let (place, _) = problem.split_once(": ").unwrap();
            let line = place.rsplit_once(':').and_then(|(_, line)| line.parse::<usize>().ok());
            let line = line.unwrap_or_else(|| panic!("no line in: {problem}"));
            let last = key.rsplit('.').next().unwrap().split('[').next().unwrap();
            let told = text.lines().nth(line - 1).unwrap_or_default();
            assert!(told.contains(last), "{problem}\npoints at: {told}");
        }
    }
}

#[test]
fn every_program_names_every_problem_with_key_and_line_and_ends_with_64_before_any_socket() {
    // Nothing listens: a program that tried a socket first would wait for it.
    let world = World::rendered(|_| {}, |text| text).unwrap();
    let instance = &world.instance;
    names_all(
        &world,
        RELAY,
        &instance.relay_config("a"),
        &[
            ("url = \"nats://", "url = \"http://"),
            ("replicas = 1", "replicas = 2"),
            ("name = \"a\"", "name = \"A.b\""),
            // A mistake of form hides no other.
            ("reload_s = 1", "reload_x = 1"),
        ],
        &["nats.url", "provision.replicas", "node.name", "registry.reload_x"],
    );
    names_all(
        &world,
        AGENT,
        &instance.agent_config("zz0010000"),
        &[
            ("ori = \"zz0010000\"", "ori = \"nowhere\""),
            ("url = \"nats://", "url = \"http://"),
            ("kind = \"EXERCISE\"", "kind = \"PRETEND\""),
            ("purpose = \"SUPERVISION\"", "purpose = \"CURIOSITY\""),
        ],
        &["facility.ori", "nats.url", "traffic.kind", "allow[0].purpose"],
    );
    names_all(
        &world,
        SUBSCRIBER,
        &instance.subscriber_config("demo-civil"),
        &[
            ("id = \"demo-civil\"", "id = \"relay\""),
            ("url = \"nats://", "url = \"http://"),
            ("to = \"files\"", "to = \"pigeons\""),
        ],
        &["subscriber.id", "nats.url", "hand_over.to"],
    );
}

#[test]
fn an_unknown_key_and_a_key_of_the_wrong_kind_are_named() {
    let world = World::rendered(|_| {}, |text| text).unwrap();
    let instance = &world.instance;
    let configs = [
        (RELAY, instance.relay_config("a")),
        (AGENT, instance.agent_config("zz0010000")),
        (SUBSCRIBER, instance.subscriber_config("demo-civil")),
    ];
    for (program, config) in configs {
        let text = std::fs::read_to_string(&config).unwrap();
        // The keys are exchanged: what signs must never log in.
        let swapped = text
            .replace(".sign.nk", ".swap.nk")
            .replace(".connect.nk", ".sign.nk")
            .replace(".swap.nk", ".connect.nk");
        let bad = config.with_file_name(format!("bad-{program}.toml"));
        std::fs::write(&bad, swapped).unwrap();
        let ended = world.recipe(program).unwrap().args(["run", "--config"]).arg(&bad).run(DEADLINE).unwrap();
        assert_eq!(ended.code().unwrap(), CONFIG, "{program}: {ended:?}");
        let said = ended.stderr.join("\n");
        assert!(
            said.contains("signing_seed_file") && said.contains("connect_seed_file"),
            "{program}: {said}"
        );

        std::fs::write(&bad, format!("{text}\n[surprise]\nx = 1\n")).unwrap();
        let ended = world.recipe(program).unwrap().args(["run", "--config"]).arg(&bad).run(DEADLINE).unwrap();
        assert_eq!(ended.code().unwrap(), CONFIG, "{program}: {ended:?}");
        assert!(ended.stderr.join("\n").contains("surprise"), "{program}: {ended:?}");
    }
}
