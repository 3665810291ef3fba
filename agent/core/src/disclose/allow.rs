//! The allow-list: `[[allow]]` of the agent's configuration, checked whole. Who is not on it is told nothing.

use std::collections::BTreeSet;

use sallyport_proto::{
    envelope::Digest,
    ids::{AgreementName, SubscriberId},
    limits::RECIPIENTS_MAX,
    problem::Problems,
    vocabulary::{Purpose, ReleaseReason, ReleaseState},
};
use serde::Deserialize;
use toml::Spanned;

use super::KnownNames;
use crate::custody::ReleaseFact;

/// Hex digits of the digest that names a version of the list: enough to tell versions of one jail apart.
const VERSION_HEX_DIGITS: usize = 12;

/// One `[[allow]]` as it stands in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowForm {
    /// Who may be told.
    pub subscriber: Spanned<String>,
    /// Stands in every disclosure that this entry allowed.
    pub rule_id: Spanned<String>,
    /// Id of an agreement of the registry.
    pub agreement: Spanned<String>,
    /// For what.
    pub purpose: Spanned<String>,
    /// Empty: any.
    #[serde(default)]
    pub release_states: Vec<Spanned<String>>,
    /// Empty: any. The real reasons, not those of the head.
    #[serde(default)]
    pub reasons: Vec<Spanned<String>>,
    /// Only where this mapped flag is set.
    pub flag: Option<Spanned<String>>,
    /// The flag stands for a request lodged on paper.
    #[serde(default)]
    pub as_request: bool,
    /// What the part may hold.
    pub fields: Vec<Spanned<String>>,
}

/// The checked list, in the order of the file.
#[derive(Debug, Clone)]
pub struct AllowList {
    rules: Vec<Rule>,
    version: String,
}

/// One permission.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    subscriber: SubscriberId,
    pub(super) rule_id: String,
    pub(super) agreement: AgreementName,
    pub(super) purpose: Purpose,
    release_states: BTreeSet<ReleaseState>,
    reasons: BTreeSet<ReleaseReason>,
    flag: Option<String>,
    pub(super) as_request: bool,
    pub(super) fields: BTreeSet<String>,
}

impl Rule {
    pub(super) fn matches(&self, release: &ReleaseFact, flags: &BTreeSet<String>) -> bool {
        (self.release_states.is_empty() || self.release_states.contains(&release.state))
            && (self.reasons.is_empty() || self.reasons.contains(&release.reason))
            && self.flag.as_ref().is_none_or(|flag| flags.contains(flag))
    }
}

impl AllowList {
    /// Checks every entry and notes every problem. `known` holds the details and flags that the mapping makes; none:
    /// the agent has no mapping, and callers may state any.
    pub fn check(
        forms: &[AllowForm],
        known: Option<&KnownNames>,
        problems: &mut Problems<'_>,
    ) -> Option<Self> {
        let rules: Vec<Option<Rule>> =
            forms.iter().enumerate().map(|(n, form)| rule(n, form, known, problems)).collect();
        let rules: Vec<Rule> = rules.into_iter().collect::<Option<_>>()?;
        let list = Self { version: version(&rules), rules };
        if list.subscribers().len() > RECIPIENTS_MAX {
            let text =
                format!("{} subscribers; an event may have {RECIPIENTS_MAX}", list.subscribers().len());
            problems.add("allow", None, text);
            return None;
        }
        Some(list)
    }

    /// Nobody may be told anything: what holds without configuration.
    pub fn nobody() -> Self {
        Self { version: version(&[]), rules: Vec::new() }
    }

    /// `allow-list/<digest>`: which list decided. Another list has another version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Everyone the list names.
    pub fn subscribers(&self) -> BTreeSet<&SubscriberId> {
        self.rules.iter().map(|rule| &rule.subscriber).collect()
    }

    /// Each entry's subscriber and agreement, for comparing with the registry at start.
    pub fn agreements(&self) -> impl Iterator<Item = (&SubscriberId, &AgreementName)> {
        self.rules.iter().map(|rule| (&rule.subscriber, &rule.agreement))
    }

