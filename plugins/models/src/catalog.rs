//! The models and their deployments, checked.
//!
//! Owns what names mean. Must not decide about requests: `choose` does.

mod deployment;
mod model;

use std::collections::HashMap;

use gateway_model_protocols::Action;
use gateway_plugin_sdk::prelude::{ConfigError, Request};

use crate::config::{Config, ModelSpec, Provider};
use crate::credential::Credential;
use crate::defaults::Defaults;
use crate::groups::{self, Groups};
use crate::state::Who;

pub(crate) use deployment::{
    Concurrency, Deployment, Drain, Limits, check_headers, cool_down_at, first_token_at,
};
pub(crate) use model::{Affinity, Model, Share, check_bounds};

/// The most deployments: which of them can serve a call is kept as bits.
const MOST_DEPLOYMENTS: usize = 64;

/// The most models.
const MOST_MODELS: usize = 1024;

/// Names that are told, where none is near.
const MOST_TOLD: usize = 8;

/// The longest name of a model, in bytes.
pub(crate) const MOST_NAME: usize = 256;

/// What the configuration offers.
#[derive(Debug)]
pub(crate) struct Catalog {
    pub(crate) deployments: Vec<Deployment>,
    pub(crate) models: Vec<Model>,
    /// Names and aliases.
    by_name: HashMap<String, usize>,
    /// Fields by which requests stay together.
    affinity_fields: Vec<String>,
    /// The attribute with the regions of a request.
    pub(crate) region_attribute: Option<String>,
    /// The attribute that selects a model.
    pub(crate) model_attribute: Option<String>,
    pub(crate) groups: Groups,
}

impl Provider {
    fn default_path(self) -> &'static str {
        match self {
            Self::Openai | Self::Anthropic | Self::Mistral => "/v1",
            Self::Vertex | Self::VertexAnthropic => "/v1",
            Self::CohereOpenai => "/compatibility/v1",
            Self::Azure => "/openai",
            Self::Gemini => "/v1beta",
            Self::Ollama | Self::Bedrock | Self::Cohere => "",
        }
    }

    /// What OpenTelemetry's conventions call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::Azure => "azure.ai.openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gcp.gemini",
            Self::Ollama => "ollama",
            Self::Bedrock => "aws.bedrock",
            Self::Vertex | Self::VertexAnthropic => "gcp.vertex_ai",
            Self::Mistral => "mistral_ai",
            Self::Cohere | Self::CohereOpenai => "cohere",
        }
    }
}

impl Catalog {
    pub(crate) fn new(config: &mut Config) -> Result<Self, ConfigError> {
        let mut errors = Vec::new();
        let names: Vec<String> = config.deployments.keys().cloned().collect();
        let asked = config.models.len();
        let defaults = Defaults::new(config, &mut errors);
        let mut deployments = Vec::with_capacity(names.len());
        for (name, spec) in std::mem::take(&mut config.deployments) {
            match Deployment::new(&name, spec, config.prices.is_some(), &defaults) {
                Ok(deployment) => deployments.push(deployment),
                Err(found) => errors.push(found),
            }
        }
        let (mut models, mut by_name) = (Vec::new(), HashMap::new());
        let model_names: Vec<String> = config.models.keys().cloned().collect();
        for (index, name) in model_names.iter().enumerate() {
            errors.extend(check_name(name, format!("/models/{}", escaped(name))));
            by_name.insert(name.clone(), index);
        }
        for (index, (name, spec)) in std::mem::take(&mut config.models).into_iter().enumerate() {
            errors.extend(claim_aliases(&name, &spec, index, &mut by_name));
            match Model::new(name, spec, &names, &defaults) {
                Ok(model) => models.push(model),
                Err(found) => errors.push(found),
            }
        }
        let (groups, members) = {
            let models: Vec<&str> = model_names.iter().map(String::as_str).collect();
            let alias_of = |name: &str| {
                by_name.get(name).and_then(|index: &usize| model_names.get(*index)).cloned()
            };
            Groups::new(config, &models, &alias_of, &mut errors)
        };
        if names.len() > MOST_DEPLOYMENTS {
            let message = format!("has more than {MOST_DEPLOYMENTS} tables");
            errors.push(ConfigError::at("/deployments", message));
        }
        if asked > MOST_MODELS {
            let message = format!("has more than {MOST_MODELS} tables");
            errors.push(ConfigError::at("/models", message));
        }
        if names.is_empty() {
            errors.push(ConfigError::at("/deployments", "has no deployment"));
        }
        if config.region_attribute.as_deref() == Some("") {
            let error = ConfigError::at("/region_attribute", "is empty");
            let help =
                "write the name of one, such as `\"consumer.claim.regions\"`, or leave the key out";
            errors.push(error.help(help));
        }
        if models.is_empty() && errors.is_empty() {
            errors.push(ConfigError::at("/models", "has no model"));
        }
        ConfigError::collect(errors)?;
        for share in models.iter().filter(|it| it.affinity_load.is_some()).flat_map(|it| &it.shares)
        {
            deployments[share.deployment].is_counted = true;
        }
        for (model, groups) in models.iter_mut().zip(members) {
            model.groups = groups;
            let mut own = model
                .shares
                .iter()
                .map(|share| deployments[share.deployment].provider.own(Action::Generate));
            let first = own.next();
            model.is_mixed = own.any(|other| Some(other) != first);
        }
        let by_field = |model: &Model| match &model.affinity {
            Some(Affinity::Header(name)) => Some(name.clone()),
            _ => None,
        };
        let affinity_fields = models.iter().filter_map(by_field).collect();
        let region_attribute = config.region_attribute.take();
        let model_attribute = config.model_attribute.take();
        Ok(Self {
            deployments,
            models,
            by_name,
            affinity_fields,
            region_attribute,
            model_attribute,
            groups,
        })
    }

