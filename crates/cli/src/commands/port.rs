//! `minke port`: where a container's ports are reached on the host.

use std::net::SocketAddr;

use clap::Args;
use minke_engine::spec::PublishedPort;
use minke_engine::syntax::{PortRange, guest_port_name};

use crate::commands::engine;
use crate::output::print_line;
use crate::report::Report;

/// Show where a container's ports are reached on the host
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minke port web\n  minke port web 3000/tcp")]
pub(crate) struct Port {
    /// Name, id or beginning of an id
    #[arg(value_name = "CONTAINER")]
    container: String,

    /// One port of the container; `/tcp` where it says nothing else
    #[arg(value_name = "PORT[/PROTO]")]
    port: Option<String>,
}

impl Port {
    pub(crate) fn run(&self) -> Result<u8, Report> {
        let engine = engine()?;
        let wanted = self.port.as_deref().map(PortRange::parse).transpose()?;
        let container = engine.container(&self.container)?;
        let published: &[PublishedPort] = match container.state.is_alive() {
            true => &container.state.published,
            false => &[],
        };
        let Some(wanted) = wanted else {
            for port in published {
                print_line(&format!(
                    "{} -> {}",
                    guest_port_name(port),
                    host_address(port)
                ))?;
            }
            return Ok(0);
        };
        let is_wanted =
            |port: &&PublishedPort| wanted.names().any(|name| name == guest_port_name(port));
        let mut found = published.iter().filter(is_wanted).peekable();
        if found.peek().is_none() {
            let name: Vec<String> = wanted.names().collect();
            return Err(Report::new(
                format!(
                    "no public port `{}` published for `{}`",
                    name.join(", "),
                    self.container
                ),
                format!("`minke port {}` lists those that are", self.container),
            ));
        }
        found.try_for_each(|port| print_line(&host_address(port)))?;
        Ok(0)
    }
}

fn host_address(port: &PublishedPort) -> String {
    match port.host_address {
        Some(address) => SocketAddr::new(address, port.host_port).to_string(),
        None => port.host_port.to_string(),
    }
}
