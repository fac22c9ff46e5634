//! Lists of tools, prompts and resources, without what the client may not use.
//!
//! Owns the change of a message: all bytes but those of what is taken out stay as they are.

use gateway_json_rpc::{Unreadable, folded_eq};
use gateway_model_protocols::json::Raw;
use gateway_plugin_sdk::log;

use crate::config::OnChanged;
use crate::message::Subject;
use crate::pins::Pins;
use crate::rules::Rules;

/// Members of results with things, and what names each of them.
const LISTS: [(&str, Subject, &str); 4] = [
    ("tools", Subject::Tool, "name"),
    ("prompts", Subject::Prompt, "name"),
    ("resources", Subject::Resource, "uri"),
    ("resourceTemplates", Subject::Resource, "uriTemplate"),
];

/// What a client may see.
#[derive(Debug)]
pub(crate) struct Filter<'a> {
    pub(crate) rules: &'a Rules,
    pub(crate) pins: &'a Pins,
    pub(crate) on_changed: OnChanged,
    /// The rules that are for the client.
    pub(crate) of: &'a [u16],
}

impl Filter<'_> {
    /// The message with what the client may see; none if that is all.
    pub(crate) fn message(&self, text: &[u8]) -> Result<Option<Vec<u8>>, Unreadable> {
        let raw = Raw::parse(text).map_err(|_| Unreadable)?;
        let mut cuts = Cuts { text, out: Vec::new(), from: 0 };
        if raw.is_array() {
            raw.elements().try_for_each(|raw| self.results(raw, &mut cuts))?;
        } else {
            self.results(raw, &mut cuts)?;
        }
        Ok(cuts.end())
    }

    fn results(&self, message: Raw<'_>, cuts: &mut Cuts<'_>) -> Result<(), Unreadable> {
        for (key, result) in message.members() {
            if !folded_eq(&key.str().unwrap_or_default(), "result") {
                continue;
            }
            for (key, list) in result.members() {
                let key = key.str().unwrap_or_default();
                // A cache in between would give it to others too.
                if key == "cacheScope" && list.is("public") && self.rules.any() {
                    cuts.replace(list, "\"private\"");
                }
                if let Some((_, subject, name)) = LISTS.iter().find(|(it, ..)| folded_eq(&key, it))
                {
                    self.list(list, *subject, name, cuts)?;
                }
            }
        }
        Ok(())
    }

    fn list(
        &self,
        list: Raw<'_>,
        subject: Subject,
        name: &str,
        cuts: &mut Cuts<'_>,
    ) -> Result<(), Unreadable> {
        let is_pinned = subject == Subject::Tool && !self.pins.is_empty();
        if !self.rules.govern(subject) && !is_pinned {
            return Ok(());
        }
        // A lenient client may find things in what is no list.
        if !list.is_array() {
            return if list.is_null() { Ok(()) } else { Err(Unreadable) };
        }
        // Where the last thing ended that stays, or the bracket that opens the list.
        let mut kept_any = false;
        let start = list.range_in(cuts.text).start + 1;
        let mut before = start;
        for thing in list.elements() {
            let range = thing.range_in(cuts.text);
            if self.shows(thing, subject, name) {
                // What is in front of it has a comma, which is one too many for the first.
                if !kept_any && before > start {
                    cuts.cut(start, range.start);
                }
                kept_any = true;
            } else if kept_any {
                cuts.cut(before, range.end);
            }
            before = range.end;
        }
        if !kept_any && before > start {
            cuts.cut(start, before);
        }
        Ok(())
    }

    fn shows(&self, thing: Raw<'_>, subject: Subject, name: &str) -> bool {
        // What has its name twice has two of them.
        let mut names =
            thing.members().filter(|(key, _)| key.str().is_some_and(|key| folded_eq(&key, name)));
        let (Some((_, value)), None) = (names.next(), names.next()) else { return false };
        let Some(name) = value.str() else { return false };
        if !self.rules.allow(self.of, subject, &name) {
            return false;
        }
        if subject != Subject::Tool {
            return true;
        }
        let Some(digest) = self.pins.changed(&name, thing) else { return true };
        let hides = self.on_changed == OnChanged::Hide;
        let verb = if hides { "is hidden" } else { "is listed" };
        log::warn!("the tool `{name}` is not as it was pinned, and {verb}: its digest is {digest}");
        !hides
    }
}

/// A text that is copied but for some parts, which follow one another.
struct Cuts<'a> {
    text: &'a [u8],
    out: Vec<u8>,
    from: usize,
}

