//! What every program finds on its own machine, with and without a server.

use std::{collections::BTreeSet, fs};

use sallyport_e2e::{World, patience::SOON, world::Build};
use sallyport_ground::Instance;
use serde_json::Value;

use super::*;

#[test]
fn without_a_server_this_machine_is_judged_and_the_rest_is_named_as_not_seen() {
    let Some(world) = rendered(|_| {}, |text| text) else { return };
    for name in ALL {
        let checked = check(&world, name, &[]);
        checked.says("not-seen", "server-unreachable", "cannot be reached");
        let times = checked.findings.iter().filter(|f| f["code"] == "server-unreachable").count();
        assert_eq!(times, 1, "{name} says it once");
        assert_eq!((checked.code, checked.of("unsafe")), (UNAVAILABLE, BTreeSet::new()), "{name}");
        let offline = check(&world, name, &["--offline"]);
        offline.says("not-seen", "offline", "as asked");
        assert_eq!(offline.code, OK, "{name}");
    }
    // Unsafe goes before not seen.
    mode(&world.instance.keys().file("zz0010000.sign"), 0o640);
    assert_eq!(check(&world, AGENT, &[]).code, UNSAFE);
}

#[test]
fn a_wrong_configuration_is_not_looked_at_any_further() {
    let world = World::rendered(|_| {}, |text| text).unwrap();
    edit(&world.instance.agent_config("zz0010000"), "kind = \"EXERCISE\"", "kind = \"PRETEND\"");
    let ended = world.command(AGENT, &["check", "--json"]).unwrap();
    assert_eq!(ended.code().unwrap(), CONFIG, "{ended:?}");
    let report: Value = serde_json::from_str(&ended.stdout[0]).unwrap();
    assert!(report["problems"][0].as_str().unwrap().contains("traffic.kind"), "{report}");
    assert_eq!(report["findings"], serde_json::json!([]));
}

#[test]
fn stores_and_seeds_on_this_machine_are_judged_by_every_program() {
    let world = World::rendered(|_| {}, |text| text).unwrap();
    let instance: &Instance = &world.instance;
    let store = |name: &str| instance.dir.join(name);
    for (name, seed) in
        [(RELAY, "relay-a.sign"), (AGENT, "zz0010000.sign"), (OFFICE, "demo-supervision.sign")]
    {
        fs::create_dir(store(name)).unwrap();
        mode(&store(name), 0o755);
        mode(&instance.keys().file(seed), 0o604);
        let checked = check(&world, name, &["--offline"]);
        checked.says("unsafe", "store-temporary", "/tmp");
        checked.says("unsafe", "store-open", "mode 755");
        checked.says("unsafe", "seed-open", "signing_seed_file");
        assert_eq!(checked.code, UNSAFE, "{name}");
    }
    // What else each of them keeps.
    mode(&instance.dir.join("keys/zz0010000.secret"), 0o644);
    mode(&instance.drop_dir("zz0010000"), 0o777);
    let agent = check(&world, AGENT, &["--offline"]);
    agent.says("unsafe", "seed-open", "facility.secret_file");
    agent.says("unsafe", "drop-folder-open", "anybody on this machine");
    fs::create_dir(instance.notices_dir("demo-supervision")).unwrap();
    mode(&instance.notices_dir("demo-supervision"), 0o750);
    check(&world, OFFICE, &["--offline"]).says("unsafe", "store-open", "the folder of notices");
    // Memory, wherever it is mounted.
    edit(
        &instance.agent_config("zz0010000"),
        "dir = \"agent-zz0010000\"",
        "dir = \"/dev/shm/sallyport-e2e-none\"",
    );
    check(&world, AGENT, &["--offline"]).says("unsafe", "store-temporary", "in memory");
}

#[test]
fn a_clock_that_is_wrong_is_found_by_every_program() {
    let Some(mut world) = provisioned(|text| text) else { return };
    world.build = Build::Faults;
    let offset = world.instance.dir.join("offset");
    for (seconds, severity, code) in [("5", "warning", OK), ("-120", "unsafe", UNSAFE)] {
        fs::write(&offset, seconds).unwrap();
        for name in ALL {
            let (program, config) = match name {
                RELAY => ("sallyport-relay", world.instance.relay_config("a")),
                AGENT => ("sallyport-agent", world.instance.agent_config("zz0010000")),
                _ => ("sallyport-subscriber", world.instance.subscriber_config("demo-supervision")),
            };
            let recipe = world.recipe(program).unwrap().env("SALLYPORT_CLOCK_OFFSET", &offset);
            let recipe = recipe.args(["check", "--json", "--config"]).arg(config);
            let checked = read(&recipe.run(SOON).unwrap());
            checked.says(severity, "clock-offset", "this machine's clock");
            assert_eq!(checked.code, code, "{name}");
        }
    }
}
