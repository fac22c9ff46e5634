//! What kind of error it is, from the words and numbers of the providers.

use crate::saved::saved;

/// The kinds of errors that policy tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Too many requests or tokens, or no money left; another deployment may take it.
    RateLimited,
    /// The provider has no capacity.
    Overloaded,
    /// The input does not fit the model.
    ContextTooLong,
    /// A filter of the provider refused it.
    ContentFiltered,
    /// The request is wrong, wherever it is sent.
    Invalid,
    /// The credentials are wrong or may not do it.
    Auth,
    /// There is no such model or resource.
    NotFound,
    /// The provider failed.
    Server,
}
saved!(
    enum Class {
        RateLimited,
        Overloaded,
        ContextTooLong,
        ContentFiltered,
        Invalid,
        Auth,
        NotFound,
        Server,
    }
);

/// Parts of the words that providers have as type, code or status; lower case, without `_`.
const WORDS: [(&str, Class); 40] = [
    ("contextlength", Class::ContextTooLong),
    ("contextwindow", Class::ContextTooLong),
    ("requesttoolarge", Class::ContextTooLong),
    ("stringabovemaxlength", Class::ContextTooLong),
    ("contentfilter", Class::ContentFiltered),
    ("contentpolicy", Class::ContentFiltered),
    ("responsibleai", Class::ContentFiltered),
    ("moderationblocked", Class::ContentFiltered),
    ("prohibitedcontent", Class::ContentFiltered),
    ("ratelimit", Class::RateLimited),
    ("throttl", Class::RateLimited),
    ("toomanyrequests", Class::RateLimited),
    ("resourceexhausted", Class::RateLimited),
    ("quota", Class::RateLimited),
    ("billing", Class::RateLimited),
    ("overloaded", Class::Overloaded),
    ("unavailable", Class::Overloaded),
    ("slowdown", Class::Overloaded),
    ("modelnotready", Class::Overloaded),
    ("capacity", Class::Overloaded),
    ("authentication", Class::Auth),
    ("unauthenticated", Class::Auth),
    ("unauthorized", Class::Auth),
    ("permission", Class::Auth),
    ("accessdenied", Class::Auth),
    ("invalidapikey", Class::Auth),
    ("unrecognizedclient", Class::Auth),
    ("expiredtoken", Class::Auth),
    ("invalidsignature", Class::Auth),
    ("insufficientbalance", Class::RateLimited),
    ("notfound", Class::NotFound),
    ("invalidrequest", Class::Invalid),
    ("invalidargument", Class::Invalid),
    ("validation", Class::Invalid),
    ("badrequest", Class::Invalid),
    ("failedprecondition", Class::Invalid),
    ("internal", Class::Server),
    ("server", Class::Server),
    ("timeout", Class::Server),
    ("modelstreamerror", Class::Server),
];

/// What messages say of an input that does not fit, where the code is that of any wrong request.
const TOO_LONG: [&str; 9] = [
    "prompt is too long",
    "input is too long",
    "maximum context length",
    "context length",
    "context window",
    "context limit",
    "exceeds the maximum number of tokens",
    "too many tokens",
    "exceeds the available context",
];

/// What messages say of an account without money, which ends as limits do: elsewhere or later.
const NO_CREDIT: [&str; 3] = ["credit balance", "insufficient balance", "insufficient funds"];

/// What messages say of a refusal by a filter.
const FILTERED: [&str; 4] =
    ["content management policy", "content filtering policy", "content policy", "safety system"];

impl Class {
    /// The class of an error by its words, status and message.
    pub fn of(words: &[&str], status: Option<u16>, message: &str) -> Self {
        let plain = |word: &str| -> String {
            let letters = word.chars().filter(char::is_ascii_alphanumeric);
            letters.map(|letter| letter.to_ascii_lowercase()).collect()
        };
        let known = words.iter().map(|word| plain(word)).find_map(|word| {
            WORDS.iter().find(|(part, _)| word.contains(part)).map(|(_, class)| *class)
        });
        let class = known.or_else(|| status.map(Self::of_status)).unwrap_or(Self::Server);
        if matches!(class, Self::Invalid | Self::Server) && status.is_none_or(|it| it < 500) {
            let message = message.to_ascii_lowercase();
            if TOO_LONG.iter().any(|part| message.contains(part)) {
                return Self::ContextTooLong;
            }
            if NO_CREDIT.iter().any(|part| message.contains(part)) {
                return Self::RateLimited;
            }
            if FILTERED.iter().any(|part| message.contains(part)) {
                return Self::ContentFiltered;
            }
        }
        class
    }

    /// The class of a status about which nothing else is known.
    pub fn of_status(status: u16) -> Self {
        match status {
            402 | 429 => Self::RateLimited,
            503 | 529 => Self::Overloaded,
            401 | 403 => Self::Auth,
            404 | 410 => Self::NotFound,
            413 => Self::ContextTooLong,
            // Cohere's, of a text that it blocks.
            498 => Self::ContentFiltered,
            408 | 424 => Self::Server,
            400..500 => Self::Invalid,
            _ => Self::Server,
        }
    }

    /// The status of an error that has none, as it came in a stream.
    pub fn status(self) -> u16 {
        match self {
            Self::RateLimited => 429,
            Self::Overloaded => 503,
            Self::ContextTooLong | Self::ContentFiltered | Self::Invalid => 400,
            Self::Auth => 401,
            Self::NotFound => 404,
            Self::Server => 502,
        }
    }

    /// Whether another deployment of the same model may succeed.
    pub fn is_worth_another(self) -> bool {
        matches!(self, Self::RateLimited | Self::Overloaded | Self::Server)
    }

    /// A short name for logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::ContextTooLong => "context_too_long",
            Self::ContentFiltered => "content_filtered",
            Self::Invalid => "invalid",
            Self::Auth => "auth",
            Self::NotFound => "not_found",
            Self::Server => "server",
        }
    }
}
