//! From the raw mapping file to a checked `Mapping`, naming every problem.
use super::{Mapping, Problem, form};
use sallyport_proto::problem::read_toml;
pub(super) fn mapping(text: &str) -> Result<Mapping, Vec<Problem>> {
    let _raw: form::File = read_toml(text)?;
    Err(Vec::new())
}
