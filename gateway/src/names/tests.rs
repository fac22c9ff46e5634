//! What a name remembers, and which targets follow from it.

use super::look_up::{Failed, Found};
use super::name::{Answer, Service};
use super::*;
use crate::config::{Dns, Origin, Place};
use crate::upstream::tests::support;

fn upstream(url_or_srv: Target, dns: Dns) -> Upstream {
    let written = vec![url_or_srv.clone()];
    Upstream { written, dns, ..support::config(vec![url_or_srv]) }
}

fn target(host: &str) -> Target {
    Target {
        tls: false,
        host: host.to_owned(),
        port: 9000,
        authority: format!("{host}:9000"),
        weight: 2,
        priority: 1,
        origin: Origin::Url,
        place: Place::default(),
    }
}

/// A name that nobody asks for.
fn name(upstream: &Upstream) -> Name {
    Name::new(upstream, &upstream.written[0], Arc::default())
}

fn found(addresses: &[&str], ttl: Option<u64>) -> Result<Found, Failed> {
    let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
    Ok(Found { answer: Answer::Addresses(addresses), ttl: ttl.map(Duration::from_secs) })
}

fn failed(ttl: Option<u64>) -> Result<Found, Failed> {
    Err(Failed { reason: "away".to_owned(), ttl: ttl.map(Duration::from_secs) })
}

#[test]
fn a_name_is_asked_for_again_by_the_ttl_within_bounds() {
    let name = name(&upstream(target("a.example"), Dns::default()));
    let seconds = |found| name.takes(found).as_secs();
    assert_eq!(seconds(found(&["10.0.0.1"], Some(60))), 60);
    assert_eq!(seconds(found(&["10.0.0.1"], Some(0))), 1);
    assert_eq!(seconds(found(&["10.0.0.1"], Some(86_400))), 300);
    assert_eq!(seconds(found(&["10.0.0.1"], None)), 30, "the system says none");
    assert_eq!(seconds(failed(None)), 5);
    assert_eq!(seconds(failed(Some(2))), 2);
    assert_eq!(seconds(failed(Some(0))), 1);
    assert_eq!(seconds(failed(Some(600))), 5);
}

#[test]
fn the_last_good_answer_stays_while_there_is_none() {
    let name = name(&upstream(target("a.example"), Dns::default()));
    assert!(!name.was_tried());
    let _wait = name.takes(failed(None));
    assert!(name.was_tried() && name.answer().is_none());
    let _wait = name.takes(found(&["10.0.0.1"], None));
    let _wait = name.takes(failed(None));
    let shown = name.show();
    assert_eq!((shown.answer, shown.error.as_deref()), (vec!["10.0.0.1".to_owned()], Some("away")));
    assert_eq!(shown.counts, [1, 2]);
}

#[test]
fn an_address_is_gone_when_it_was_missing_three_times_in_a_row() {
    let name = name(&upstream(target("a.example"), Dns::default()));
    let old = "10.0.0.1".parse().unwrap();
    let stays = |addresses: &[&str]| {
        let _wait = name.takes(found(addresses, None));
        name.stays(old)
    };
    assert!(stays(&["10.0.0.1", "10.0.0.2"]));
    let other = ["10.0.0.2"];
    assert_eq!([stays(&other), stays(&other)], [true, true]);
    assert!(stays(&["10.0.0.1"]), "it is back, and begins anew");
    assert_eq!(
        [stays(&other), stays(&other), stays(&other), stays(&other)],
        [true, true, false, false]
    );
    let _wait = name.takes(failed(None));
    assert!(name.stays("10.0.0.2".parse().unwrap()), "a failure says nothing of addresses");
}

/// The targets of an upstream whose only name stands for this.
fn targets(upstream: &Upstream, answer: Answer) -> Vec<Target> {
    let names = Names::default();
    let name = Arc::new(name(upstream));
    let _wait = name.takes(Ok(Found { answer, ttl: None }));
    lock(&names.known).push(name);
    names.targets(upstream)
}

#[test]
fn each_address_becomes_a_target_that_is_spoken_to_by_the_name() {
    let each = Dns { is_each: true, ..Dns::default() };
    let all: Arc<[std::net::IpAddr]> =
        ["10.0.0.2", "::1", "10.0.0.1"].map(|it| it.parse().unwrap()).into();
    let found = targets(&upstream(target("a.example"), each), Answer::Addresses(Arc::clone(&all)));
    let names: Vec<_> = found.iter().map(|it| it.authority.as_str()).collect();
    assert_eq!(names, ["10.0.0.1:9000", "10.0.0.2:9000", "[::1]:9000"]);
    let first = &found[0];
    assert_eq!((first.host_field(), first.server_name()), ("a.example:9000", "a.example"));
    assert_eq!((first.weight, first.priority, first.address()), (2, 1, Some(all[2])));
    // Where any address will do, the name is the target.
    let one = upstream(target("a.example"), Dns::default());
    assert_eq!(targets(&one, Answer::Addresses(all)), one.written);
}

#[test]
fn each_service_becomes_a_target_with_its_port_its_weight_and_its_priority() {
    let srv = Target { origin: Origin::Srv, ..target("_http._tcp.a.example") };
    let service = |priority, weight, port, host: &str| Service {
        priority,
        weight,
        port,
        host: host.to_owned(),
    };
    let services = [service(10, 3, 80, "b"), service(20, 0, 8080, "c"), service(10, 1, 81, "b")];
    let found = targets(&upstream(srv, Dns::default()), Answer::Services(services.into()));
    let of = |index: usize| {
        let it: &Target = &found[index];
        (it.authority.as_str(), it.weight, it.priority)
    };
    assert_eq!([of(0), of(1), of(2)], [("b", 6, 1), ("c:8080", 2, 2), ("b:81", 2, 1)]);
    assert_eq!((found[1].host_field(), found[1].server_name()), ("c:8080", "a.example"));
}

#[test]
fn hosts_of_services_are_asked_for_by_dns_whoever_else_is_asked() {
    let srv = Target { origin: Origin::Srv, ..target("_http._tcp.a.example") };
    let by_system = upstream(srv, Dns::default());
    assert_eq!(name(&by_system).show().resolver, "dns");
    let service = Target { origin: Origin::Service { of: "a.example".to_owned() }, ..target("b") };
    assert_eq!(Name::new(&by_system, &service, Arc::default()).show().resolver, "dns");
    assert_eq!(Name::new(&by_system, &target("b"), Arc::default()).show().resolver, "system");
}
