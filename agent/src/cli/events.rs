//! `events`: JSON lines on standard input, one result line each, in their order. Lines that wait together are stored
//! together.

use std::{
    io::BufRead,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

use sallyport_link::exit;
use serde_json::Value;

use super::{complain, door::Door, ingest, say, say_json};
use crate::{
    config::Config,
    intake::{EventAnswer, EventProblem, EventStatus},
};

/// Lines that are read ahead, and stored in one commit when they wait.
const LINES_AHEAD: usize = 64;

pub(super) async fn run(config: Config, json: bool) -> u8 {
    let door = match Door::open(&config).await {
        Ok(door) => door,
        Err(error) => return ingest::code(&error),
    };
    let (sender, lines) = sync_channel(LINES_AHEAD);
    let reading = std::thread::Builder::new().name("stdin".into()).spawn(move || read(&sender));
    if let Err(error) = reading {
        complain(&format!("cannot read standard input: {error}"));
        return exit::SOFTWARE;
    }
    let code = take(&door, &lines, json).await;
    door.close();
    code
}

/// A line and its text; the thread ends with the input, or when nobody listens.
fn read(lines: &SyncSender<std::io::Result<Vec<u8>>>) {
    for line in std::io::stdin().lock().split(b'\n') {
        let failed = line.is_err();
        if lines.send(line).is_err() || failed {
            return;
        }
    }
}

async fn take(door: &Door, lines: &Receiver<std::io::Result<Vec<u8>>>, json: bool) -> u8 {
    let (mut all_good, mut number, mut failed) = (true, 0_u64, None);
    while let Ok(first) = lines.recv() {
        let mut chunk = Vec::new();
        for line in std::iter::once(first).chain(lines.try_iter()).take(LINES_AHEAD) {
            number += 1;
            match line {
                Ok(line) if line.trim_ascii().is_empty() => {}
                Ok(line) => chunk.push((number, line)),
                Err(error) => failed = Some(error),
            }
        }
        let parsed: Vec<Result<Value, EventAnswer>> =
            chunk.iter().map(|(number, line)| parse(*number, line)).collect();
        let values: Vec<Value> = parsed.iter().filter_map(|one| one.as_ref().ok()).cloned().collect();
        let mut answers = match door.events(values).await {
            Ok(answers) => answers.into_iter(),
            Err(error) => return ingest::code(&error),
        };
        for one in parsed {
            let Some(answer) = one.map_or_else(Some, |_| answers.next()) else { continue };
            all_good &= answer.status != EventStatus::Refused;
            show(&answer, json);
        }
        // What was read before it is stored and answered all the same.
        if let Some(error) = failed {
            complain(&format!("standard input: {error}"));
            return exit::UNAVAILABLE;
        }
    }
    if all_good { exit::OK } else { exit::DATA }
}

/// A line that is no JSON never reaches the agent; its result still stands in its place.
fn parse(number: u64, line: &[u8]) -> Result<Value, EventAnswer> {
    serde_json::from_slice(line).map_err(|error| EventAnswer {
        key: None,
        status: EventStatus::Refused,
        event_ids: Vec::new(),
        repeated: false,
        problems: vec![EventProblem {
            field: "event".into(),
            text: format!("line {number} is not JSON: column {}", error.column()),
        }],
    })
}

fn show(answer: &EventAnswer, json: bool) {
    if json {
        return say_json(answer);
    }
    let key = answer.key.as_deref().unwrap_or("?");
    let repeated = if answer.repeated { " (again)" } else { "" };
    say(&format!("{key}: {}{repeated} {}", answer.status.as_str(), answer.event_ids.join(" ")));
    for problem in &answer.problems {
        say(&format!("  {}: {}", problem.field, problem.text));
    }
}
