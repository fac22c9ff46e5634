//! Where credentials are in a request: finding the one that is there, and taking it out.
//!
//! Owns fields, cookies, query parameters and the schemes of `Authorization`. It does not know
//! whether a credential is right.

mod notation;

use std::borrow::Cow;

use gateway_plugin_sdk::prelude::*;

use self::notation::{COOKIE, cookie, is_bearer_token, parameter, split_scheme, without_cookie};
use crate::config::{Config, Fields};
use crate::refusal::Refusal;
use gateway_plugin_identity::problems::{Pointer, Problems};

/// The field of RFC 9110 section 11.6.2.
static AUTHORIZATION: HeaderName = HeaderName::from_static("authorization");

const DEFAULT_API_KEY_FIELD: HeaderName = HeaderName::from_static("x-api-key");

/// A credential as a client sent it.
#[derive(Debug)]
pub(crate) struct Credential<'p, 'r> {
    /// Where it is.
    pub(crate) place: &'p Place,
    /// Its text, without a scheme.
    pub(crate) text: Cow<'r, [u8]>,
    /// What it could be.
    pub(crate) kinds: Kinds,
    /// Whether it is a bearer credential (RFC 6750), wherever it is.
    pub(crate) bearer: bool,
}

/// Kinds of credentials.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Kinds {
    /// An API key.
    pub(crate) api_key: bool,
    /// A JSON Web Token.
    pub(crate) jwt: bool,
    /// A token that is introspected.
    pub(crate) introspection: bool,
    /// A name with a password.
    pub(crate) basic: bool,
}

/// A place where a credential can be.
#[derive(Debug)]
pub(crate) struct Place {
    location: Location,
    kinds: Kinds,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Location {
    /// `Authorization`, where a scheme says what follows.
    Authorization,
    Field(HeaderName),
    Query(String),
    Cookie(String),
}

/// All places where a credential can be.
#[derive(Debug, Default)]
pub(crate) struct Places(Vec<Place>);

impl Places {
    /// The places that the configuration names.
    pub(crate) fn new(config: &Config, problems: &mut Problems) -> Self {
        let mut places = Self::default();
        places.add_api_key(config, problems);
        places.add_tokens(config, problems);
        if config.basic.is_some() {
            places.add(Location::Authorization, Kinds { basic: true, ..Kinds::default() });
        }
        places
    }

    fn add_api_key(&mut self, config: &Config, problems: &mut Problems) {
        let Some(keys) = &config.api_key else { return };
        let (at, kinds) = (Pointer::default().key("api_key"), Kinds::API_KEY);
        let unnamed = keys.header.is_none() && keys.query.is_none() && keys.bearer != Some(true);
        if unnamed {
            self.add(Location::Field(DEFAULT_API_KEY_FIELD), kinds);
        }
        let fields = keys.header.as_ref().map_or(&[][..], Fields::all);
        if keys.header.is_some() && fields.is_empty() {
            problems.add(&at.key("header"), "names no field: name at least one");
        }
        for field in fields {
            if *field == *AUTHORIZATION.as_str() {
                let message = "takes a scheme: use `bearer = true` for `Authorization: Bearer`";
                problems.add(&at.key("header"), message);
            } else if *field == *COOKIE.as_str() {
                let message = "holds all cookies of a client, and none of them would be the key";
                problems.add(&at.key("header"), message);
            } else {
                self.add(Location::Field(field.clone()), kinds);
            }
        }
        self.add_parameter(keys.query.as_ref(), kinds, &at.key("query"), problems);
        if keys.bearer.unwrap_or(unnamed) {
            self.add(Location::Authorization, kinds);
        }
    }

    fn add_tokens(&mut self, config: &Config, problems: &mut Problems) {
        let root = Pointer::default();
        if let Some(jwt) = &config.jwt {
            let names = (&jwt.header, &jwt.cookie, &jwt.query);
            self.add_token(names, Kinds::JWT, &root.key("jwt"), problems);
        }
        if let Some(tokens) = &config.introspection {
            let names = (&tokens.header, &tokens.cookie, &tokens.query);
            self.add_token(names, Kinds::INTROSPECTION, &root.key("introspection"), problems);
        }
    }

    /// The field, the cookie and the parameter that may hold a token; without any, `Authorization`.
    fn add_token(
        &mut self,
        (header, cookie, query): (&Option<HeaderName>, &Option<String>, &Option<String>),
        kinds: Kinds,
        at: &Pointer,
        problems: &mut Problems,
    ) {
        let unnamed = header.is_none() && query.is_none() && cookie.is_none();
        match header.clone().or_else(|| unnamed.then(|| AUTHORIZATION.clone())) {
            Some(field) if field == *AUTHORIZATION.as_str() => {
                self.add(Location::Authorization, kinds)
            }
            Some(field) if field == *COOKIE.as_str() => {
                problems.add(&at.key("header"), "use `cookie` to name the cookie");
            }
            Some(field) => self.add(Location::Field(field), kinds),
            None => {}
        }
        self.add_parameter(query.as_ref(), kinds, &at.key("query"), problems);
        match cookie {
            Some(name) if HeaderName::parse(name).is_err() => {
                problems.add(&at.key("cookie"), "is not the name of a cookie");
            }
            Some(name) => self.add(Location::Cookie(name.clone()), kinds),
            None => {}
        }
    }

    fn add_parameter(
        &mut self,
        name: Option<&String>,
        kinds: Kinds,
        at: &Pointer,
        problems: &mut Problems,
    ) {
        match name {
            Some(name) if name.is_empty() => problems.add(at, "must not be empty"),
            Some(name) => self.add(Location::Query(name.clone()), kinds),
            None => {}
        }
    }

