//! A program's lines can be waited for, and it can be ended in every way the tests need.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use sallyport_harness::Recipe;

const SOON: Duration = Duration::from_secs(60);

fn shell(script: &str) -> Recipe {
    Recipe::at(Path::new("/bin/sh")).args(["-c", script])
}

#[test]
fn waits_for_a_line_that_comes_later() {
    let mut program = shell("echo ready; read word; echo got $word; read never").start().unwrap();
    let ready = program.wait_for_line(|line| line == "ready", SOON).unwrap();
    let mut stdin = program.take_stdin().unwrap();
    stdin.write_all(b"it\n").unwrap();
    let got = program.stdout().wait_for(ready.index + 1, |line| line.starts_with("got"), SOON).unwrap();
    assert_eq!(got.text, "got it");
    assert!(program.is_running().unwrap());
}

#[test]
fn a_line_that_cannot_come_any_more_fails_at_once_with_what_was_said() {
    let program = shell("echo out; echo err >&2").start().unwrap();
    let error = program.wait_for_line(|line| line == "never", SOON).unwrap_err();
    assert!(format!("{error:#}").contains("out"), "{error:#}");
}

#[test]
fn returns_exit_code_and_output_of_a_run() {
    let ended = shell("echo a; echo b; echo c >&2; exit 64").run(SOON).unwrap();
    assert_eq!(ended.code().unwrap(), 64);
    assert_eq!((ended.stdout, ended.stderr), (vec!["a".into(), "b".into()], vec!["c".into()]));
}

#[test]
fn a_terminated_program_may_tidy_up_and_a_killed_one_may_not() {
    let script = "trap 'echo tidy; exit 7' TERM; echo ready; while :; do read never; done";
    let mut asked = shell(script).start().unwrap();
    asked.wait_for_line(|line| line == "ready", SOON).unwrap();
    asked.terminate().unwrap();
    drop(asked.take_stdin());
    asked.wait_for_line(|line| line == "tidy", SOON).unwrap();
    assert_eq!(asked.wait(SOON).unwrap().code(), Some(7));

    let mut killed = shell(script).start().unwrap();
    killed.wait_for_line(|line| line == "ready", SOON).unwrap();
    killed.kill9().unwrap();
    assert!(!killed.is_running().unwrap());
    assert_eq!(killed.stdout().so_far(), ["ready"]);
}

#[test]
fn a_recipe_starts_the_same_program_again_with_its_environment() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let recipe = shell("echo $WORD in $PWD; echo said >&2").env("WORD", "hello").current_dir(dir.path());
    let recipe = recipe.stderr_to(&log);
    for _ in 0..2 {
        let ended = recipe.run(SOON).unwrap();
        assert!(ended.stdout[0].starts_with("hello in /"), "{:?}", ended.stdout);
        assert!(ended.stderr.is_empty());
    }
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "said\nsaid\n");
}

#[test]
fn a_missing_program_names_the_command_that_builds_it() {
    let error = Recipe::new("sallyport-nothing").unwrap_err();
    assert!(error.to_string().contains("cargo build -p sallyport-nothing"), "{error}");
}
