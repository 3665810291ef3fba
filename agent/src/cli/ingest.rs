//! `ingest FILE`: brings an export in and says what it came to. Publishes nothing itself; the running agent does.

use std::path::PathBuf;

use jiff::Timestamp;
use sallyport_link::exit;

use super::{
    door::{Door, DoorError},
    fail, say, say_json, written_at,
};
use crate::{config::Config, intake::ExportOptions};

/// How a file is to be read and its summary shown.
pub(super) struct How {
    pub(super) as_of: Option<Timestamp>,
    pub(super) backfill: bool,
    pub(super) retract: bool,
    pub(super) lift_floor: bool,
    pub(super) json: bool,
}

pub(super) async fn run(config: Config, file: PathBuf, how: How) -> u8 {
    if config.intake.mapping.is_none() {
        return fail(exit::CONFIG, &crate::intake::IntakeError::NoMapping);
    }
    let read = std::fs::read(&file).and_then(|bytes| {
        let as_of = how.as_of.map_or_else(|| written_at(&file), Ok)?;
        Ok((bytes, as_of))
    });
    let (bytes, as_of) = match read {
        Ok(read) => read,
        Err(error) => {
            super::complain(&format!("cannot read {}: {error}", file.display()));
            return exit::UNAVAILABLE;
        }
    };
    let door = match Door::open(&config).await {
        Ok(door) => door,
        Err(error) => return code(&error),
    };
    let How { backfill, retract, lift_floor, .. } = how;
    let outcome = door.export(bytes, ExportOptions { as_of, backfill, retract, lift_floor }).await;
    door.close();
    match outcome {
        Ok(summary) => {
            if how.json {
                say_json(&summary);
            } else {
                say(&summary.to_string());
            }
            if summary.refused > 0 { exit::DATA } else { exit::OK }
        }
        Err(error) => code(&error),
    }
}

/// Says what went wrong, and gives whose fault it is as an exit code.
pub(super) fn code(error: &DoorError) -> u8 {
    let code = match error {
        _ if error.is_data() => exit::DATA,
        DoorError::NotListening => exit::BUSY,
        _ => exit::UNAVAILABLE,
    };
    fail(code, error)
}
