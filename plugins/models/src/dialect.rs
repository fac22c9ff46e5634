//! What providers want otherwise in a request of an API that they share with others.
//!
//! Owns which members are renamed, added or left out for whom. What a provider does not know is left to it to refuse by
//! its name, but for what it does unasked.

use gateway_model_protocols::request::Edits;
use gateway_model_protocols::translate::Target;
use gateway_model_protocols::{Action, Protocol};

use crate::config::Provider;

impl Provider {
    /// Whether the wish for the usage in a stream of chat completions is a member of the request. Mistral says the usage
    /// unasked, and refuses the member.
    pub(crate) fn takes_stream_options(self) -> bool {
        self != Self::Mistral
    }

    /// The member with the bound of the output that a chat completion has here, where it is not OpenAI's newer one.
    pub(crate) fn max_output_name(self) -> Option<&'static str> {
        matches!(self, Self::Mistral | Self::CohereOpenai).then_some("max_tokens")
    }

    /// Whether ids of calls must have nine letters and digits, whoever made them.
    pub(crate) fn has_short_ids(self) -> bool {
        self == Self::Mistral
    }

    /// What a translation heeds.
    pub(crate) fn heed(self, target: &mut Target<'_>) {
        if let Some(name) = self.max_output_name() {
            target.max_output_name = name;
        }
        target.short_ids = self.has_short_ids();
    }

    /// Whether [`Self::edit`] changes requests.
    pub(crate) fn has_dialect(self) -> bool {
        matches!(self, Self::Mistral | Self::CohereOpenai | Self::VertexAnthropic)
    }

    /// Changes a request of the API that the provider speaks.
    pub(crate) fn edit(self, edits: &mut Edits<'_>, protocol: Protocol, action: Action) {
        match (self, protocol) {
            (Self::Mistral, Protocol::OpenAiChat) => {
                edits.remove("stream_options");
                edits.rename("max_completion_tokens", "max_tokens");
                edits.rename("seed", "random_seed");
            }
            (Self::Mistral, Protocol::OpenAiEmbeddings) => {
                edits.rename("dimensions", "output_dimension");
            }
            (Self::CohereOpenai, Protocol::OpenAiChat) => {
                edits.rename("max_completion_tokens", "max_tokens");
            }
            (Self::VertexAnthropic, _) => {
                // The path has it, but for counts of tokens.
                if action == Action::Generate {
                    edits.remove("model");
                }
                edits.set(&["anthropic_version"], "\"vertex-2023-10-16\"");
            }
            _ => {}
        }
    }
}
