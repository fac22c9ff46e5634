//! Questions to name servers.
//!
//! Owns the exchange with a server: over UDP, over TCP where the answer does not fit, and who is asked next if a server
//! does not answer. A reply counts if it comes from whom was asked, and has the number and the question. Servers are
//! taken for recursive ones; an alias is followed by them. Must not judge what an answer is for.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use simple_dns::rdata::{OPT, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, RCODE, TYPE};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

use super::look_up::Failed;
use super::name::Service;

/// For one question to one server.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How often each server is asked.
const ROUNDS: usize = 2;
/// Servers that are asked, as by the system (resolv.conf(5)).
const MOST_SERVERS: usize = 3;
/// What fits into a reply over UDP without being cut to pieces on the way (dnsflagday.net, 2020).
const UDP_SIZE: u16 = 1232;
/// Where the question begins in a message.
const HEADER: usize = 12;

/// A record of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    Address(IpAddr),
    Service(Service),
}

/// The records of one type that a name has, and for how many seconds they hold.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) list: Vec<Record>,
    pub(super) ttl: u32,
}

/// Asks one server after the other until one has answered.
pub(super) async fn ask(servers: &[SocketAddr], name: &str, kind: TYPE) -> Result<Records, Failed> {
    let id = getrandom::u32().unwrap_or_default() as u16;
    let query = query(id, name, kind).map_err(Failed::because)?;
    let mut failed = Failed::because("there is no name server");
    for server in (0..ROUNDS).flat_map(|_| servers.iter().take(MOST_SERVERS)) {
        let reply = tokio::time::timeout(TIMEOUT, exchange(*server, &query)).await;
        failed = match reply {
            Err(_) => Failed::because(format!("{server} did not answer within {TIMEOUT:?}")),
            Ok(Err(error)) => Failed::because(format!("{server}: {error}")),
            Ok(Ok(reply)) => match read(&reply, kind) {
                Ok(result) => return result,
                Err(reason) => Failed::because(format!("{server}: {reason}")),
            },
        };
    }
    Err(failed)
}

fn query(id: u16, name: &str, kind: TYPE) -> Result<Vec<u8>, String> {
    let told = |error: simple_dns::SimpleDnsError| error.to_string();
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name).map_err(told)?;
    packet.questions.push(Question::new(name, kind.into(), CLASS::IN.into(), false));
    *packet.opt_mut() = Some(OPT { opt_codes: Vec::new(), udp_packet_size: UDP_SIZE, version: 0 });
    packet.build_bytes_vec().map_err(told)
}

async fn exchange(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let own: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    // From another port each time, which the system chooses at random.
    let socket = UdpSocket::bind(own).await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    let mut reply = vec![0; usize::from(u16::MAX)];
    loop {
        let size = socket.recv(&mut reply).await?;
        if !is_reply(&reply[..size], query) {
            continue;
        }
        reply.truncate(size);
        let is_cut = Packet::parse(&reply).map(|it| it.has_flags(PacketFlag::TRUNCATION));
        // One that is cut may not be one that can be read.
        return if is_cut.unwrap_or(true) { exchange_long(server, query).await } else { Ok(reply) };
    }
}

async fn exchange_long(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let size = u16::try_from(query.len()).map_err(io::Error::other)?;
    stream.write_all(&[&size.to_be_bytes(), query].concat()).await?;
    let mut reply = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut reply).await?;
    match is_reply(&reply, query) {
        true => Ok(reply),
        false => Err(io::Error::other("the reply is to another question")),
    }
}

/// Whether a message has the number and the question of another one.
fn is_reply(message: &[u8], query: &[u8]) -> bool {
    // The name, up to the label without a length, and its type and class.
    let end = query[HEADER..].iter().position(|byte| *byte == 0).map(|at| HEADER + at + 5);
    let Some(question) = end.and_then(|end| query.get(HEADER..end)) else { return false };
    let same = message.get(HEADER..HEADER + question.len());
    message.get(..2) == query.get(..2) && same.is_some_and(|it| it.eq_ignore_ascii_case(question))
}

/// What a reply says; an error is one of the server, and another one may know more.
fn read(reply: &[u8], kind: TYPE) -> Result<Result<Records, Failed>, String> {
    let packet = Packet::parse(reply).map_err(|error| error.to_string())?;
    if !packet.has_flags(PacketFlag::RESPONSE) {
        return Err("the reply is a question".to_owned());
    }
    let reason = match packet.rcode() {
        RCODE::NoError => "it has no such record",
        RCODE::NameError => "there is no such name",
        other => return Err(format!("the server says {other:?}")),
    };
    let mut ttl = u32::MAX;
    let records = packet.answers.iter().filter_map(|record| {
        ttl = ttl.min(record.ttl);
        match (&record.rdata, kind) {
            (RData::A(it), TYPE::A) => Some(Record::Address(Ipv4Addr::from(it.address).into())),
            (RData::AAAA(it), TYPE::AAAA) => {
                Some(Record::Address(Ipv6Addr::from(it.address).into()))
            }
            (RData::SRV(it), TYPE::SRV) => Some(Record::Service(Service {
                priority: it.priority,
                weight: it.weight,
                port: it.port,
                host: it.target.to_string().to_ascii_lowercase(),
            })),
            _ => None,
        }
    });
    let list: Vec<_> = records.collect();
    if !list.is_empty() {
        return Ok(Ok(Records { list, ttl }));
    }
    // For how long it is so (RFC 2308 section 5).
    let ttl = packet.name_servers.iter().find_map(|record| match &record.rdata {
        RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
        _ => None,
    });
    let ttl = ttl.map(|seconds| Duration::from_secs(seconds.into()));
    Ok(Err(Failed { reason: reason.to_owned(), ttl }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_one_to_this_question() {
        let asked = query(7, "a.example", TYPE::A).unwrap();
        assert!(is_reply(&asked, &asked));
        assert!(is_reply(&query(7, "A.Example", TYPE::A).unwrap(), &asked));
        for other in [query(8, "a.example", TYPE::A), query(7, "b.example", TYPE::A)] {
            assert!(!is_reply(&other.unwrap(), &asked));
        }
        assert!(!is_reply(&query(7, "a.example", TYPE::AAAA).unwrap(), &asked));
        assert!(!is_reply(&asked[..20], &asked) && !is_reply(&[], &asked));
    }

    #[test]
    fn whatever_comes_is_read_or_refused() {
        let mut reply = query(7, "a.example", TYPE::A).unwrap();
        assert!(read(&reply, TYPE::A).is_err(), "a question");
        // A response without a record, and one of a name that does not exist.
        reply[2] |= 0x80;
        let failed = |reply: &[u8]| read(reply, TYPE::A).unwrap().unwrap_err().reason;
        assert_eq!(failed(&reply), "it has no such record");
        reply[3] = 3;
        assert_eq!(failed(&reply), "there is no such name");
        reply[3] = 2;
        assert!(read(&reply, TYPE::A).is_err(), "another server may know");
        for end in 0..reply.len() {
            let _refused_or_empty = read(&reply[..end], TYPE::A);
        }
    }
}
