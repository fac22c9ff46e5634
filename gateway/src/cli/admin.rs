//! `gateway admin`: what belongs to the admin API.

use aws_lc_rs::digest::{SHA256, digest};
use clap::Subcommand;

use super::{Refused, print};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print a new random token, once, and its digest for `[admin]`.
    Token,
}

/// Bytes of a token.
const BYTES: usize = 32;

/// Does what is asked.
pub(super) fn run(command: &Command) -> Result<(), Refused> {
    match command {
        Command::Token => token(),
    }
}

fn token() -> Result<(), Refused> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!("the system gives no random numbers: {error}");
        Refused
    })?;
    let token = hexadecimal(&bytes);
    let digest = digest(&SHA256, token.as_bytes());
    print(&format!(
        "The token, which is shown once; clients send it as `Authorization: Bearer TOKEN`:\n\n    \
         {token}\n\nIts digest, for `[admin]` of the configuration:\n\n    token = \"sha256:{}\"\n",
        hexadecimal(digest.as_ref())
    ));
    Ok(())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
