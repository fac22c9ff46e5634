//! `gateway man`: the manual pages, as roff.
//!
//! Owns what the page of the program says beyond its commands: signals, exit codes, variables of the
//! environment and files. The rest is made of the commands as they are declared. A page has no date, so
//! that the same program prints the same bytes.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use super::{Arguments, Refused, print};

#[derive(Debug, Args)]
pub(super) struct Pages {
    /// Write a page for each command into this folder: gateway.1, gateway-run.1 and so on.
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// A section: its heading, and terms with what is said of each.
type Section = (&'static str, &'static [(&'static str, &'static str)]);

/// What no command declares.
const SECTIONS: [Section; 4] = [
    (
        "SIGNALS",
        &[
            ("SIGHUP", "The configuration is read again, and log files are opened again."),
            ("SIGUSR1", "Log files are opened again, as after logrotate."),
            (
                "SIGTERM, SIGINT, SIGQUIT",
                "No new connections are taken; open exchanges may finish within shutdown_grace. A second one cuts them.",
            ),
        ],
    ),
    (
        "EXIT STATUS",
        &[
            ("0", "Success; check found nothing that run would refuse."),
            ("1", "Refused: the configuration, a plugin or an address; or a worker failed."),
            ("2", "Wrong usage of the command line."),
        ],
    ),
    (
        "ENVIRONMENT",
        &[
            ("GATEWAY_LOG", "What is logged: info (the default), debug, or warn,plugin=debug."),
            (
                "XDG_CACHE_HOME",
                "Where compiled plugins are kept, unless gateway.cache_dir of the configuration says where.",
            ),
            (
                "NOTIFY_SOCKET",
                "Where a service manager is told that the gateway serves, reloads or ends: see sd_notify(3).",
            ),
        ],
    ),
    (
        "FILES",
        &[
            ("gateway.toml", "The configuration where a command is given no other."),
            ("/etc/gateway/gateway.toml", "The configuration of the service."),
        ],
    ),
];

/// Prints the page of the program, or writes those of all commands.
pub(super) fn man(pages: &Pages) -> Result<(), Refused> {
    let Some(folder) = &pages.output else {
        print(&String::from_utf8_lossy(&page()));
        return Ok(());
    };
    write(folder).map_err(|error| {
        tracing::error!("the manual pages cannot be written to {}: {error}", folder.display());
        Refused
    })
}

fn write(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(command(), folder)?;
    std::fs::write(folder.join("gateway.1"), page())
}

fn command() -> Command {
    Arguments::command().disable_help_subcommand(true)
}

/// The page of the program.
fn page() -> Vec<u8> {
    let mut page = Vec::new();
    // To memory, which always has room.
    let _never_fails = Man::new(command()).render(&mut page);
    let mut more = Roff::new();
    for (heading, terms) in SECTIONS {
        more.control("SH", [heading]);
        for (term, text) in terms {
            more.control("TP", []);
            more.text([bold(*term)]);
            more.text([roman(*text)]);
        }
    }
    more.control("SH", ["SEE ALSO"]);
    let text: [Inline; 1] = [roman("Settings, examples and guides are in /usr/share/doc/gateway.")];
    more.text(text);
    page.extend(more.to_roff().into_bytes());
    page
}
