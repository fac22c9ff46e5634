//! The rule for which route wins, as cases and then checked on random tables against
//! [`Table::explain`], which knows no trie.

use http::{HeaderMap, Method};

use super::fixture::{Describe as _, ask, config, gives, route};
use super::{Explanation, Found, Query, Scope, Table, normalise, shadowed};
use crate::config::{Config, ListenerId, PathRules};

#[test]
fn an_exact_host_goes_before_the_longest_suffix_and_that_before_any() {
    let config = config(vec![
        route("any", "/{*rest}"),
        route("org", "/{*rest}").host("*.example.org"),
        route("eu", "/{*rest}").host("*.eu.example.org"),
        route("api", "/{*rest}").host("api.eu.example.org"),
    ]);
    gives(&config, "GET api.eu.example.org/", "api rest=");
    gives(&config, "GET API.EU.example.ORG/", "api rest=");
    gives(&config, "GET api.eu.example.org./", "api rest=");
    gives(&config, "GET x.eu.example.org/", "eu rest=");
    gives(&config, "GET x.y.EU.example.org/", "eu rest=");
    gives(&config, "GET eu.example.org/", "org rest=");
    gives(&config, "GET example.org/", "any rest=");
    gives(&config, "GET .example.org/", "any rest=");
    gives(&config, "GET badexample.org/", "any rest=");
    gives(&config, "GET /", "any rest=");
    let endless = format!("GET {}.example.org/", "x.".repeat(5_000));
    gives(&config, &endless, "any rest=");
}

#[test]
fn a_host_without_a_matching_path_falls_back_to_less_specific_hosts() {
    let config = config(vec![
        route("api", "/api").host("a.example.org").method("POST"),
        route("suffix", "/suffix").host("*.example.org"),
        route("any", "/{*rest}").method("GET"),
    ]);
    gives(&config, "GET a.example.org/suffix", "suffix");
    gives(&config, "GET a.example.org/api", "any rest=api");
    gives(&config, "PUT a.example.org/api", "405 GET HEAD POST");
}

#[test]
fn a_literal_goes_before_a_parameter_and_that_before_a_rest() {
    let config = config(vec![
        route("rest", "/a/{*rest}"),
        route("param", "/a/{id}"),
        route("literal", "/a/b"),
        route("left", "/x/{one}/b"),
        route("right", "/{one}/x/b"),
        route("both", "/x/x/{one}"),
    ]);
    gives(&config, "GET h/a/b", "literal");
    gives(&config, "GET h/a/c", "param id=c");
    gives(&config, "GET h/a/c/d", "rest rest=c/d");
    gives(&config, "GET h/x/x/b", "both one=b");
    gives(&config, "GET h/x/y/b", "left one=y");
    gives(&config, "GET h/y/x/b", "right one=y");
}

#[test]
fn a_verb_goes_before_a_parameter_and_captures_what_is_before_it() {
    let config = config(vec![
        route("any", "/models/{model}"),
        route("generate", "/models/{model}:generateContent"),
        route("stream", "/models/{model}:streamGenerateContent"),
        route("exact", "/models/tiny:generateContent"),
        route("deeper", "/models/{model}:generateContent/{id}").method("GET"),
    ]);
    gives(&config, "POST h/models/a-1:generateContent", "generate model=a-1");
    gives(&config, "POST h/models/a%3AgenerateContent", "generate model=a");
    gives(&config, "POST h/models/a:b:streamGenerateContent", "stream model=a:b");
    gives(&config, "POST h/models/tiny:generateContent", "exact");
    gives(&config, "GET h/models/a:generateContent/7", "deeper model=a id=7");
    gives(&config, "POST h/models/:generateContent", "any model=:generateContent");
    gives(&config, "POST h/models/generateContent", "any model=generateContent");
    gives(&config, "POST h/models/a:countTokens", "any model=a:countTokens");
}

