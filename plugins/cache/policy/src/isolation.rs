//! No sequence of exchanges lets one client see what is another's.
//!
//! Exchanges are generated: clients with and without credentials, responses with any mixture of directives, some
//! confirmed by a `304`. A cache with these rules answers what it may. A second, smaller reading of the standard says of
//! each response for whom it is; what is served must be for who gets it.

use arbtest::arbitrary::{Result, Unstructured};

use crate::freshen::freshen;
use crate::select::{Decision, Request, may_stand_in, select};
use crate::store::{Rules, SetCookie, Stored, store};
use crate::structured::Member;
use crate::{Fields, Millis};

const CLIENTS: [&str; 3] = ["ada", "bob", "eve"];

/// What the responses are made of.
const SAYS: [&str; 22] = [
    "max-age=100",
    "MAX-AGE=\"100\"",
    "s-maxage=100",
    "public",
    "private",
    "Private=\"x-mine\"",
    "private=x-mine",
    "private=\"\"",
    "no-store",
    "no-store=\"x\"",
    "no-cache",
    "no-cache=\"x-mine\"",
    "must-revalidate",
    "proxy-revalidate",
    "must-understand",
    "immutable",
    "stale-while-revalidate=50",
    "stale-if-error=50",
    "a=\"public, s-maxage=9\"",
    "max-age=x",
    ",",
    "\"",
];

/// For whom a response is, as the standard says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    Everybody,
    OneClient,
}

