//! What a configuration file is refused for, with every problem at once and before any socket.

use std::fs;

use sallyport_link::exit;

use crate::ground::{Ground, SOON};

async fn ground() -> Ground {
    Ground::prepared("to = \"files\"\ndir = \"notices\"").await
}

/// After `change` the configuration is refused, and the problems name each of `wanted`.
async fn check_rejected(change: impl Fn(String) -> String, wanted: &[&str]) {
    let ground = ground().await;
    let text = fs::read_to_string(ground.config()).unwrap();
    fs::write(ground.config(), change(text)).unwrap();
    // The server does not run: a socket would be noticed.
    for command in ["check", "run"] {
        let ended = ground.recipe(command).run(SOON).unwrap();
        assert_eq!(ended.code().unwrap(), i32::from(exit::CONFIG), "{command}");
        let said = ended.stderr.join("\n");
        for want in wanted {
            assert!(said.contains(want), "{command}: {want} is missing in:\n{said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_file_has_no_problem() {
    let ground = ground().await;
    let ended = ground.typed("check", &["--offline", "--json"]).run(SOON).unwrap();
    let report: serde_json::Value = serde_json::from_str(&ended.stdout[0]).unwrap();
    assert_eq!(report["problems"], serde_json::json!([]), "{report}");
    // What it thinks of the folder that a test works in is no problem of the file.
    assert_ne!(ended.code().unwrap(), i32::from(exit::CONFIG), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_is_named_at_once_with_its_key_and_line() {
    check_rejected(
        |text| {
            text.replace("id = \"fed-a\"", "id = \"relay\"")
                .replace("keys/sign.nk", "keys/none.nk")
                .replace("nats://", "http://")
                .replace("\"files\"", "\"fax\"")
        },
        &[
            "subscriber.toml:3: subscriber.id",
            "subscriber.toml:4: subscriber.signing_seed_file",
            "nats.url: must start with",
            "hand_over.to: none of lines",
            "hand_over.dir: counts only",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_not_this_subscribers_are_refused() {
    check_rejected(
        |text| text.replace("keys/connect.nk", "keys/sign.nk"),
        &["subscriber.connect_seed_file", "not the seed of a NATS user"],
    )
    .await;
    check_rejected(|text| text.replace("zz-test", "zz-other"), &["subscriber.instance", "zz-test"]).await;
    check_rejected(
        |text| text.replace("id = \"fed-a\"", "id = \"fed-b\""),
        &["fed-b is not in the registry"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_the_pinned_registrar_did_not_sign_is_refused() {
    let other = crate::world::Key::registrar().public();
    let pin = move |text: String| {
        let line = text.lines().find(|line| line.starts_with("registrar_key")).unwrap().to_owned();
        text.replace(&line, &format!("registrar_key = \"{other}\""))
    };
    check_rejected(pin, &["registry.toml.sig", "pinned registrar key"]).await;
    check_rejected(
        |text| text.lines().filter(|line| !line.starts_with("registrar_key")).collect::<Vec<_>>().join("\n"),
        &["registrar_key"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_is_complete_and_the_port_is_loopback() {
    check_rejected(|text| text.replace("dir = \"notices\"", ""), &["hand_over.dir: missing"]).await;
    check_rejected(
        |text| {
            text.replace("\"files\"", "\"command\"")
                .replace("dir = \"notices\"", "command = [\"/no/such\"]\ntries = 0")
        },
        &["hand_over.command: /no/such is not there"],
    )
    .await;
    check_rejected(|text| text + "[http]\nlisten = \"0.0.0.0:80\"\n", &["http.listen", "loopback"]).await;
    check_rejected(|text| text.replace("[nats]", "[nats]\nextra = 1"), &["unknown field `extra`"]).await;
}
