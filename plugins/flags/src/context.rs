//! Who flags are evaluated for.

use gateway_plugin_sdk::prelude::{ConfigError, Interest, Request};
use gateway_plugin_sdk::source::Source;
use serde_json::{Map, Value};

use crate::config::Config;

const TARGETING_KEY: &str = "targetingKey";

/// How contexts are made.
#[derive(Debug)]
pub(crate) struct Contexts {
    keys: Vec<Source>,
    /// Whether the configuration says where the key comes from: it then counts more than what applications send.
    says_key: bool,
    members: Vec<(String, Source)>,
}

impl Contexts {
    pub(crate) fn new(config: &Config, errors: &mut Vec<ConfigError>) -> Self {
        let mut read = |text: &str, at: String| {
            let help = "write `consumer.id`, `claim:NAME`, `header:NAME` or `cookie:NAME`";
            let wrong = |message| errors.push(ConfigError::at(at, message).help(help));
            Source::parse(text).map_err(wrong).ok()
        };
        let keys = match &config.targeting_key {
            Some(keys) => keys.clone(),
            None => ["consumer.id", "client.address"].map(str::to_owned).to_vec(),
        };
        let keys = keys
            .iter()
            .enumerate()
            .filter_map(|(index, key)| read(key, format!("/targeting_key/{index}")));
        let keys = keys.collect();
        let members = config.context.iter().filter_map(|(name, source)| {
            let source =
                read(source, format!("/context/{}", name.replace('~', "~0").replace('/', "~1")))?;
            Some((name.clone(), source))
        });
        let members = members.collect();
        for name in
            config.context.keys().filter(|name| *name == TARGETING_KEY || name.starts_with('$'))
        {
            let help = match name == TARGETING_KEY {
                true => "the key is set by `targeting_key = [\"consumer.id\"]`",
                false => "choose a name that does not begin with `$`",
            };
            let error = ConfigError::at(
                format!("/context/{name}"),
                format!("{name:?} has its own meaning"),
            );
            errors.push(error.help(help));
        }
        Self { keys, says_key: config.targeting_key.is_some(), members }
    }

    pub(crate) fn interest(&self, interest: Interest) -> Interest {
        self.sources().fold(interest, |interest, source| source.declare(interest))
    }

    /// The context of a request.
    pub(crate) fn of(&self, request: &Request) -> Map<String, Value> {
        let mut context = Map::new();
        self.put(request, &mut context);
        self.put_key(request, &mut context);
        context
    }

    /// The context of an application, with what the gateway knows in place of what it says.
    pub(crate) fn served(
        &self,
        request: &Request,
        mut theirs: Map<String, Value>,
    ) -> Map<String, Value> {
        for (name, _) in &self.members {
            theirs.remove(name);
        }
        self.put(request, &mut theirs);
        if self.says_key {
            theirs.remove(TARGETING_KEY);
            self.put_key(request, &mut theirs);
        }
        theirs
    }

    /// Whether requests are often alike in all that is read.
    pub(crate) fn are_often_alike(&self) -> bool {
        !self.sources().any(Source::is_rarely_alike)
    }

    fn sources(&self) -> impl Iterator<Item = &Source> {
        self.keys.iter().chain(self.members.iter().map(|(_, source)| source))
    }

    fn put(&self, request: &Request, context: &mut Map<String, Value>) {
        for (name, source) in &self.members {
            if let Some(value) = value(source, request) {
                context.insert(name.clone(), value);
            }
        }
    }

    fn put_key(&self, request: &Request, context: &mut Map<String, Value>) {
        let key = self.keys.iter().find_map(|source| value(source, request));
        if let Some(key) = key {
            let text = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
            context.insert(TARGETING_KEY.to_owned(), text.into());
        }
    }
}

/// What is there. Of a claim that is no text, the JSON.
fn value(source: &Source, request: &Request) -> Option<Value> {
    let text = source.value(request)?;
    let json = || serde_json::from_str::<Value>(text).ok().filter(|value| !value.is_string());
    let of_claim = matches!(source, Source::Claim(_)).then(json).flatten();
    Some(of_claim.unwrap_or_else(|| Value::String(text.to_owned())))
}
