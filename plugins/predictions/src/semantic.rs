//! Questions that are alike: their answers are given again although their last texts are not the same.
//!
//! All but the text of the last message is compared exactly: it is the `group` of a question. The texts are compared by
//! their vectors, which a model of the user's makes (`embedding`), and by a second check of their words. What is remembered
//! of a question lies in pages of the plugin's keys and values, a bounded number for each tenant, which all
//! workers share. The answer stays under the key of the question that it was made for, so that what is purged or over its time
//! there is given to nobody here.

mod embedding;
mod spec;

use std::time::Duration;

use gateway_plugin_sdk::cache::{self, Entry};
use gateway_plugin_sdk::prelude::ConfigError;
use gateway_plugin_sdk::{clock, digest, key_value, log, metrics};
use gateway_similarity::{Alias, Disagreement, Page, Record, Vector, agree, page};
use serde::{Deserialize, Serialize};

use spec::Checked;
pub use spec::{EmbeddingApi, SemanticMode, SemanticSpec};

/// How many of those that are alike are looked at.
const MOST_LIKELY: usize = 8;
/// For how many seconds it is known that a question was alike.
const AGAIN: u64 = 86_400;
/// Bounds of how alike questions are, for what is measured.
const SCORES: [f64; 9] = [0.5, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.99];

/// The settings, ready for use.
#[derive(Debug)]
pub(crate) struct Semantic(Checked);

/// A question that may be compared.
#[derive(Debug, Clone)]
pub(crate) struct Alike {
    /// All that has to be the same.
    pub(crate) group: [u8; 32],
    /// Whose it is, as a digest.
    pub(crate) tenant: [u8; 32],
    pub(crate) text: String,
    /// How alike another has to be for this request.
    pub(crate) threshold: f64,
}

/// What is to be remembered of a question once it is answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Remembered {
    group: Vec<u8>,
    tenant: Vec<u8>,
    text: String,
    vector: Vec<u8>,
}

/// What came of looking for a question that is alike.
#[derive(Debug)]
pub(crate) enum Found {
    /// This answer is given.
    Answer(Entry, f64),
    /// None is given. What is remembered of the question, and what is said of the one that is most alike.
    Nothing(Option<Remembered>, Option<String>),
}

/// One that is near.
struct Near {
    score: f64,
    answer: Vec<u8>,
    text: String,
}

impl Semantic {
    pub(crate) fn new(spec: SemanticSpec) -> Result<Self, ConfigError> {
        Checked::new(spec).map(Self)
    }

    fn serves(&self) -> bool {
        self.0.spec.mode == SemanticMode::Serve
    }

    /// Where questions of a tenant are remembered. With other settings it is another place: vectors of two models are not
    /// comparable, and what passed without the second check has not passed it.
    pub(crate) fn place_of(&self, tenant: &str) -> [u8; 32] {
        let SemanticSpec { api, model, upstream, check, .. } = &self.0.spec;
        let identity = format!("{api:?} {upstream:?} {:?} {model:?} {check} {tenant}", self.0.path);
        digest::sha256(identity.as_bytes())
    }

    /// Whether a text may be compared.
    pub(crate) fn takes(&self, text: &str) -> bool {
        !text.trim().is_empty() && text.len() <= self.0.spec.max_text
    }

    /// The threshold for a request that may ask for more, but not for less. `None` if it wants nothing that is only alike.
    pub(crate) fn threshold(&self, asked: Option<&str>) -> Option<f64> {
        let least = self.0.spec.threshold;
        let Some(asked) = asked else { return Some(least) };
        // What cannot be read is no permission.
        let asked = asked.trim().parse::<f64>().ok().filter(|it| it.is_finite())?;
        (asked < 1.0).then_some(asked.max(least))
    }

    /// The answer to a question that was found alike before, without a vector.
    pub(crate) fn again(
        &self,
        alike: &Alike,
        question: &[u8],
        is_kept: impl Fn(&Entry) -> bool,
    ) -> Option<(Entry, f64)> {
        if !self.serves() {
            return None;
        }
        let bytes = key_value::get(&self.alias_page(alike, question))?;
        let page: Page<Alias<'_>> = Page::read(&bytes, now());
        let alias = page.lines().iter().find(|alias| alias.question == question)?;
        let score = f64::from(alias.score) / 10_000.0;
        if score < alike.threshold {
            return None;
        }
        let entry = cache::lookup(alias.answer).into_iter().find(is_kept)?;
        count("served");
        Some((entry, score))
    }

    /// Looks for a question that is alike.
    pub(crate) fn find(
        &self,
        alike: Alike,
        question: &[u8],
        is_kept: impl Fn(&Entry) -> bool,
    ) -> Found {
        let Some(vector) = embedding::vector(&self.0, &alike.text) else {
            count("failed");
            return Found::Nothing(None, None);
        };
        let near = self.near(&alike, &vector);
        if let Some(best) = near.first() {
            metrics::histogram("prediction_cache_similarity", &SCORES).observe(best.score);
        }
        let mut said = None;
        let mut refused = false;
        for one in near {
            let is_far = one.score < alike.threshold;
            let disagrees =
                if self.0.spec.check { agree(&alike.text, &one.text).err() } else { None };
            // In shadow what is far is judged too, so that thresholds can be compared.
            if said.is_none() && !self.serves() {
                said = Some(shadow(one.score, is_far, disagrees));
            }
            if is_far {
                break;
            }
            if let Some(why) = disagrees {
                refused = true;
                count_refused(why);
                self.log(&alike, &one, &format!("not given, for its {}", why.name()));
                continue;
            }
            let Some(entry) = cache::lookup(&one.answer).into_iter().find(&is_kept) else {
                continue;
            };
            if !self.serves() {
                count("shadow");
                self.log(&alike, &one, "would have been given");
                return Found::Nothing(Some(remembered(alike, &vector)), said);
            }
            count("served");
            self.log(&alike, &one, "given");
            self.note_alias(&alike, question, &one);
            return Found::Answer(entry, one.score);
        }
        if !refused {
            count("none");
        }
        Found::Nothing(Some(remembered(alike, &vector)), said)
    }

