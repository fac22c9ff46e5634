//! What stands between gateways and a server, and hands its answers on late.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Each answer comes so much later as it is told to. It slows nothing down besides: what is asked meanwhile goes on, and
/// answers that are held at the same time are late by the same.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    late: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Relay {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let late = Arc::new(AtomicU64::new(0));
        let by = Arc::clone(&late);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
                tokio::spawn(relay(client, server, Arc::clone(&by)));
            }
        });
        Self { address, late, task }
    }

    pub(crate) fn is_late_by(&self, time: Duration) {
        self.late.store(time.as_millis() as u64, Relaxed);
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay(client: TcpStream, server: TcpStream, late: Arc<AtomicU64>) {
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (held, mut next) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let asks = tokio::io::copy(&mut from_client, &mut to_server);
    let answers = async {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
            let until = Instant::now() + Duration::from_millis(late.load(Relaxed));
            if held.send((until, buffer[..count].to_vec())).is_err() {
                break;
            }
        }
    };
    let hands_on = async {
        while let Some((until, bytes)) = next.recv().await {
            tokio::time::sleep_until(until).await;
            if to_client.write_all(&bytes).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        _ = asks => {}
        () = answers => {}
        () = hands_on => {}
    }
}