    pub(super) fn rules_for<'a>(&'a self, subscriber: &'a SubscriberId) -> impl Iterator<Item = &'a Rule> {
        self.rules.iter().filter(move |rule| rule.subscriber == *subscriber)
    }
}

fn version(rules: &[Rule]) -> String {
    // Debug of checked rules names every field of every rule, in order; rules hold no person data.
    let digest = Digest::of(format!("{rules:?}").as_bytes()).to_string();
    format!("allow-list/{}", &digest[..VERSION_HEX_DIGITS])
}

fn rule(n: usize, form: &AllowForm, known: Option<&KnownNames>, p: &mut Problems<'_>) -> Option<Rule> {
    let key = |name: &str| format!("allow[{n}].{name}");
    let subscriber = p.parse(key("subscriber"), &form.subscriber);
    let agreement = p.parse(key("agreement"), &form.agreement);
    let purpose = p.parse(key("purpose"), &form.purpose);
    let release_states = states(&key("release_states"), &form.release_states, p);
    let reasons = words(&key("reasons"), &form.reasons, p);
    let fields = fields(&key("fields"), &form.fields, known, p);
    let rule_id = filled(&key("rule_id"), &form.rule_id, p);
    let flag = flag(&key("flag"), form.flag.as_ref(), known, p);
    if form.as_request && form.flag.is_none() {
        p.add(key("as_request"), Some(form.rule_id.span()), "needs a flag that stands for the request");
        return None;
    }
    Some(Rule {
        subscriber: subscriber?,
        rule_id: rule_id?,
        agreement: agreement?,
        purpose: purpose?,
        release_states: release_states?,
        reasons: reasons?,
        flag: flag?,
        as_request: form.as_request,
        fields: fields?,
    })
}

/// All words, or none: a list that lost one would allow something else.
fn words<T>(key: &str, texts: &[Spanned<String>], p: &mut Problems<'_>) -> Option<BTreeSet<T>>
where
    T: std::str::FromStr + Ord,
    T::Err: std::fmt::Display,
{
    let parsed: Vec<Option<T>> = texts.iter().map(|text| p.parse(key, text)).collect();
    parsed.into_iter().collect()
}

fn states(key: &str, texts: &[Spanned<String>], p: &mut Problems<'_>) -> Option<BTreeSet<ReleaseState>> {
    let states: BTreeSet<ReleaseState> = words(key, texts, p)?;
    if states.iter().any(|state| state.withdraws()) {
        let at = texts.first().map(Spanned::span);
        p.add(key, at, "RETRACTED and CLOSED follow who was told and cannot be allowed or forbidden");
        return None;
    }
    Some(states)
}

fn fields(
    key: &str,
    texts: &[Spanned<String>],
    known: Option<&KnownNames>,
    p: &mut Problems<'_>,
) -> Option<BTreeSet<String>> {
    let mut fields = BTreeSet::new();
    let mut good = true;
    for text in texts {
        let name = text.get_ref();
        if known.is_some_and(|known| !known.is_field(name)) {
            p.add(
                key,
                Some(text.span()),
                format!("{name:?} is no field, and the mapping makes none of that name"),
            );
            good = false;
        } else if !fields.insert(name.clone()) {
            p.add(key, Some(text.span()), format!("{name:?} stands twice"));
            good = false;
        }
    }
    good.then_some(fields)
}

fn flag(
    key: &str,
    text: Option<&Spanned<String>>,
    known: Option<&KnownNames>,
    p: &mut Problems<'_>,
) -> Option<Option<String>> {
    let Some(text) = text else { return Some(None) };
    if known.is_some_and(|known| !known.flags.contains(text.get_ref())) {
        p.add(key, Some(text.span()), format!("the mapping makes no flag {:?}", text.get_ref()));
        return None;
    }
    Some(Some(text.get_ref().clone()))
}

fn filled(key: &str, text: &Spanned<String>, p: &mut Problems<'_>) -> Option<String> {
    if text.get_ref().trim().is_empty() {
        p.add(key, Some(text.span()), "must not be empty");
        return None;
    }
    Some(text.get_ref().clone())
}