    /// Remembers a question whose answer is kept.
    pub(crate) fn remember(&self, question: &Remembered, answer: &[u8], ttl: Duration) {
        let page = self.page(&question.tenant, self.place(answer));
        let before = key_value::get(&page).unwrap_or_default();
        let record = Record {
            group: &question.group,
            answer,
            until: now() + ttl.as_secs(),
            text: &question.text,
            vector: &question.vector,
        };
        keep(&page, &Page::read(&before, now()).with(record));
    }

    /// Those that are most alike, the nearest first.
    fn near(&self, alike: &Alike, vector: &Vector) -> Vec<Near> {
        // In shadow what is far is of interest, too.
        let least = if self.serves() { alike.threshold } else { 0.0 };
        let mut near: Vec<Near> = Vec::new();
        for number in 0..self.pages() {
            let Some(bytes) = key_value::get(&self.page(&alike.tenant, number)) else { continue };
            let page: Page<Record<'_>> = Page::read(&bytes, now());
            for record in page.lines().iter().filter(|record| record.group == alike.group) {
                let Some(score) = vector.cosine(record.vector).filter(|score| *score >= least)
                else {
                    continue;
                };
                if near.len() == MOST_LIKELY && near.last().is_some_and(|last| last.score >= score)
                {
                    continue;
                }
                let at = near.partition_point(|other| other.score >= score);
                let (answer, text) = (record.answer.to_vec(), record.text.to_owned());
                near.insert(at, Near { score, answer, text });
                near.truncate(MOST_LIKELY);
            }
        }
        near
    }

    fn note_alias(&self, alike: &Alike, question: &[u8], near: &Near) {
        let name = self.alias_page(alike, question);
        let before = key_value::get(&name).unwrap_or_default();
        // Rounded down, so that it is not more than it was.
        let score = (near.score.clamp(0.0, 1.0) * 10_000.0) as u16;
        // The answer itself has an end; this is only until when it is looked for under this key.
        let until = now() + AGAIN;
        let alias = Alias { question, answer: &near.answer, until, score };
        keep(&name, &Page::read(&before, now()).with(alias));
    }

    fn pages(&self) -> u32 {
        self.0.spec.questions / page::RECORDS as u32
    }

    /// The page on which a question is remembered.
    fn place(&self, key: &[u8]) -> u32 {
        let first = key.iter().take(4).fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
        first % self.pages().max(1)
    }

    fn page(&self, tenant: &[u8], number: u32) -> String {
        format!("semantic/{}/{number}", hex(tenant))
    }

    fn alias_page(&self, alike: &Alike, question: &[u8]) -> String {
        let mut name = self.page(&alike.tenant, self.place(question));
        name.push_str("/again");
        name
    }

    fn log(&self, alike: &Alike, near: &Near, what: &str) {
        let (score, key) = (near.score, hex(&near.answer));
        if self.0.spec.log_texts {
            let (text, other) = (&alike.text, &near.text);
            log::info!(
                "the prediction {key} is {score:.3} alike: {what}: {text:?} was asked, {other:?} was answered"
            );
        } else {
            log::info!("the prediction {key} is {score:.3} alike: {what}");
        }
    }
}

/// How a response says that it was given because two questions are alike.
pub(crate) fn given(score: f64) -> String {
    format!("{score:.3}")
}

/// How a response says what would have been given.
fn shadow(score: f64, is_far: bool, disagrees: Option<Disagreement>) -> String {
    let mut text = format!("{score:.3};shadow");
    if is_far {
        text.push_str(";below");
    }
    if let Some(why) = disagrees {
        text.push_str(";refused=");
        text.push_str(why.name());
    }
    text
}

fn remembered(alike: Alike, vector: &Vector) -> Remembered {
    Remembered {
        group: alike.group.to_vec(),
        tenant: alike.tenant.to_vec(),
        text: alike.text,
        vector: vector.bytes().to_vec(),
    }
}

fn keep<'a, T: page::Line + Deserialize<'a> + Serialize>(name: &str, page: &Page<T>) {
    let ttl = Duration::from_secs(page.until().saturating_sub(now()).max(1));
    if key_value::set(name, &page.to_bytes(), Some(ttl)).is_err() {
        count("full");
        log::debug!(
            "what is remembered of questions has no room: `key_value` of the plugin's limits"
        );
    }
}

fn now() -> u64 {
    clock::now().as_secs()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn count(result: &str) {
    metrics::counter_with("prediction_cache_similar", &[("result", result)]).increment();
}

fn count_refused(why: Disagreement) {
    count("refused");
    metrics::counter_with("prediction_cache_similar_refused", &[("reason", why.name())])
        .increment();
}
