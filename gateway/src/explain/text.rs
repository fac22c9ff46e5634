//! An account for people.

use std::fmt;

use super::account::{Account, Act, Considered, Copies, OnListener, PutPlugin, Resends};

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.listeners.iter().try_for_each(|account| write!(f, "{account}"))
    }
}

impl fmt::Display for OnListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "listener {}:", self.listener)?;
        if let Some(refused) = &self.refused {
            return writeln!(f, "{}: {refused}", self.status.unwrap_or_default());
        }
        if let Some(path) = &self.path {
            writeln!(f, "the path is matched and forwarded as {path}")?;
        }
        match (&self.winner, self.status) {
            (Some(winner), _) => writeln!(f, "served by {winner}")?,
            (None, Some(405)) => {
                writeln!(f, "served by no route: 405, allowed are {}", self.allow.join(", "))?;
            }
            (None, status) => writeln!(f, "served by no route: {}", status.unwrap_or_default())?,
        }
        let width = self.routes.iter().map(|it| it.route.chars().count()).max().unwrap_or(0);
        for route in &self.routes {
            let mark = if route.wins { '*' } else { ' ' };
            writeln!(f, "{mark} {:width$}  {route}", route.route)?;
        }
        match self.routes_total.saturating_sub(self.routes.len()) {
            0 => {}
            more => writeln!(f, "  and {more} more")?,
        }
        let Some(action) = &self.action else { return Ok(()) };
        write_plugins(f, &self.plugins)?;
        writeln!(f, "then: {action}")?;
        for plugin in self.plugins.iter().filter(|plugin| !plugin.forward_to.is_empty()) {
            let names = plugin.forward_to.join(", ");
            writeln!(f, "  or an upstream that {} chooses: {names}", plugin.plugin)?;
        }
        if let Some(retries) = &self.retries {
            writeln!(f, "  {retries}")?;
        }
        if let Some(mirror) = &self.mirror {
            writeln!(f, "  {mirror}")?;
        }
        Ok(())
    }
}

fn write_plugins(f: &mut fmt::Formatter<'_>, plugins: &[PutPlugin]) -> fmt::Result {
    if plugins.is_empty() {
        return writeln!(f, "plugins: none");
    }
    let names: Vec<_> = plugins.iter().map(|plugin| plugin.plugin.as_str()).collect();
    writeln!(f, "plugins: {}", names.join(" > "))?;
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    for PutPlugin { plugin, component, put_at, defined_at, .. } in plugins {
        write!(f, "  {plugin:width$}  {component}, put there in {put_at}")?;
        if put_at.line != defined_at.line {
            write!(f, ", defined in line {}", defined_at.line)?;
        }
        writeln!(f)?;
    }
    Ok(())
}

impl fmt::Display for Considered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.matches {
            write!(f, "matches by {}", self.pattern.as_deref().unwrap_or_default())?;
            return if self.wins { Ok(()) } else { write!(f, ", but an earlier one wins") };
        }
        let (predicate, want) = (self.predicate.as_deref(), self.want.as_deref());
        write!(f, "{}: want {}", predicate.unwrap_or_default(), want.unwrap_or_default())?;
        match &self.got {
            Some(got) => write!(f, ", got {got}"),
            None => write!(f, ", is missing"),
        }
    }
}

impl fmt::Display for Resends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let statuses = self.statuses.iter().map(u16::to_string);
        let on: Vec<_> = self.on.iter().cloned().chain(statuses).collect();
        write!(f, "sent up to {} times, on {}", self.attempts, on.join(", "))?;
        if let Some(seconds) = self.attempt_timeout_seconds {
            write!(f, "; {seconds} s for each")?;
        }
        if let Some(seconds) = self.hedge_after_seconds {
            write!(f, "; to a second target after {seconds} s")?;
        }
        Ok(())
    }
}

impl fmt::Display for Copies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = (self.ratio * 1e4).round() / 100.0;
        write!(f, "copies of {percent}% go to {}", self.upstream)
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status.unwrap_or_default();
        match &*self.kind {
            "respond" => write!(f, "answered with {status}"),
            "redirect" => write!(f, "redirected with {status}"),
            kind => write!(f, "{kind} {}", self.name.as_deref().unwrap_or_default()),
        }
    }
}
