//! Configuring: instructions that change only how a container starts.
//!
//! Each returns the line of history that Docker would write, variables replaced.

use minke_balenafile::{Command, ExposeError, Exposed};
use minke_image::ImageConfig;

/// Bounds the ports that one image exposes, which a range makes easy to write.
const PORTS_MAX: usize = 4096;

/// Why a word of `EXPOSE` is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PortError {
    #[error(transparent)]
    Malformed(#[from] ExposeError),
    #[error("more than {PORTS_MAX} ports are exposed")]
    TooMany,
}

/// Sets a variable, in its place if it is there.
pub(crate) fn set_env(config: &mut ImageConfig, name: &str, value: &str) {
    let pair = format!("{name}={value}");
    let is_same = |known: &&mut String| {
        known
            .split_once('=')
            .is_some_and(|(known, _)| known == name)
    };
    match config.env.iter_mut().find(is_same) {
        Some(known) => *known = pair,
        None => config.env.push(pair),
    }
}

/// Adds `PORT[-PORT][/PROTOCOL]`. What it says of the host's ports is left to a rule, as in BuildKit.
pub(crate) fn expose(config: &mut ImageConfig, text: &str) -> Result<(), PortError> {
    let Exposed {
        first,
        last,
        protocol,
        ..
    } = Exposed::parse(text)?;
    if usize::from(last - first) + config.exposed_ports.len() >= PORTS_MAX {
        return Err(PortError::TooMany);
    }
    config
        .exposed_ports
        .extend((first..=last).map(|port| format!("{port}/{protocol}")));
    config.exposed_ports.sort();
    config.exposed_ports.dedup();
    Ok(())
}

/// Returns a variable's value.
pub(crate) fn env_of<'config>(config: &'config ImageConfig, name: &str) -> Option<&'config str> {
    let mut pairs = config.env.iter().filter_map(|pair| pair.split_once('='));
    pairs.find_map(|(own, value)| (own == name).then_some(value))
}

/// Returns a command as history shows it: a JSON array.
pub(crate) fn command_text(name: &str, words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    format!("{name} [{}]", words.join(" "))
}

/// The commands that a stage has set so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Commands {
    has_cmd: bool,
    has_shell_entrypoint: bool,
}

impl Commands {
    pub(crate) fn set_cmd(&mut self, config: &mut ImageConfig, words: Vec<String>) {
        self.has_cmd = true;
        config.cmd = words;
    }

    /// Sets the entrypoint. The base image's `CMD` was meant for another one and goes. BuildKit: dispatchEntrypoint().
    pub(crate) fn set_entrypoint(
        &mut self,
        config: &mut ImageConfig,
        command: &Command,
        words: Vec<String>,
    ) {
        self.has_shell_entrypoint = matches!(command, Command::Shell(_));
        config.entrypoint = words;
        if !self.has_cmd {
            config.cmd.clear();
        }
    }

    /// A shell would not pass `CMD` on to the program that an entrypoint's shell form names. Returns whether one is lost.
    ///
    /// Spec: Dockerfile reference, "Shell form ENTRYPOINT example".
    pub(crate) fn drop_lost_cmd(self, config: &mut ImageConfig) -> bool {
        let is_lost = self.has_shell_entrypoint && !config.cmd.is_empty();
        if is_lost {
            config.cmd.clear();
        }
        is_lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_keeps_its_place() {
        let mut config = ImageConfig::default();
        for (name, value) in [("A", "1"), ("AB", "2"), ("A", "3=4")] {
            set_env(&mut config, name, value);
        }
        assert_eq!(config.env, ["A=3=4", "AB=2"]);
    }

    #[test]
    fn ports_are_numbers_ranges_and_protocols() {
        let mut config = ImageConfig::default();
        for text in ["3000", "53/UDP", "8000-8002/tcp", "8080:3000/tcp"] {
            assert_eq!(expose(&mut config, text), Ok(()), "{text}");
        }
        assert_eq!(
            config.exposed_ports,
            ["3000/tcp", "53/udp", "8000/tcp", "8001/tcp", "8002/tcp"]
        );
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for text in ["", "65536", "a", "80/x", "9-8", "-", "1-65535", "a:80"] {
            assert!(expose(&mut ImageConfig::default(), text).is_err(), "{text}");
        }
    }
}