impl Cuts<'_> {
    fn cut(&mut self, start: usize, end: usize) {
        self.out.extend_from_slice(self.text.get(self.from..start).unwrap_or_default());
        self.from = end;
    }

    fn replace(&mut self, old: Raw<'_>, new: &str) {
        let range = old.range_in(self.text);
        self.cut(range.start, range.end);
        self.out.extend_from_slice(new.as_bytes());
    }

    fn end(mut self) -> Option<Vec<u8>> {
        if self.from == 0 {
            return None;
        }
        self.cut(self.text.len(), self.text.len());
        Some(self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(text: &str) -> String {
        let specs = serde_json::json!([{ "tools": ["b", "d*"], "resources": ["file:///a/*"] }]);
        let specs: Vec<_> = serde_json::from_value(specs).unwrap();
        let (rules, pins) = (Rules::new(&specs).unwrap(), Pins::default());
        let filter = Filter { rules: &rules, pins: &pins, on_changed: OnChanged::Hide, of: &[0] };
        let changed = filter.message(text.as_bytes()).unwrap();
        changed.map_or_else(|| text.to_owned(), |bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn takes_out_what_is_not_allowed_and_leaves_the_rest_as_it_is() {
        let message = |list: &str| {
            format!(
                r#"{{ "id" : 1.0, "result":{{"nextCursor" : "x","tools": [{list}] , "y": 1e400}} }}"#
            )
        };
        let tool = |name: &str| format!(r#"{{"n":[1], "name" : "{name}"}}"#);
        let [a, b, c, d] = ["a", "b", "c", "d1"].map(tool);
        for (list, wanted) in [
            (format!(" {a}, {b} ,\n{c},{d} "), format!("{b} ,{d} ")),
            (format!("{b},{d}"), format!("{b},{d}")),
            (format!("{b}, {a}"), b.clone()),
            (format!("{a},{c}"), String::new()),
            (format!("{a} , {d}"), d.clone()),
            (format!("{d} ,{a},{b}"), format!("{d},{b}")),
            (String::new(), String::new()),
            (r#"{"name":"b","Name":"a"},{"x":1},3,{"name":"b\u0000"}"#.to_owned(), String::new()),
        ] {
            let (got, wanted) = (filtered(&message(&list)), message(&wanted));
            let plain = |text: &str| text.replace(['\n', ' '], "");
            assert_eq!(plain(&got), plain(&wanted), "{list}");
            assert!(Raw::parse(got.as_bytes()).is_ok(), "{got}");
        }
        // What stays is the same to the byte.
        let whole = message(&format!("  {b} ,  {d}"));
        assert_eq!(filtered(&whole), whole);
    }

    #[test]
    fn what_is_no_list_cannot_be_read() {
        let specs = serde_json::json!([{ "tools": ["b"] }]);
        let specs: Vec<_> = serde_json::from_value(specs).unwrap();
        let (rules, pins) = (Rules::new(&specs).unwrap(), Pins::default());
        let filter = Filter { rules: &rules, pins: &pins, on_changed: OnChanged::Hide, of: &[0] };
        for list in [r#"{"a":{"name":"a"}}"#, r#"{"name":"a"}"#, r#""a""#, "1", "true"] {
            for text in [
                format!(r#"{{"id":1,"result":{{"tools":{list}}}}}"#),
                format!(r#"[{{"id":1,"result":{{"tools":{list}}}}}]"#),
            ] {
                assert_eq!(filter.message(text.as_bytes()), Err(Unreadable), "{text}");
            }
            // No rule speaks of prompts.
            let text = format!(r#"{{"id":1,"result":{{"prompts":{list}}}}}"#);
            assert_eq!(filter.message(text.as_bytes()), Ok(None), "{text}");
        }
        assert_eq!(filter.message(br#"{"id":1,"result":{"tools":null}}"#), Ok(None));
    }

    #[test]
    fn other_lists_batches_and_caches() {
        let text = r#"[{"id":1,"result":{"tools":[{"name":"a"}]}},{"id":2,"result":{"prompts":[{"name":"a"}]}},
            {"id":3,"result":{"resources":[{"uri":"file:///a/1"},{"uri":"file:///b"}],"cacheScope":"public"}},
            {"id":4,"result":{"resourceTemplates":[{"uriTemplate":"file:///a/{x}"},{"uriTemplate":"file:///{x}"}]}}]"#;
        let wanted = r#"[{"id":1,"result":{"tools":[]}},{"id":2,"result":{"prompts":[{"name":"a"}]}},
            {"id":3,"result":{"resources":[{"uri":"file:///a/1"}],"cacheScope":"private"}},
            {"id":4,"result":{"resourceTemplates":[{"uriTemplate":"file:///a/{x}"}]}}]"#;
        assert_eq!(filtered(text), wanted);
    }
}