    fn add(&mut self, location: Location, kinds: Kinds) {
        match self.0.iter_mut().find(|place| place.location == location) {
            Some(place) => place.kinds = place.kinds.and(kinds),
            None => self.0.push(Place { location, kinds }),
        }
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one is the query.
    pub(crate) fn are_in_query(&self) -> bool {
        self.0.iter().any(|place| matches!(place.location, Location::Query(_)))
    }

    /// The fields that hold credentials.
    pub(crate) fn fields(&self) -> Vec<&str> {
        let fields = self.0.iter().filter_map(|place| match &place.location {
            Location::Authorization => Some(AUTHORIZATION.as_str()),
            Location::Field(name) => Some(name.as_str()),
            Location::Cookie(_) => Some(COOKIE.as_str()),
            Location::Query(_) => None,
        });
        fields.collect()
    }

    /// The fields, separated by commas, and the query parameter for API keys, if there are any
    /// besides `Authorization`.
    pub(crate) fn api_key_names(&self) -> Option<(Option<String>, Option<String>)> {
        let (mut fields, mut query) = (Vec::new(), None);
        for place in self.0.iter().filter(|place| place.kinds.api_key) {
            match &place.location {
                Location::Field(field) => fields.push(field.as_str()),
                Location::Query(name) => query = Some(name.clone()),
                Location::Authorization | Location::Cookie(_) => {}
            }
        }
        let names = ((!fields.is_empty()).then(|| fields.join(", ")), query);
        (names != (None, None)).then_some(names)
    }

    /// Whether one takes bearer credentials.
    pub(crate) fn take_bearer(&self) -> bool {
        let takes = |place: &Place| {
            let kinds = place.kinds;
            kinds.is_token() || (kinds.api_key && place.location == Location::Authorization)
        };
        self.0.iter().any(takes)
    }

    /// The one credential of a request.
    ///
    /// # Errors
    /// If there are several, in whatever places, or if what is in `Authorization` is none.
    pub(crate) fn find<'p, 'r>(
        &'p self,
        request: &'r Request,
    ) -> Result<Option<Credential<'p, 'r>>, Refusal> {
        let mut found = None;
        for place in &self.0 {
            let Some(credential) = place.find(request)? else {
                continue;
            };
            if found.replace(credential).is_some() {
                return Err(Refusal::Several);
            }
        }
        Ok(found)
    }
}

impl Kinds {
    const NONE: Self = Self { api_key: false, jwt: false, introspection: false, basic: false };
    const API_KEY: Self = Self { api_key: true, ..Self::NONE };
    const JWT: Self = Self { jwt: true, ..Self::NONE };
    const INTROSPECTION: Self = Self { introspection: true, ..Self::NONE };

    /// Whether it could be a token of either kind.
    fn is_token(self) -> bool {
        self.jwt || self.introspection
    }

    fn and(self, other: Self) -> Self {
        Self {
            api_key: self.api_key || other.api_key,
            jwt: self.jwt || other.jwt,
            introspection: self.introspection || other.introspection,
            basic: self.basic || other.basic,
        }
    }
}

impl Place {
    fn find<'p, 'r>(&'p self, request: &'r Request) -> Result<Option<Credential<'p, 'r>>, Refusal> {
        let text = match &self.location {
            Location::Authorization => {
                let Some(value) = request.header_bytes(&AUTHORIZATION) else {
                    return Ok(None);
                };
                return self.by_scheme(value).map(Some);
            }
            Location::Field(name) => request.header_bytes(name).map(|value| {
                let token =
                    if self.kinds.is_token() { split_scheme(value, b"bearer") } else { None };
                Cow::Borrowed(token.unwrap_or(value))
            }),
            Location::Query(name) => parameter(request, name)?,
            Location::Cookie(name) => cookie(request, name)?.map(Cow::Borrowed),
        };
        let bearer = self.kinds.is_token();
        Ok(text.map(|text| Credential { place: self, text, kinds: self.kinds, bearer }))
    }

    /// What is behind the scheme of `Authorization`.
    fn by_scheme<'p, 'r>(&'p self, value: &'r [u8]) -> Result<Credential<'p, 'r>, Refusal> {
        let Kinds { api_key, basic, .. } = self.kinds;
        let credential = |text, kinds, bearer| Credential {
            place: self,
            text: Cow::Borrowed(text),
            kinds,
            bearer,
        };
        if let Some(text) =
            split_scheme(value, b"bearer").filter(|_| api_key || self.kinds.is_token())
        {
            if !is_bearer_token(text) {
                return Err(Refusal::MalformedBearer);
            }
            return Ok(credential(text, Kinds { basic: false, ..self.kinds }, true));
        }
        if let Some(text) = split_scheme(value, b"basic").filter(|_| basic) {
            return Ok(credential(text, Kinds { basic, ..Kinds::default() }, false));
        }
        let reason = "the scheme of the field `authorization` is not accepted";
        Err(Refusal::Invalid { bearer: false, reason })
    }

    /// Takes the credential out of the request.
    pub(crate) fn hide(&self, request: &mut Request) {
        match &self.location {
            Location::Authorization => {
                request.remove_header(&AUTHORIZATION);
            }
            Location::Field(name) => {
                request.remove_header(name);
            }
            Location::Query(name) => {
                request.remove_query_parameter(name);
            }
            Location::Cookie(name) => match without_cookie(request, name) {
                Some(rest) => {
                    request.set_header(&COOKIE, rest);
                }
                None => {
                    request.remove_header(&COOKIE);
                }
            },
        }
    }
}
