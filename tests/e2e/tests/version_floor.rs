//! The version floor: below it no program starts, and none that runs is stopped by it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use sallyport_e2e::{
    Day, World,
    patience::{DEAR_LOOK_EVERY, SOON, until_every},
};
use serde_json::Value;

const UNSAFE: i32 = 78;
const JAIL: &str = "zz0010000";
const RELAY: &str = "relay-a";
const AGENT: &str = "agent-zz0010000";
const BRIDGE: &str = "subscriber-demo-supervision";
const ALL: [&str; 3] = [RELAY, AGENT, BRIDGE];
/// No program of ours will ever have it.
const FAR: &str = "999.0.0";
const ALARM: &str = "below the version floor";

/// The registrar raises or lowers the floor in the registry's next version.
fn put_floor(world: &mut World, minimum: Option<&str>) {
    world.instance.minimum_version = minimum.map(str::to_owned);
    world.instance.rewrite_registry().unwrap();
}

/// Where a program said that its pages are.
fn page(world: &World, name: &str, path: &str) -> (u16, String) {
    let log = world.log_of(name);
    let said = log.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let address =
        said.filter_map(|line| Some(line["listen"].as_str().or(line["address"].as_str())?.to_owned()));
    let address = { address }.next().unwrap_or_else(|| panic!("{name} does not say where it listens: {log}"));
    let client: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut page = client.get(format!("http://{address}{path}")).call().unwrap();
    (page.status().as_u16(), page.body_mut().read_to_string().unwrap())
}

fn findings(world: &World, name: &str, args: &[&str]) -> (i32, Vec<Value>) {
    let ended = world.command(name, &[&["check", "--json"], args].concat()).unwrap();
    let line = ended.stdout.last().unwrap_or_else(|| panic!("{ended:?}"));
    let report: Value = serde_json::from_str(line).unwrap();
    (ended.code().unwrap(), report["findings"].as_array().unwrap().clone())
}

fn with_code<'f>(findings: &'f [Value], code: &str) -> Option<&'f Value> {
    findings.iter().find(|finding| finding["code"] == code)
}