    /// Whether a deployment is of this provider.
    pub(crate) fn has_provider(&self, provider: Provider) -> bool {
        self.deployments.iter().any(|it| it.provider == provider)
    }

    /// Whether tokens are fetched for a deployment.
    pub(crate) fn has_accounts(&self) -> bool {
        let is_one = |it: &Deployment| matches!(it.credential, Credential::Account(_));
        self.deployments.iter().any(is_one)
    }

    /// Whether a model has requests stay together by a field of this name.
    pub(crate) fn has_affinity_by(&self, field: &str) -> bool {
        self.affinity_fields.iter().any(|name| name == field)
    }

    /// The model that a client asks for.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Who asks.
    pub(crate) fn who(&self, request: &Request) -> Who {
        self.groups.who(request)
    }

    /// Whether a model is there for who asks.
    pub(crate) fn may_use(&self, model: &Model, who: &Who) -> bool {
        groups::is_among(model.consumers.as_deref(), &who.values)
            && (model.groups.is_empty() || self.group_of(model, who).is_some())
    }

    /// The group by which a model is there for who asks.
    pub(crate) fn group_of(&self, model: &Model, who: &Who) -> Option<usize> {
        model.groups.iter().copied().find(|group| who.groups >> group & 1 == 1)
    }

    /// The model whose name is most like this one, of those that may be seen.
    pub(crate) fn nearest(&self, name: &str, may_see: impl Fn(&Model) -> bool) -> Option<&str> {
        let seen = self.by_name.iter().filter(|(_, model)| may_see(&self.models[**model]));
        let names = seen.map(|(name, _)| name.as_str());
        let near = names.map(|known| (distance(known, name), known));
        let (distance, nearest) = near.min()?;
        (distance <= name.len().max(3) / 3).then_some(nearest)
    }
}

/// Notes the aliases of a model, where all models have their names already.
fn claim_aliases(
    name: &str,
    spec: &ModelSpec,
    model: usize,
    by_name: &mut HashMap<String, usize>,
) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    for (index, alias) in spec.aliases.iter().enumerate() {
        let at = || format!("/models/{}/aliases/{index}", escaped(name));
        errors.extend(check_name(alias, at()));
        if by_name.contains_key(alias) {
            let message = format!("is `{alias}`, which a model or an alias is called already");
            errors.push(ConfigError::at(at(), message).help("take it out, or write another name"));
        } else {
            by_name.insert(alias.clone(), model);
        }
    }
    errors
}

/// What is wrong with a name that clients use.
fn check_name(name: &str, at: String) -> Option<ConfigError> {
    let error = || {
        ConfigError::at(at, "must have 1 to 256 bytes").help("write a shorter one, or take it out")
    };
    (name.is_empty() || name.len() > MOST_NAME).then(error)
}

/// What somebody may have meant by a name, or which names there are.
pub(crate) fn meant<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let known: Vec<_> = known.collect();
    let nearest = known.iter().map(|it| (distance(it, name), it)).min()?;
    if nearest.0 <= name.chars().count().max(3) / 2 {
        return Some(format!("did you mean `{}`?", nearest.1));
    }
    let more = if known.len() > MOST_TOLD { ", ..." } else { "" };
    let told: Vec<_> = known.iter().take(MOST_TOLD).map(|it| format!("`{it}`")).collect();
    Some(format!("there are {}{more}", told.join(", ")))
}

/// A key as part of a JSON Pointer (RFC 6901 section 3).
pub(crate) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// How many letters differ (Levenshtein).
pub(crate) fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (i, left) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, right) in other.chars().enumerate() {
            let kept = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = kept.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.chars().count()]
}
