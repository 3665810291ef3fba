//! Compares the whole configuration of a stream or durable with what it should be; of a stream as the server states it,
//! also what our client library does not know. What a difference means: `streams`, `durables`.

use std::{collections::BTreeSet, fmt};

use async_nats::jetstream;
use serde_json::Value;

/// One setting that is not as it should be.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) key: String,
    pub(crate) is: Value,
    pub(crate) should: Value,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |value: &Value| if value.is_null() { "not set".to_owned() } else { value.to_string() };
        write!(f, "{} is {}, should be {}", self.key, show(&self.is), show(&self.should))
    }
}

/// A stream's configuration in the server's own answer to `STREAM.INFO`.
pub(super) async fn raw(js: &jetstream::Context, info: &str) -> Result<Value, String> {
    use jetstream::response::Response;
    match js.request::<_, _, Response<Value>>(info.to_owned(), &()).await {
        Ok(Response::Ok(answer)) => Ok(answer["config"].clone()),
        Ok(Response::Err { error }) => Err(error.to_string()),
        Err(error) => Err(sallyport_link::publish::chain(&error)),
    }
}

/// Every setting that differs. Where one side does not state it, it counts as the server's default.
pub(crate) fn differences(is: &Value, should: &Value) -> Vec<Difference> {
    let keys = |value: &Value| value.as_object().map(|o| o.keys().cloned().collect()).unwrap_or_default();
    let all: BTreeSet<String> = [keys(is), keys(should)].into_iter().flat_map(|k: Vec<String>| k).collect();
    let found = all.into_iter().map(|key| {
        let (is, should) = (stated(&key, &is[&key]), stated(&key, &should[&key]));
        Difference { key, is, should }
    });
    found.filter(|difference| difference.is != difference.should).collect()
}

/// A value, or null where it says no more than that nothing was set.
fn stated(key: &str, value: &Value) -> Value {
    /// What the server fills in where we ask for nothing.
    const FILLED_IN: [(&str, u64); 1] = [("max_waiting", 512)];
    /// Where a stream began, which a restored one keeps: a fact, no setting.
    const FIRST_SEQ: &str = "first_seq";
    let default = match value {
        _ if key == FIRST_SEQ => true,
        Value::Null => true,
        Value::Bool(set) => !set,
        Value::Number(number) => {
            number.as_i64().is_some_and(|n| n <= 0)
                || FILLED_IN.iter().any(|(name, n)| *name == key && number.as_u64() == Some(*n))
        }
        Value::String(text) => {
            matches!(text.as_str(), "" | "none" | "default" | "instant") && key != "ack_policy"
        }
        Value::Array(items) => items.is_empty(),
        // The server notes there by itself what it needs to read the configuration.
        Value::Object(fields) => fields.keys().all(|name| name.starts_with("_nats.")),
    };
    if default { Value::Null } else { value.clone() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(is: &Value, should: &Value, keys: &[&str]) {
        let found: Vec<_> = differences(is, should).into_iter().map(|difference| difference.key).collect();
        assert_eq!(found, keys, "{is} {should}");
    }

    #[test]
    fn what_the_server_fills_in_is_no_difference() {
        let is = json!({
            "name": "INGEST", "max_msgs": -1, "compression": "none", "sealed": false, "consumer_limits": {},
            "metadata": { "_nats.level": "1" }, "max_waiting": 512,
        });
        check(&is, &json!({ "name": "INGEST", "republish": null }), &[]);
    }

    #[test]
    fn every_other_setting_is_compared_also_one_we_do_not_know() {
        let is =
            json!({ "republish": { "src": ">", "dest": "x.>" }, "of_a_later_server": true, "max_age": 5 });
        check(
            &is,
            &json!({ "max_age": 6, "deny_purge": true }),
            &["deny_purge", "max_age", "of_a_later_server", "republish"],
        );
        check(&json!({ "ack_policy": "none" }), &json!({ "ack_policy": "explicit" }), &["ack_policy"]);
    }
}