#[test]
fn a_branch_that_leads_nowhere_gives_way_to_the_next() {
    let config = config(vec![
        route("deep", "/a/b/c/d"),
        route("mixed", "/a/{x}/c/{y}"),
        route("rest", "/a/{*rest}"),
        route("get", "/m/x").method("GET"),
        route("other", "/m/{x}"),
    ]);
    gives(&config, "GET h/a/b/c/d", "deep");
    gives(&config, "GET h/a/b/c/e", "mixed x=b y=e");
    gives(&config, "GET h/a/b/z/e", "rest rest=b/z/e");
    gives(&config, "GET h/a/b/c/d/e", "rest rest=b/c/d/e");
    gives(&config, "GET h/a", "404");
    gives(&config, "PUT h/m/x", "other x=x");
}

#[test]
fn a_rest_may_be_empty_but_needs_its_slash() {
    let config = config(vec![route("api", "/api/{*rest}"), route("item", "/item/{id}")]);
    gives(&config, "GET h/api/", "api rest=");
    gives(&config, "GET h/api/x/y/", "api rest=x/y/");
    gives(&config, "GET h/api", "404");
    gives(&config, "GET h/item/", "404");
    gives(&config, "GET h/item/7/", "404");
    gives(&config, "GET h/item/7", "item id=7");
}

#[test]
fn a_trailing_slash_and_case_make_a_difference() {
    let config = config(vec![route("bare", "/a"), route("slash", "/a/"), route("root", "/")]);
    gives(&config, "GET h/a", "bare");
    gives(&config, "GET h/a/", "slash");
    gives(&config, "GET h/A", "404");
    gives(&config, "GET h/", "root");
}

#[test]
fn literals_match_whichever_characters_the_client_escapes() {
    let config = config(vec![
        route("me", "/users/@me"),
        route("other", "/users/{name}"),
        route("coffee", "/caf%C3%A9"),
        route("percent", "/100%25"),
    ]);
    gives(&config, "GET h/users/@me", "me");
    gives(&config, "GET h/users/%40me", "me");
    gives(&config, "GET h/users/%2540me", "other name=%2540me");
    gives(&config, "GET h/caf%C3%A9", "coffee");
    gives(&config, "GET h/100%25", "percent");
    gives(&config, "GET h/100%2525", "404");
}

