//! Scripts whose answers are numbers: what is asked for requests that are limited.
//!
//! Owns by which connection they are asked and what it means that one has no answer. Must not know what they count.

use std::time::{Duration, Instant};

use redis::{RedisError, Value};

use super::link::Made;
use super::pipe::{self, Failed, Numbers, Pipe};
use super::{
    Argument, FINAL, FULL, QUOTAS, Question, Redis, SCRIPTS, StoreResult, TAKE, Unavailable,
    WHEN_FULL, is_final, silent,
};

/// Why there is no answer.
struct Failure {
    result: StoreResult,
    /// Whether the connection is of no more use.
    is_final: bool,
    /// Whether the server has no room: it answers all the same.
    is_full: bool,
    why: String,
}

impl Redis {
    /// Runs a script on these keys and arguments, once and for as long as a request waits.
    pub(super) async fn run(
        &self,
        script: usize,
        keys: &[String],
        arguments: &[Argument<'_>],
    ) -> Result<Numbers, Unavailable> {
        let Some(link) = self.link() else { return Err(Unavailable) };
        let waiting = link.waits();
        let began = Instant::now();
        let made = match link.made() {
            Some(made) => made,
            None => Box::pin(self.made(&link, began)).await?,
        };
        // What few checks need is elsewhere: a hook that waits should hold little.
        let answered = match &made.pipe {
            Some(pipe) => {
                let answered = by_pipe(pipe, &made, began, script, keys, arguments).await;
                answered.map_err(|failed| failure(failed, self.settings.timeout))
            }
            None => {
                let question = Question::Script(script, keys, arguments);
                Box::pin(self.by_library(&made, began, question)).await
            }
        };
        let answered = match answered {
            Ok(numbers) => {
                self.has_room();
                Ok(numbers)
            }
            Err(failure) if failure.is_full && matches!(script, TAKE | QUOTAS) => {
                Box::pin(self.when_full(&made, began, script, keys, arguments)).await
            }
            failed => failed,
        };
        let took = began.elapsed();
        drop(waiting);
        match answered {
            Ok(numbers) => {
                link.answered();
                self.counts.called(StoreResult::Answered, took);
                Ok(numbers)
            }
            Err(Failure { result, is_final, is_full, why }) => {
                match is_full {
                    // Of what it has it answers.
                    true => link.answered(),
                    false => link.failed(&made, is_final, &why),
                }
                self.counts.called(result, took);
                Err(Unavailable)
            }
        }
    }

    /// Asks a server that is full about what it has: nobody's count begins anew because others made keys until
    /// there was no more room.
    async fn when_full(
        &self,
        made: &Made,
        began: Instant,
        script: usize,
        keys: &[String],
        arguments: &[Argument<'_>],
    ) -> Result<Numbers, Failure> {
        self.has_no_room();
        let script = script + WHEN_FULL;
        let answered = match &made.pipe {
            Some(pipe) => {
                let answered = by_pipe(pipe, made, began, script, keys, arguments).await;
                answered.map_err(|failed| failure(failed, self.settings.timeout))
            }
            None => self.by_library(made, began, Question::Script(script, keys, arguments)).await,
        };
        match answered {
            Ok(numbers) if numbers.first() == Some(&-1) => Err(Failure {
                result: StoreResult::Error,
                is_final: false,
                is_full: true,
                why: "it is full".to_owned(),
            }),
            answered => answered,
        }
    }

    /// Where the node that has the keys is to be found first.
    async fn by_library(
        &self,
        made: &Made,
        began: Instant,
        question: Question<'_>,
    ) -> Result<Numbers, Failure> {
        let timeout = self.settings.timeout;
        let left = timeout.saturating_sub(began.elapsed());
        match tokio::time::timeout(left, made.question(question)).await {
            Ok(Ok(Value::Array(values))) => Ok(values.iter().map(number).collect()),
            Ok(Ok(_)) => Ok(Numbers::new()),
            Ok(Err(error)) => Err(Failure::from(&error)),
            Err(_) => Err(failure(Failed::Late, timeout)),
        }
    }
}

fn number(value: &Value) -> i64 {
    match value {
        Value::Int(number) => *number,
        // No script says that.
        _ => -1,
    }
}

async fn by_pipe(
    pipe: &Pipe,
    made: &Made,
    began: Instant,
    script: usize,
    keys: &[String],
    arguments: &[Argument<'_>],
) -> Result<Numbers, Failed> {
    let ask = |words| pipe.ask(began.into(), move |out| evaluate(out, words, keys, arguments));
    match ask(["EVALSHA", &made.shas[script]]).await {
        // Nothing of the check was done. The store began anew, or forgot its scripts.
        Err(Failed::Refused(words)) if code(&words) == "NOSCRIPT" => {
            ask(["EVAL", SCRIPTS[script]]).await
        }
        answered => answered,
    }
}

fn evaluate(out: &mut Vec<u8>, words: [&str; 2], keys: &[String], arguments: &[Argument<'_>]) {
    /// Room for a number as a word, and for what is before and behind a text.
    const WORD: usize = 28;
    let texts = words.iter().map(|word| word.len()).chain(keys.iter().map(String::len));
    out.reserve(texts.sum::<usize>() + WORD * (4 + keys.len() + arguments.len()));
    pipe::begin(out, 3 + keys.len() + arguments.len());
    words.iter().for_each(|word| pipe::text(out, word.as_bytes()));
    pipe::number(out, keys.len() as u64);
    for key in keys {
        pipe::text(out, key.as_bytes());
    }
    for argument in arguments {
        match argument {
            Argument::Text(text) => pipe::text(out, text.as_bytes()),
            Argument::Number(number) => pipe::number(out, *number),
        }
    }
}

/// What an error of a server begins with.
fn code(words: &str) -> &str {
    words.split_once(' ').map_or(words, |(code, _)| code)
}

fn failure(failed: Failed, timeout: Duration) -> Failure {
    match failed {
        Failed::Refused(why) => {
            let code = code(&why);
            let (is_final, is_full) = (FINAL.contains(&code), code == FULL);
            Failure { result: StoreResult::Error, is_final, is_full, why }
        }
        Failed::Broken(why) => {
            let why = why.as_ref().to_owned();
            Failure { result: StoreResult::Error, is_final: true, is_full: false, why }
        }
        Failed::Late => {
            let why = silent(timeout);
            Failure { result: StoreResult::Timeout, is_final: false, is_full: false, why }
        }
    }
}

impl From<&RedisError> for Failure {
    fn from(error: &RedisError) -> Self {
        let (is_final, why) = (is_final(error), error.to_string());
        Self { result: StoreResult::Error, is_final, is_full: error.code() == Some(FULL), why }
    }
}
