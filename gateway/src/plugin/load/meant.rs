//! What was meant by a name that a plugin was not granted.
//!
//! Owns the advice where a granted name is close to it. A plugin cannot give that, since it does not see what else it was
//! granted: it says in the words of the SDK what it needs, `` `documents = ["NAME"]` beside `component` ``.

use super::refusal::LoadError;
use crate::config::{self, closest};

/// Adds that advice to what a plugin has said.
pub(super) fn advise(errors: &mut [LoadError], config: &config::Plugin) {
    let documents = config.documents.iter().flatten().map(|it| it.name.as_str());
    let keys = config.keys.iter().flatten().map(|it| it.name.as_str());
    let secrets = config.secrets.iter().flatten().map(|it| it.name.as_str());
    let events = config.events.iter().flatten().map(|it| it.name.as_str());
    let upstreams = config.upstreams.iter().flatten().map(|(name, _)| name.as_str());
    let lists: [(&str, Vec<&str>); 5] = [
        ("documents", documents.collect()),
        ("keys", keys.collect()),
        ("secrets", secrets.collect()),
        ("events", events.collect()),
        ("upstreams", upstreams.collect()),
    ];
    for error in errors {
        for (list, granted) in &lists {
            let words = format!("{list} = [\"");
            let said = [Some(&error.message), error.help.as_ref()];
            let name = said.into_iter().flatten().find_map(|it| it.split_once(&words));
            let name = name.and_then(|(_, rest)| Some(rest.split_once("\"]")?.0));
            if let Some(meant) = name.and_then(|name| closest(name, granted.iter().copied())) {
                error.help = Some(format!("did you mean \"{meant}\"? The plugin is granted that"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::refusal::SpanTarget;
    use super::*;
    use crate::config::{Known, Source, read};

    #[test]
    fn a_granted_name_that_is_close_is_told_and_no_other() {
        let text = "[[listeners]]\nname = \"l\"\naddress = \"127.0.0.1:0\"\n\
                    [[routes]]\nname = \"r\"\npaths = [\"/\"]\nplugins = [\"p\"]\nrespond = {}\n\
                    [documents.drop]\nfile = \"Cargo.toml\"\n\
                    [plugins.p]\ncomponent = \"ip\"\ndocuments = [\"drop\"]\n";
        let known = Known { built_in: &["ip"] };
        let config = read(Source::new("test.toml", text), &|_| None, &known).unwrap().config;
        let advice = |message: &str, help: Option<&str>| {
            let (place, message) = (SpanTarget::Component, message.to_owned());
            let help = help.map(str::to_owned);
            let mut errors = [LoadError { place, message, label: None, note: None, help }];
            advise(&mut errors, &config.plugins[0]);
            errors[0].help.clone()
        };
        let write = "write `documents = [\"dropp\"]` beside `component`";
        let meant = Some("did you mean \"drop\"? The plugin is granted that".to_owned());
        assert_eq!(advice("is no document", Some(write)), meant);
        assert_eq!(advice("needs `documents = [\"dorp\"]` beside `component`", None), meant);
        assert_eq!(advice("needs `documents = [\"other\"]` beside `component`", None), None);
        assert_eq!(advice("needs `secrets = [\"dropp\"]` beside `component`", None), None);
    }
}
