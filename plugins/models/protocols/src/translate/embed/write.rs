//! What a provider is asked, in its own API.
//!
//! Owns the forms of requests, and which of Vertex AI's and Bedrock's a model has. Whether a model has the dimensions that
//! are asked for is for its provider to say.

use super::{Form, Item, Names, Purpose, Wanted};
use crate::json::Writer;
use crate::translate::Target;
use crate::translate::ir::Refused;

impl Wanted<'_> {
    pub(super) fn cohere(&self, target: &Target<'_>) -> Result<String, Refused> {
        let mut w = Writer::new();
        w.open('{').key("model").str(target.model);
        let form = if self.form == Form::Bytes { "base64" } else { "float" };
        self.of_cohere(&mut w, form)?;
        w.close('}');
        Ok(w.out)
    }

    /// What Cohere's API and its models on Bedrock have by the same names.
    fn of_cohere(&self, w: &mut Writer, form: &str) -> Result<(), Refused> {
        self.without_titles()?;
        self.texts(w.key("texts"));
        // It must be said, and most are made to be found.
        let purpose = self.named(Names::Cohere)?;
        w.key("input_type").str(purpose.as_deref().unwrap_or("search_document"));
        w.key("embedding_types").array(|w| _ = w.str(form));
        if let Some(dimensions) = self.dimensions {
            w.key("output_dimension").raw(dimensions);
        }
        w.key("truncate").str("NONE");
        Ok(())
    }

    /// `batchEmbedContents`, which takes one text too.
    pub(super) fn gemini(&self, target: &Target<'_>) -> Result<String, Refused> {
        let purpose = self.named(Names::Gemini)?;
        let model = ["models/", target.model].concat();
        let mut w = Writer::new();
        w.open('{').key("requests").open('[');
        for item in &self.items {
            w.open('{').key("model").str(&model);
            item.content(&mut w);
            self.settings(&mut w, item, purpose.as_deref());
            w.close('}');
        }
        w.close(']').close('}');
        Ok(w.out)
    }

    /// What embeddings are for, and their size, as Gemini has it.
    fn settings(&self, w: &mut Writer, item: &Item<'_>, purpose: Option<&str>) {
        if let Some(purpose) = purpose {
            w.key("taskType").str(purpose);
        }
        if let Some(title) = item.title {
            w.key("title").raw(title);
        }
        if let Some(dimensions) = self.dimensions {
            w.key("outputDimensionality").raw(dimensions);
        }
    }

    /// Of Vertex AI: `predict` of models for texts, and contents of newer ones. What takes it, besides.
    pub(super) fn vertex(&self, target: &Target<'_>) -> Result<(String, &'static str), Refused> {
        let purpose = self.named(Names::Gemini)?;
        let mut w = Writer::new();
        if !takes_contents(target.model) {
            w.open('{').key("instances").open('[');
            for item in &self.items {
                w.open('{').key("content").raw(item.text);
                if let Some(purpose) = &purpose {
                    w.key("task_type").str(purpose);
                }
                if let Some(title) = item.title {
                    w.key("title").raw(title);
                }
                w.close('}');
            }
            w.close(']').key("parameters").open('{').key("autoTruncate").bool(false);
            if let Some(dimensions) = self.dimensions {
                w.key("outputDimensionality").raw(dimensions);
            }
            w.close('}').close('}');
            return Ok((w.out, "/models/:predict"));
        }
        let one = |w: &mut Writer, item: &Item<'_>| {
            w.open('{');
            item.content(w);
            if purpose.is_some() || item.title.is_some() || self.dimensions.is_some() {
                let inside = |w: &mut Writer| self.settings(w, item, purpose.as_deref());
                w.key("embedContentConfig").object(inside);
            }
            w.close('}');
        };
        if let [item] = &*self.items {
            one(&mut w, item);
            return Ok((w.out, "/models/:embedContent"));
        }
        w.open('{').key("requests").open('[');
        self.items.iter().for_each(|item| one(&mut w, item));
        w.close(']').close('}');
        Ok((w.out, "/models/:batchEmbedContents"))
    }

    /// The body that a model on Bedrock takes, which its name tells.
    pub(super) fn bedrock(&mut self, target: &Target<'_>) -> Result<String, Refused> {
        let is = |name: &str| target.model.contains(name);
        let mut w = Writer::new();
        w.open('{');
        if is("cohere.embed") {
            // There are no bytes there.
            self.of_cohere(&mut w, "float")?;
        } else if is("amazon.titan-embed-text") {
            self.without_purpose()?;
            w.key("inputText").raw(self.one_text()?);
            if let Some(dimensions) = self.dimensions {
                w.key("dimensions").raw(dimensions);
            }
        } else if is("amazon.nova") && is("embeddings") {
            let purpose = self.named(Names::Nova)?;
            self.without_titles()?;
            let text = self.one_text()?;
            w.key("schemaVersion").str("nova-multimodal-embed-v1");
            w.key("taskType").str("SINGLE_EMBEDDING").key("singleEmbeddingParams").object(|w| {
                let purpose = purpose.as_deref().unwrap_or("GENERIC_INDEX");
                w.key("embeddingPurpose").str(purpose);
                if let Some(dimensions) = self.dimensions {
                    w.key("embeddingDimension").raw(dimensions);
                }
                w.key("text")
                    .object(|w| _ = w.key("truncationMode").str("NONE").key("value").raw(text));
            });
        } else {
            let why = "is no model whose embeddings are known: of Bedrock those of `amazon.titan-embed-text`, \
                       `amazon.nova-...-embeddings` and `cohere.embed` are, by the name that the provider has for the model";
            return Err(Refused::new("model", why));
        }
        w.close('}');
        Ok(w.out)
    }

    pub(super) fn ollama(&mut self, target: &Target<'_>) -> Result<String, Refused> {
        let mut w = Writer::new();
        self.inputs(&mut w, target)?;
        w.key("truncate").bool(false).close('}');
        Ok(w.out)
    }

    pub(super) fn openai(&mut self, target: &Target<'_>) -> Result<String, Refused> {
        let mut w = Writer::new();
        self.inputs(&mut w, target)?;
        w.key("encoding_format").str("float").close('}');
        Ok(w.out)
    }

    /// What OpenAI and Ollama have by the same names.
    fn inputs(&mut self, w: &mut Writer, target: &Target<'_>) -> Result<(), Refused> {
        self.without_purpose()?;
        w.open('{').key("model").str(target.model);
        self.texts(w.key("input"));
        if let Some(dimensions) = self.dimensions {
            w.key("dimensions").raw(dimensions);
        }
        Ok(())
    }

    fn texts(&self, w: &mut Writer) {
        w.array(|w| self.items.iter().for_each(|item| _ = w.raw(item.text)));
    }

    fn named(&self, names: Names) -> Result<Option<String>, Refused> {
        self.purpose.as_ref().map(|purpose| purpose.named(names)).transpose()
    }

    /// Of a model that takes one at a time.
    fn one_text(&self) -> Result<&str, Refused> {
        match &*self.items {
            [item] => Ok(item.text),
            _ => Err(Refused::new(
                "",
                "has several texts, where the model at this provider takes one for each request",
            )),
        }
    }

    /// Of a provider that has no place for what embeddings are for.
    fn without_purpose(&mut self) -> Result<(), Refused> {
        self.without_titles()?;
        match &self.purpose {
            Some(Purpose { member, is_due: true, .. }) => self.ignored.push((*member).to_owned()),
            Some(Purpose { member, .. }) => return Err(Refused::unknown(*member)),
            None => {}
        }
        Ok(())
    }

    /// Of a provider that has no place for titles.
    fn without_titles(&self) -> Result<(), Refused> {
        match self.items.iter().any(|item| item.title.is_some()) {
            true => Err(Refused::unknown("title")),
            false => Ok(()),
        }
    }
}

impl Item<'_> {
    fn content(&self, w: &mut Writer) {
        w.key("content").object(|w| {
            w.key("parts").array(|w| {
                w.object(|w| _ = w.key("text").raw(self.text));
            });
        });
    }
}

/// Whether a model of Vertex AI takes contents, as Gemini's do but for the first one.
fn takes_contents(model: &str) -> bool {
    model.contains("gemini") && !model.contains("gemini-embedding-001")
}
