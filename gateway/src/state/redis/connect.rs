//! From the settings of a store to a connection that has been seen to serve.
//!
//! Owns the forms of deployment: a single server, the one that sentinels name, a cluster.

use std::time::Duration;

use base64::Engine as _;
use redis::aio::{ConnectionLike as _, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, IntoConnectionInfo as _,
    RedisConnectionInfo, RedisResult, TlsCertificates, TlsMode, Value,
};

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::pipe::{self, Failed, Pipe};
use super::{Argument, FULL, SCRIPTS, TAKE, WHEN_FULL, evaluate};
use crate::config::{RedisStore, Topology};
use crate::tls;

/// To be connected, with TLS and the password.
pub(super) const CONNECT: Duration = Duration::from_secs(2);

/// A connection, which is cheap to clone.
#[derive(Clone)]
pub(super) enum Connection {
    Server(MultiplexedConnection),
    Cluster(Box<ClusterConnection>),
}

impl Connection {
    pub(super) async fn ask(&mut self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::Server(connection) => connection.send_packed_command(command).await,
            Self::Cluster(connection) => connection.req_packed_command(command).await,
        }?
        .extract_error()
    }
}

/// Connections that have been seen to serve.
pub(super) struct Connected {
    pub(super) connection: Connection,
    pub(super) pipe: Option<Pipe>,
    /// The names of the scripts.
    pub(super) shas: [String; SCRIPTS.len()],
}

/// Connects, loads the scripts and has one run once: only what takes writes in time is a store.
pub(super) async fn connect(settings: &RedisStore) -> RedisResult<Connected> {
    let (mut connection, pipe) = match tokio::time::timeout(CONNECT, open(settings)).await {
        Ok(opened) => opened?,
        Err(_) => return Err(late("it cannot be connected to", CONNECT)),
    };
    let probe = async {
        let mut shas = [const { String::new() }; SCRIPTS.len()];
        for (index, (sha, script)) in shas.iter_mut().zip(SCRIPTS).enumerate() {
            let is_for_full = index >= WHEN_FULL;
            let mut load = redis::cmd("SCRIPT");
            load.arg("LOAD").arg(script);
            match connection.ask(&load).await {
                // One that knows no flags of scripts has no answer when it is full.
                Err(error) if is_for_full && error.code() == Some("ERR") => {}
                loaded => *sha = redis::from_redis_value(loaded?)?,
            }
        }
        let sha = &shas[TAKE];
        let key = format!("{}:{{probe}}", settings.prefix);
        let arguments = ["", "1000", "1000000000", "1", "0", "0", "0"].map(Argument::from);
        match connection
            .ask(&evaluate("EVALSHA", sha, std::slice::from_ref(&key), &arguments))
            .await
        {
            // Another node than the one that loaded it.
            Err(error) if error.code() == Some("NOSCRIPT") => {
                connection.ask(&evaluate("EVAL", SCRIPTS[TAKE], &[key], &arguments)).await?;
            }
            // What it has it can change.
            Err(error) if error.code() == Some(FULL) => {}
            answered => drop(answered?),
        }
        if let Some(pipe) = &pipe {
            ping(pipe).await?;
        }
        Ok(shas)
    };
    // Some round trips, each of which has to be as quick as a check.
    let patience = settings.timeout * 4;
    match tokio::time::timeout(patience, probe).await {
        Ok(probed) => probed.map(|shas| Connected { connection, pipe, shas }),
        Err(_) => Err(late("it does not answer", patience)),
    }
}

fn late(what: &str, time: Duration) -> redis::RedisError {
    let text = format!("{what} within {} ms", time.as_millis());
    std::io::Error::new(std::io::ErrorKind::TimedOut, text).into()
}

/// Asks whether the server answers.
pub(super) async fn ping(pipe: &Pipe) -> RedisResult<()> {
    say(pipe, &[b"PING"]).await
}

async fn say(pipe: &Pipe, words: &[&[u8]]) -> RedisResult<()> {
    let answered = pipe.ask(Instant::now(), |out| pipe::command(out, words)).await;
    let why = match answered {
        Ok(_) => return Ok(()),
        Err(Failed::Refused(why)) => why,
        Err(Failed::Broken(why)) => why.as_ref().to_owned(),
        Err(Failed::Late) => "it does not answer in time".to_owned(),
    };
    Err(std::io::Error::other(why).into())
}

