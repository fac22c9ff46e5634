//! Components of a message that a signature covers (RFC 9421 section 2), and those that it must cover.
//!
//! Owns which there are in requests, and their parameters.

use std::collections::BTreeMap;

use sfv::{BareItem, FieldType as _, InnerList, Item, Parser};

use crate::content_digest::Covered;
use crate::refusal::Refusal;
use gateway_plugin_identity::problems::{Pointer, Problems};

/// The most components that a signature may cover.
const MOST: usize = 64;

/// What a signature covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Component {
    /// As the signature base has it.
    pub(super) identifier: String,
    pub(super) kind: Kind,
}

/// A kind of component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Method,
    TargetUri,
    Authority,
    Scheme,
    RequestTarget,
    Path,
    Query,
    /// By the name of the parameter, encoded.
    QueryParam(String),
    /// By its name in lower case.
    Field(String, Form),
}

/// How the value of a field is written (RFC 9421 section 2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    Combined,
    /// `sf`
    Strict,
    /// `bs`
    Bytes,
    /// `key`
    Member(String),
}

impl Component {
    /// All that a signature covers.
    pub(super) fn all(input: &InnerList) -> Result<Vec<Self>, Refusal> {
        if input.items.len() > MOST {
            return Err("the signature covers more than 64 components".into());
        }
        let mut components = Vec::with_capacity(input.items.len());
        for item in &input.items {
            let component = Self::new(item)?;
            // Whatever the order of their parameters.
            if components.iter().any(|known: &Self| known.kind == component.kind) {
                let name = component.identifier;
                return Err(format!("the signature covers {name} twice").into());
            }
            components.push(component);
        }
        Ok(components)
    }

    fn new(item: &Item) -> Result<Self, Refusal> {
        let Some(name) = item.bare_item.as_string() else {
            return Err("the signature covers what is no name of a component".into());
        };
        let name = name.as_str();
        let identifier = item.serialize();
        let refuse = |why: &str| Err(format!("the signature covers {identifier}: {why}").into());
        let mut given = BTreeMap::new();
        for (parameter, value) in &item.params {
            match (parameter.as_str(), value) {
                ("req", _) => return refuse("`req` is for signatures of responses"),
                ("tr", _) => return refuse("trailers are not known before the body"),
                ("sf" | "bs", BareItem::Boolean(true)) => given.insert(parameter.as_str(), ""),
                ("key" | "name", BareItem::String(text)) => {
                    given.insert(parameter.as_str(), text.as_str())
                }
                _ => return refuse("its parameters are not known"),
            };
        }
        let given: Vec<_> = given.into_iter().collect();
        let kind = match (name, &*given) {
            ("@method", []) => Kind::Method,
            ("@target-uri", []) => Kind::TargetUri,
            ("@authority", []) => Kind::Authority,
            ("@scheme", []) => Kind::Scheme,
            ("@request-target", []) => Kind::RequestTarget,
            ("@path", []) => Kind::Path,
            ("@query", []) => Kind::Query,
            ("@query-param", [("name", name)]) => Kind::QueryParam((*name).to_owned()),
            (name, _) if name.starts_with('@') => {
                return refuse("there is no such component of a request");
            }
            (name, _) if !is_field(name) => return refuse("a field's name is in lower case"),
            (name, []) => Kind::Field(name.to_owned(), Form::Combined),
            (name, [("sf", _)]) => Kind::Field(name.to_owned(), Form::Strict),
            (name, [("bs", _)]) => Kind::Field(name.to_owned(), Form::Bytes),
            // A member is written strictly anyway.
            (name, [("key", key)] | [("key", key), ("sf", _)]) => {
                Kind::Field(name.to_owned(), Form::Member((*key).to_owned()))
            }
            _ => return refuse("its parameters contradict each other"),
        };
        Ok(Self { identifier, kind })
    }

    /// Reads one of the configuration: `content-type`, or `@query-param;name="id"`.
    fn parse(text: &str) -> Result<Self, String> {
        let (name, parameters) = text.find(';').map_or((text, ""), |at| text.split_at(at));
        let quoted = format!("\"{name}\"{parameters}");
        let item: Item = Parser::new(&quoted).parse().map_err(
            |_| "is no component, such as `@method`, `content-type` or `@query-param;name=\"id\"`",
        )?;
        Self::new(&item).map_err(|refusal| match refusal {
            Refusal::Invalid(why) => why.replacen("the signature covers", "names", 1),
            other => other.to_string(),
        })
    }

    /// Whether it covers at least what another does.
    fn suffices_for(&self, wanted: &Self) -> bool {
        match (&self.kind, &wanted.kind) {
            // However the whole of a field is written.
            (Kind::Field(name, form), Kind::Field(other, Form::Combined)) => {
                name == other && !matches!(form, Form::Member(_))
            }
            (kind, wanted) => kind == wanted,
        }
    }
}

/// A field's name, as components have it (RFC 9421 section 2.1).
fn is_field(name: &str) -> bool {
    let allowed = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte)
    };
    !name.is_empty() && name.bytes().all(allowed)
}

/// What of `content-digest` is covered.
pub(super) fn content_digest(components: &[Component]) -> Covered {
    let mut covered = Covered::default();
    for component in components {
        match &component.kind {
            Kind::Field(name, Form::Member(member)) if name == "content-digest" => {
                covered.members.push(member.clone());
            }
            Kind::Field(name, _) if name == "content-digest" => covered.whole = true,
            _ => {}
        }
    }
    covered
}

/// What a signature must cover.
#[derive(Debug)]
pub(super) enum Required {
    /// Method and target, in any of the ways to say them.
    Target,
    /// All of these.
    These(Vec<Component>),
}

impl Required {
    /// Checks the setting.
    pub(super) fn new(list: Option<&[String]>, at: &Pointer, problems: &mut Problems) -> Self {
        let Some(list) = list else { return Self::Target };
        if list.is_empty() {
            problems.add(at, "names nothing, so a signature would say nothing about a request");
        }
        let mut components = Vec::with_capacity(list.len());
        for (index, text) in list.iter().enumerate() {
            match Component::parse(text) {
                Ok(component) => components.push(component),
                Err(message) => problems.add(&at.index(index), message),
            }
        }
        Self::These(components)
    }

    /// As `Accept-Signature` has them.
    pub(super) fn names(&self) -> String {
        match self {
            Self::Target => r#""@method" "@authority" "@path" "@query""#.to_owned(),
            Self::These(components) => {
                let names: Vec<_> = components.iter().map(|it| it.identifier.as_str()).collect();
                names.join(" ")
            }
        }
    }

    /// Whether a signature covers them.
    pub(super) fn check(&self, covered: &[Component]) -> Result<(), Refusal> {
        let has = |kind: Kind| covered.iter().any(|component| component.kind == kind);
        match self {
            Self::Target => {
                let is_whole = has(Kind::TargetUri)
                    || (has(Kind::Authority)
                        && (has(Kind::RequestTarget) || (has(Kind::Path) && has(Kind::Query))));
                if has(Kind::Method) && is_whole {
                    return Ok(());
                }
                Err("the signature does not cover the method and the whole target".into())
            }
            Self::These(components) => {
                let missing = components
                    .iter()
                    .find(|wanted| !covered.iter().any(|covered| covered.suffices_for(wanted)));
                match missing {
                    None => Ok(()),
                    Some(missing) => {
                        let name = &missing.identifier;
                        Err(format!("the signature does not cover {name}").into())
                    }
                }
            }
        }
    }
}