#[test]
fn no_program_starts_below_the_floor_and_each_says_what_to_install() {
    // Nothing listens: a program that tried a socket first would wait for it.
    let mut world = World::rendered(|_| {}, |text| text).unwrap();
    put_floor(&mut world, Some(FAR));
    for name in ALL {
        let refused = world.command(name, &["run"]).unwrap();
        assert_eq!(refused.code().unwrap(), UNSAFE, "{name}: {refused:?}");
        let program = format!("sallyport-{}/", name.split('-').next().unwrap());
        let said = refused.stderr.join(" ");
        for word in [program.as_str(), "asks for 999.0.0 or newer", "version 2 of the registry", "install"] {
            assert!(said.contains(word), "{name} does not say {word}: {said}");
        }
        let (code, found) = findings(&world, name, &["--offline"]);
        let own = with_code(&found, "below-minimum-version").unwrap_or_else(|| panic!("{name}: {found:?}"));
        assert_eq!((code, own["severity"].as_str()), (UNSAFE, Some("unsafe")), "{name}: {own}");
        assert!(own["text"].as_str().unwrap().contains(&program), "{own}");
    }
    let provision = world.run_provision("a").unwrap();
    assert_eq!(provision.code().unwrap(), UNSAFE, "{provision:?}");
    // What the jail states is stored all the same: an agent that may run sends it.
    let summary = Day::of(JAIL).export(&world, 4).unwrap();
    assert_eq!(summary["events"], 4, "{summary}");

    put_floor(&mut world, Some(env!("CARGO_PKG_VERSION")));
    for name in ALL {
        let (_, found) = findings(&world, name, &["--offline"]);
        assert_eq!(with_code(&found, "below-minimum-version"), None, "the floor itself is high enough");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_floor_raised_above_running_programs_is_an_alarm_and_stops_nothing() {
    let mut world = World::provisioned(|instance| {
        for subscriber in &mut instance.subscribers {
            subscriber.http_port = sallyport_e2e::world::ANY_PORT;
        }
    })
    .await
    .unwrap();
    world.start_everything().unwrap();
    let mut day = Day::of(JAIL);
    day.export(&world, 8).unwrap();
    day.acknowledged(&world, SOON).await.unwrap();
    let alarms = |world: &World, name| world.log_of(name).matches(ALARM).count();
    assert_eq!(ALL.map(|name| alarms(&world, name)), [0; 3]);

    put_floor(&mut world, Some(FAR));
    until_every("every program is alarmed", SOON, DEAR_LOOK_EVERY, || async {
        Ok(ALL.iter().all(|name| alarms(&world, name) > 0).then_some(()))
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()));
    // In force, and everything goes on by it.
    let mut other = world.jail("zz0020000").await.unwrap();
    let version = world.instance.version;
    world.routes_by(&mut other, version).await.unwrap();
    day.export(&world, 8).unwrap();
    let report = day.acknowledged(&world, SOON).await.unwrap();
    assert_eq!(report.received, report.notices);
    assert_eq!(ALL.map(|name| alarms(&world, name)), [1; 3], "once for a registry");
    for name in ALL {
        // Whoever restarts what is unwell would end it.
        let health = until_every("healthy below the floor", SOON, DEAR_LOOK_EVERY, || async {
            let (status, health) = page(&world, name, "/healthz");
            Ok((status == 200).then(|| serde_json::from_str::<Value>(&health).unwrap()))
        });
        let health = health
            .await
            .unwrap_or_else(|error| panic!("{name}: {error:#}\n{}", page(&world, name, "/healthz").1));
        let why = health["below_minimum_version"].as_str().unwrap_or_else(|| panic!("{name}: {health}"));
        assert!(why.contains("asks for 999.0.0"), "{why}");
        let metric = format!("sallyport_{}_below_minimum_version 1", name.split('-').next().unwrap());
        let (_, metrics) = page(&world, name, "/metrics");
        assert!(metrics.contains(&metric), "{metric}:\n{metrics}");
    }

    let (code, found) = findings(&world, RELAY, &[]);
    let behind = with_code(&found, "others-below-minimum-version").unwrap_or_else(|| panic!("{found:?}"));
    for party in
        ["facility zz0010000 (sallyport-agent/", "subscriber demo-supervision (sallyport-subscriber/"]
    {
        assert!(behind["text"].as_str().unwrap().contains(party), "{behind}");
    }
    assert_eq!((code, behind["severity"].as_str()), (UNSAFE, Some("warning")), "{found:?}");

    // Ended, a bridge does not come back, and its desk speaks to the store alone.
    world.end(BRIDGE).unwrap();
    let refused = world.command(BRIDGE, &["run"]).unwrap();
    assert_eq!(refused.code().unwrap(), UNSAFE, "{refused:?}");
    let notices = world.command(BRIDGE, &["list", "--json"]).unwrap().stdout;
    let notice: Value = serde_json::from_str(notices.first().unwrap()).unwrap();
    let notice = notice["notice_id"].as_str().unwrap();
    let unsaid = world.command(BRIDGE, &["answer", notice, "seen"]).unwrap();
    assert_eq!(unsaid.code().unwrap(), UNSAFE, "{unsaid:?}");
    let waiting =
        |world: &World| world.ask(BRIDGE, &["status", "--json"]).unwrap()["receipts_waiting"].clone();
    assert_eq!(waiting(&world), 1);

    // A floor that was raised too early is lowered: alarms end, what waited goes out.
    put_floor(&mut world, None);
    world.start(BRIDGE, None).unwrap();
    day.export(&world, 8).unwrap();
    day.acknowledged(&world, SOON).await.unwrap();
    assert_eq!(waiting(&world), 0);
    until_every("nobody is below the floor", SOON, DEAR_LOOK_EVERY, || async {
        let well = |name: &&str| page(&world, name, "/healthz").1.contains("\"below_minimum_version\":null");
        Ok(ALL.iter().all(well).then_some(()))
    })
    .await
    .unwrap();
    let (_, found) = findings(&world, RELAY, &[]);
    assert_eq!(with_code(&found, "others-below-minimum-version"), None);
}