#[test]
fn more_predicates_go_first_and_then_the_order_of_the_file() {
    let config = config(vec![
        route("plain", "/"),
        route("plain-too", "/"),
        route("query", "/").query("q", "1"),
        route("header", "/").header("x-a", "1"),
        route("headers", "/").header("x-a", "1").header("x-b", "*"),
        route("method", "/").method("POST"),
    ]);
    let on = |request, headers: &[(&'static str, &str)]| {
        let request = headers.iter().fold(ask(request), |ask, (name, value)| ask.with(name, value));
        request.on(&config)
    };
    assert_eq!(on("GET h/", &[]), "plain");
    assert_eq!(on("GET h/?q=1", &[]), "query");
    assert_eq!(on("GET h/?q=1", &[("x-a", "1")]), "header");
    assert_eq!(on("GET h/", &[("x-a", "0"), ("x-a", "1"), ("x-b", "")]), "headers");
    assert_eq!(on("POST h/?q=1", &[("x-a", "1"), ("x-b", "")]), "method");
}

#[test]
fn answers_405_only_when_nothing_but_the_method_is_wrong() {
    let config = config(vec![
        route("read", "/a").method("GET"),
        route("purge", "/a").method("PURGE"),
        route("write", "/{x}").method("POST").header("x-key", "*"),
    ]);
    gives(&config, "PUT h/a", "405 GET HEAD PURGE");
    gives(&config, "BREW h/a", "405 GET HEAD PURGE");
    gives(&config, "PURGE h/a", "purge");
    gives(&config, "PUT h/b", "404");
    assert_eq!(ask("PUT h/b").with("x-key", "1").on(&config), "405 POST");
    assert_eq!(ask("PUT h/a").with("x-key", "1").on(&config), "405 GET HEAD POST PURGE");
}

#[test]
fn head_goes_to_a_route_that_names_it_and_else_to_one_that_names_get() {
    let config = config(vec![
        route("get", "/a").method("GET"),
        route("head", "/a").method("HEAD"),
        route("any", "/a"),
        route("only", "/b").method("GET"),
    ]);
    gives(&config, "GET h/a", "get");
    gives(&config, "HEAD h/a", "head");
    gives(&config, "POST h/a", "any");
    gives(&config, "HEAD h/b", "only");
}

#[test]
fn a_listener_sees_only_its_own_routes() {
    let config = config(vec![route("second", "/").on(1), route("both", "/{*rest}")]);
    gives(&config, "GET h/", "both rest=");
    let table = Table::build(&config, ListenerId(1));
    let found = table.find(&ask("GET h/").query());
    assert!(matches!(found, Found::Route { route: 0, .. }), "{found:?}");
}

#[test]
fn captures_are_decoded_when_asked_and_know_their_pattern() {
    let path = "/n/{a}/{b}/{c}/{d}/{*e}";
    let config = config(vec![route("first", "/x/{id}").path(path)]);
    let table = Table::build(&config, ListenerId(0));
    let ask = ask("GET h/n/1/2/caf%C3%A9%20x/%FF/5/6");
    let Found::Route { pattern, captures, .. } = table.find(&ask.query()) else {
        panic!("no route");
    };
    assert_eq!(pattern, 1);
    let named = captures.named(&table, ask.query().path);
    assert_eq!(named.value("c"), Some("caf%C3%A9%20x"));
    assert_eq!(named.decoded("c").as_deref(), Some("café x"));
    assert_eq!(named.decoded("d").as_deref(), Some("\u{FFFD}"));
    assert_eq!(named.value("e"), Some("5/6"));
    assert_eq!(named.value("id"), None);
}

#[test]
fn asterisk_form_and_odd_paths_have_no_route() {
    let config = config(vec![route("all", "/{*rest}")]);
    let table = Table::build(&config, ListenerId(0));
    for path in ["*", "", "x"] {
        let headers = HeaderMap::new();
        let query =
            Query { host: "h", path, method: &Method::OPTIONS, headers: &headers, query: None };
        assert_eq!(table.find(&query), Found::NotFound);
        assert_eq!(table.explain(&config, &query).winner, None);
    }
}

#[test]
fn the_example_in_the_routing_guide_is_true() {
    let config = config(vec![
        route("site", "/{*rest}"),
        route("order", "/orders/{id}").host("*.example.org"),
        route("new-order", "/orders/new").host("*.example.org").method("POST"),
        route("order-v2", "/orders/{id}").host("*.example.org").header("x-version", "2"),
        route("shop", "/orders/{*rest}").host("shop.example.org"),
    ]);
    gives(&config, "GET api.example.org/orders/7", "order id=7");
    let second = ask("GET api.example.org/orders/7").with("x-version", "2");
    assert_eq!(second.on(&config), "order-v2 id=7");
    gives(&config, "POST api.example.org/orders/new", "new-order");
    gives(&config, "GET api.example.org/orders/new", "order id=new");
    gives(&config, "GET shop.example.org/orders/7", "shop rest=7");
    gives(&config, "GET shop.example.org/cart", "site rest=cart");
}

/// Few pieces, so that patterns collide all the time.
#[test]
fn table_explanation_and_shadows_agree_on_random_configurations() {
    let mut dice = Dice(0x2545_F491_4F6C_DD1D);
    let (mut served, mut refused, mut shadows) = (0, 0, 0);
    for _ in 0..1_500 {
        let config = random_config(&mut dice);
        let table = Table::build(&config, ListenerId(0));
        let dead = shadowed(&config);
        shadows += dead.len();
        for _ in 0..60 {
            let ask = random_ask(&mut dice);
            let query = ask.query();
            let explanation = table.explain(&config, &query);
            match table.find(&query) {
                Found::Route { route, pattern, .. } => {
                    served += 1;
                    agrees(&config, &explanation, route, pattern);
                    let lives = dead.iter().all(|shadow| {
                        shadow.route != route
                            || matches!(shadow.scope, Scope::Path(path) if path != pattern)
                    });
                    assert!(lives, "{dead:?}\n{explanation}\n{:#?}", config.routes);
                }
                Found::MethodNotAllowed { allow, .. } => {
                    refused += 1;
                    assert_eq!((explanation.winner, &explanation.allow), (None, &allow));
                    assert!(!allow.contains(query.method));
                    for method in &allow {
                        let again = Query { method, ..query };
                        assert!(matches!(table.find(&again), Found::Route { .. }), "{method}");
                    }
                }
                Found::NotFound => {
                    assert!(explanation.winner.is_none(), "{explanation}");
                    assert!(explanation.allow.is_empty(), "{explanation}");
                    let methods = [Method::GET, Method::POST, Method::HEAD];
                    for method in &methods {
                        assert_eq!(table.find(&Query { method, ..query }), Found::NotFound);
                    }
                }
            }
        }
    }
    assert!(served > 10_000 && refused > 1_000 && shadows > 200, "{served} {refused} {shadows}");
}

fn agrees(config: &Config, explanation: &Explanation, route: usize, pattern: usize) {
    let winner = explanation.winner.map(|step| &explanation.steps[step]);
    let path = config.routes[route].matcher.paths[pattern].text.clone();
    let agree = winner.is_some_and(|step| {
        step.route == route && step.verdict == super::Verdict::Matches { pattern: path }
    });
    assert!(agree, "{route} {pattern}\n{explanation}\n{:#?}", config.routes);
}

const HOSTS: [&str; 5] = ["a.b.c", "b.c", "*.c", "*.b.c", "*.a.b.c"];
const SEGMENTS: [&str; 7] = ["a", "b", "{x}", "{y}", "{x}:v", "{*r}", ""];
const METHODS: [&str; 4] = ["GET", "HEAD", "POST", "PURGE"];

fn random_config(dice: &mut Dice) -> Config {
    let routes = (0..=dice.roll(7)).map(|number| {
        let mut route = route(&format!("r{number}"), &random_pattern(dice));
        for _ in 0..dice.roll(2) {
            route = route.path(&random_pattern(dice));
        }
        for _ in 0..dice.roll(3).saturating_sub(1) {
            route = route.host(dice.one_of(&HOSTS));
        }
        for _ in 0..dice.roll(3) {
            route = route.method(dice.one_of(&METHODS));
        }
        for _ in 0..dice.roll(4).saturating_sub(2) {
            route = route.header(dice.one_of(&["x-a", "x-b"]), dice.one_of(&["1", "2", "*"]));
        }
        if dice.roll(5) == 0 {
            route = route.query("q", dice.one_of(&["1", "*"]));
        }
        route
    });
    config(routes.collect())
}

fn random_pattern(dice: &mut Dice) -> String {
    let mut text = String::new();
    for _ in 0..=dice.roll(3) {
        let segment = dice.one_of(&SEGMENTS);
        text.push('/');
        text.push_str(segment);
        if matches!(segment, "{*r}" | "") {
            break;
        }
    }
    text
}

fn random_ask(dice: &mut Dice) -> super::fixture::Ask {
    let host = dice.one_of(&["a.b.c", "b.c", "x.c", "x.a.b.c", "A.B.C.", "z", ""]);
    let mut path = String::new();
    for _ in 0..=dice.roll(3) {
        path.push('/');
        path.push_str(dice.one_of(&["a", "b", "%61", "z", "z:v", ""]));
    }
    let path = normalise(&path, PathRules::default()).unwrap();
    let query = dice.one_of(&["", "?q=1", "?q=2"]);
    let method = dice.one_of(&METHODS);
    let mut ask = ask(&format!("{method} {host}{path}{query}"));
    for name in ["x-a", "x-b"] {
        if dice.roll(2) == 0 {
            ask = ask.with(name, dice.one_of(&["1", "2"]));
        }
    }
    ask
}

/// A xorshift generator: the same configurations each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.roll(list.len())]
    }
}