/// A response as it came: whose it is, and for whom.
#[derive(Debug, Clone)]
struct Came {
    client: usize,
    whom: For,
    vary: Vec<(&'static str, Option<String>)>,
    fields: Fields,
    stored: Stored,
    key: String,
}

fn property(random: &mut Unstructured<'_>) -> Result<()> {
    let rules = Rules {
        targets: vec!["cdn-cache-control".into()],
        keep_stale: 1000,
        default_ttl: random.ratio(1, 3)?.then_some(50),
        status_ttl: if random.ratio(1, 4)? { vec![(200, 20), (404, 20)] } else { Vec::new() },
        stale_while_revalidate: if random.ratio(1, 4)? { 30 } else { 0 },
        stale_if_error: if random.ratio(1, 4)? { 30 } else { 0 },
        set_cookie: *random.choose(&[SetCookie::Refuse, SetCookie::Remove])?,
        ..Rules::default()
    };
    let by_consumer = random.ratio(1, 4)?;
    let mut now: Millis = 1_790_000_000_000;
    let mut kept: Vec<Came> = Vec::new();
    for _ in 0..random.int_in_range(2..=12)? {
        now += random.int_in_range(0..=90_000_u64)?;
        let client = random.choose_index(CLIENTS.len())?;
        let has_credentials = random.ratio(1, 2)?;
        let mut asked = Fields::default();
        if has_credentials {
            asked.push("authorization", format!("Bearer {}", CLIENTS[client]));
        }
        if random.ratio(1, 3)? {
            asked.push("x-client", CLIENTS[client]);
        }
        if random.ratio(1, 3)? {
            let says = [
                "no-cache",
                "max-stale",
                "max-age=0",
                "stale-if-error=500",
                "min-fresh=9",
                "no-store",
            ];
            asked.push("cache-control", *random.choose(&says)?);
        }
        let method = *random.choose(&["GET", "GET", "GET", "HEAD", "POST"])?;
        let mut request = Request::new(method, asked);
        // Who it is can be known otherwise, too.
        request.has_credentials |= random.ratio(1, 4)?;
        request.owns_key = by_consumer && has_credentials;
        let path = if random.ratio(1, 2)? { "/a" } else { "/b" };
        let key = format!("{path} {}", if request.owns_key { CLIENTS[client] } else { "" });
        // The store finds what is under the key; the rules say which of it is served.
        let places: Vec<_> = (0..kept.len()).filter(|at| kept[*at].key == key).collect();
        let stored: Vec<_> = places.iter().map(|at| kept[*at].stored.clone()).collect();
        let fails = random.ratio(1, 5)?;
        let decision = select(&request, &stored, now);
        match decision {
            Decision::Nothing => {}
            Decision::Fresh(at) | Decision::Revalidating(at) | Decision::Stale(at) => {
                served(&kept[places[at]], client, &request);
            }
            Decision::Validate(at, _) if fails => {
                let one = &kept[places[at]];
                if may_stand_in(&request, &one.stored, now) {
                    served(one, client, &request);
                }
            }
            Decision::Validate(at, _) if random.ratio(1, 2)? => {
                let at = places[at];
                let (confirmation, whom) = response(random, client, &request)?;
                let before = (&kept[at].stored, 200, &kept[at].fields);
                let fresh = freshen(&request, before, &confirmation, &rules, now, now);
                // Who asked is told. Others are only if it was kept, with the fields that it has now.
                if let Some(fresh) = fresh.filter(|fresh| fresh.keep > 0) {
                    assert_eq!(whom, For::Everybody, "kept what was said to one: {confirmation:?}");
                    kept[at].stored = fresh.stored;
                    for name in ["x-mine", "set-cookie"] {
                        assert!(!fresh.set.has(name) || !is_named(&confirmation, name));
                    }
                }
            }
            Decision::Validate(..) | Decision::Forward(_) => {
                let (answer, whom) = response(random, client, &request)?;
                let status = *random.choose(&[200, 200, 404, 204])?;
                let Ok(storing) = store(&request, status, &answer, &rules, now, now) else {
                    continue;
                };
                let varies = answer.text("vary").unwrap_or_default().to_ascii_lowercase();
                let vary = ["x-client", "authorization"]
                    .into_iter()
                    .filter(|name| varies.contains(name))
                    .map(|name| (name, request.fields.text(name)))
                    .collect();
                let mut fields = answer.clone();
                fields.retain(|name| !storing.without.iter().any(|other| other == name));
                assert!(!fields.has("set-cookie"), "stored a cookie");
                assert!(!fields.has("x-mine") || !is_named(&answer, "x-mine"), "stored {answer:?}");
                let variant = storing.stored.variant();
                kept.retain(|one| one.key != key || one.stored.variant() != variant);
                kept.push(Came { client, whom, vary, fields, stored: storing.stored, key });
            }
        }
    }
    Ok(())
}

/// Whether a client may get this.
fn served(one: &Came, client: usize, request: &Request) {
    assert!(one.whom == For::Everybody || one.client == client, "{client} was served {one:?}");
    for (name, value) in &one.vary {
        assert_eq!(&request.fields.text(name), value, "served what varies: {one:?}");
    }
}

/// A response, and for whom the standard says that it is. That reading is a search in the text and knows
/// nothing of the rules under test, but errs only towards one client.
fn response(
    random: &mut Unstructured<'_>,
    client: usize,
    request: &Request,
) -> Result<(Fields, For)> {
    let mut says = Vec::new();
    for _ in 0..random.int_in_range(0..=4)? {
        says.push(*random.choose(&SAYS)?);
    }
    let name = if random.ratio(1, 5)? { "cdn-cache-control" } else { "cache-control" };
    let mut fields = Fields::default();
    let split = random.int_in_range(0..=says.len())?;
    for half in [&says[..split], &says[split..]] {
        if !half.is_empty() {
            fields.push(name, half.join(", "));
        }
    }
    if name == "cdn-cache-control" && random.ratio(1, 2)? {
        says.push("+");
        fields.push(
            "cache-control",
            *random.choose(&["public", "private", "no-store", "s-maxage=9"])?,
        );
    }
    fields.push("etag", "\"same\"");
    for (name, value) in [
        ("x-mine", CLIENTS[client]),
        ("set-cookie", "id=1"),
        ("vary", "X-Client"),
        ("vary", "authorization"),
    ] {
        if random.ratio(1, 4)? {
            fields.push(name, value);
        }
    }
    Ok((fields.clone(), whom(&fields, request)))
}

fn whom(fields: &Fields, request: &Request) -> For {
    let own = |name: &str| fields.text(name).unwrap_or_default().to_ascii_lowercase();
    let (targeted, plain) = (own("cdn-cache-control"), own("cache-control"));
    // What stands in quotes of another directive gives nothing, and an open quote swallows the rest.
    let grants = |text: &str, word: &str| {
        let mut rest = text.to_owned();
        while let Some(from) = rest.find('"') {
            let to = rest[from + 1..].find('"').map_or(rest.len(), |at| from + at + 2);
            rest.replace_range(from..to, "");
        }
        rest.split(',').any(|part| part.trim().split('=').next() == Some(word))
    };
    let shares = |text: &str| {
        grants(text, "public") || grants(text, "s-maxage") || grants(text, "must-revalidate")
    };
    // A targeted field that is a dictionary decides alone (RFC 9213).
    let written = fields.text("cdn-cache-control").unwrap_or_default();
    let dictionary = crate::structured::dictionary(written.as_bytes());
    // A number that is none makes all of it void.
    let is_number = |(name, member): &(String, Member)| {
        name != "max-age" || matches!(member, Member::Integer(_))
    };
    let decides = dictionary.is_some_and(|all| !all.is_empty() && all.iter().all(is_number));
    let deciding = if decides { &targeted } else { &plain };
    let bare =
        |word: &str| grants(deciding, word) && !deciding.contains(&format!("{word}=\"x-mine\""));
    let is_private = bare("private") && !deciding.contains("private=x-mine");
    let has_credentials = request.has_credentials && !request.owns_key;
    let understands = grants(deciding, "must-understand");
    if is_private
        || (grants(deciding, "no-store") && !understands)
        || (has_credentials && !shares(deciding))
    {
        return For::OneClient;
    }
    For::Everybody
}

/// Whether a directive names a field, so that the field is not for others.
fn is_named(fields: &Fields, name: &str) -> bool {
    let text = fields.text("cache-control").unwrap_or_default().to_ascii_lowercase();
    let is_first = !fields.has("cdn-cache-control");
    is_first && (text.contains(&format!("=\"{name}\"")) || text.contains(&format!("={name}")))
}

#[test]
fn nobody_is_served_what_is_anothers_fuzz() {
    arbtest::arbtest(property).budget_ms(budget()).size_min(512);
}

fn budget() -> u64 {
    let said = std::env::var("ARBTEST_BUDGET_MS").ok();
    said.and_then(|text| text.parse().ok()).unwrap_or(1000)
}
