//! `status [EVENT]`: reads the store, also while the agent runs, and disturbs nobody.

use sallyport_link::{clock, exit};

use super::{complain, fail, say, say_json};
use crate::{
    config::Config,
    status::{event, overview},
    store::{Reader, StoreError, database},
};

pub(super) async fn run(config: Config, id: Option<String>, json: bool) -> u8 {
    let path = database(&config.store_dir);
    if !path.is_file() {
        complain(&format!("no store yet at {}: nothing was stored", path.display()));
        return exit::UNAVAILABLE;
    }
    match show(&path, id.as_deref(), json) {
        Ok(code) => code,
        Err(error) => fail(exit::UNAVAILABLE, &error),
    }
}

fn show(path: &std::path::Path, id: Option<&str>, json: bool) -> Result<u8, StoreError> {
    let reader = Reader::open(path)?;
    match id {
        None => {
            let overview = overview(&reader, clock::now())?;
            if json { say_json(&overview) } else { say(&overview.to_string()) }
        }
        Some(id) => match event(&reader, id)? {
            Some(view) if json => say_json(&view),
            Some(view) => say(&view.to_string()),
            None => {
                complain("no such event, or more than one begins so");
                return Ok(exit::FAILED);
            }
        },
    }
    Ok(exit::OK)
}