/// A connection for checks to this server.
async fn open_pipe(settings: &RedisStore, address: &ConnectionAddr) -> RedisResult<Option<Pipe>> {
    let (ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. }) = address
    else {
        return Ok(None);
    };
    let stream = TcpStream::connect((host.as_str(), *port)).await?;
    stream.set_nodelay(true)?;
    let pipe = match settings.tls {
        false => serve(stream, settings.timeout),
        true => {
            let config =
                tls::client_config(settings.ca.as_deref()).map_err(std::io::Error::other)?;
            let name = ServerName::try_from(host.clone()).map_err(std::io::Error::other)?;
            serve(TlsConnector::from(config).connect(name, stream).await?, settings.timeout)
        }
    };
    if let Some(password) = &settings.password {
        match &settings.username {
            Some(name) => say(&pipe, &[b"AUTH", name.as_bytes(), password.as_bytes()]).await?,
            None => say(&pipe, &[b"AUTH", password.as_bytes()]).await?,
        }
    }
    if settings.database != 0 {
        say(&pipe, &[b"SELECT", settings.database.to_string().as_bytes()]).await?;
    }
    Ok(Some(pipe))
}

fn serve<S>(stream: S, timeout: Duration) -> Pipe
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (pipe, driver) = Pipe::new(stream, timeout);
    tokio::spawn(driver);
    pipe
}

async fn open(settings: &RedisStore) -> RedisResult<(Connection, Option<Pipe>)> {
    match &settings.topology {
        Topology::Single => {
            let address = addresses(settings).next();
            let address = address.ok_or_else(|| late("it has no host", Duration::ZERO))?;
            let information = address.into_connection_info()?.set_redis_settings(login(settings));
            let client = match settings.tls {
                true => Client::build_with_tls(information, certificates(settings))?,
                false => Client::open(information)?,
            };
            open_server(settings, &client).await
        }
        Topology::Sentinel { master } => {
            let client = sentinels(settings, master)?.async_get_client().await?;
            open_server(settings, &client).await
        }
        Topology::Cluster => {
            let mut builder = ClusterClient::builder(addresses(settings))
                .connection_timeout(CONNECT)
                .response_timeout(CONNECT)
                .retries(2)
                .min_retry_wait(5)
                .max_retry_wait(20);
            if settings.tls {
                builder = builder.tls(TlsMode::Secure).certs(certificates(settings));
            }
            if let Some(username) = &settings.username {
                builder = builder.username(username);
            }
            if let Some(password) = &settings.password {
                builder = builder.password(password);
            }
            let connected = builder.build()?.get_async_connection().await?;
            Ok((Connection::Cluster(Box::new(connected)), None))
        }
    }
}

async fn open_server(
    settings: &RedisStore,
    client: &Client,
) -> RedisResult<(Connection, Option<Pipe>)> {
    let connected = client.get_multiplexed_async_connection_with_config(&untimed()).await?;
    let pipe = open_pipe(settings, client.get_connection_info().addr()).await?;
    Ok((Connection::Server(connected), pipe))
}

/// The gateway has its own time for each check.
fn untimed() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(Some(CONNECT))
}

fn addresses(settings: &RedisStore) -> impl Iterator<Item = ConnectionAddr> {
    settings.hosts.iter().map(|(host, port)| match settings.tls {
        true => ConnectionAddr::TcpTls {
            host: host.clone(),
            port: *port,
            insecure: false,
            tls_params: None,
        },
        false => ConnectionAddr::Tcp(host.clone(), *port),
    })
}

fn login(settings: &RedisStore) -> RedisConnectionInfo {
    let mut login = RedisConnectionInfo::default().set_db(settings.database);
    if let Some(username) = &settings.username {
        login = login.set_username(username);
    }
    if let Some(password) = &settings.password {
        login = login.set_password(password);
    }
    login
}

fn sentinels(settings: &RedisStore, master: &str) -> RedisResult<SentinelClient> {
    let kind = SentinelServerType::Master;
    let mut builder = SentinelClientBuilder::new(addresses(settings), master, kind)?
        .set_client_to_redis_db(settings.database);
    if settings.tls {
        builder = builder
            .set_client_to_redis_tls_mode(TlsMode::Secure)
            .set_client_to_redis_certificates(certificates(settings))
            .set_client_to_sentinel_tls_mode(TlsMode::Secure)
            .set_client_to_sentinel_certificates(certificates(settings));
    }
    if let Some(username) = &settings.username {
        builder = builder.set_client_to_redis_username(username);
    }
    if let Some(password) = &settings.password {
        builder = builder.set_client_to_redis_password(password);
    }
    builder.build()
}

/// The authorities to trust, as the library takes them.
fn certificates(settings: &RedisStore) -> TlsCertificates {
    let pem = settings.ca.as_ref().map(|authorities| {
        let mut pem = String::new();
        for authority in authorities {
            let text = base64::engine::general_purpose::STANDARD.encode(authority);
            pem.push_str("-----BEGIN CERTIFICATE-----\n");
            for line in text.as_bytes().chunks(64) {
                pem.push_str(&String::from_utf8_lossy(line));
                pem.push('\n');
            }
            pem.push_str("-----END CERTIFICATE-----\n");
        }
        pem.into_bytes()
    });
    TlsCertificates { client_tls: None, root_cert: pem }
}
