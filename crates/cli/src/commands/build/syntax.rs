//! `--secret` and `--output` as people type them: `KEY=VALUE,...`.
//!
//! Spec: Docker's reference of `docker buildx build`, "--secret", "--output".

use std::path::PathBuf;

use minke_build::{Output, OutputKind, Secret, SecretSource};

use crate::report::Report;

const SECRET_HINT: &str = "write `id=NAME,src=FILE` or `id=NAME,env=VARIABLE`";
const OUTPUT_HINT: &str = "write `type=oci,dest=FILE`, `type=docker,dest=FILE`, `type=tar,dest=FILE`, `type=local,dest=DIRECTORY` or a directory";

/// Standard output, for what is written by path. Linux: `proc_pid_fd(5)`.
const STANDARD_OUTPUT: &str = "/dev/stdout";

/// Returns keys and values.
fn fields(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(',')
        .map(|field| field.split_once('=').unwrap_or((field, "")))
}

/// Reads a secret. Without a source it is the environment's variable of its name, else the file of that name.
pub(super) fn secret(text: &str) -> Result<Secret, Report> {
    let wrong = |message: String| Report::usage(message, SECRET_HINT);
    let (mut id, mut file, mut variable) = (None, None, None);
    let mut is_variable = false;
    for (key, value) in fields(text) {
        match key {
            "id" => id = Some(value.to_owned()),
            "src" | "source" => file = Some(value),
            "env" => variable = Some(value.to_owned()),
            "type" if value == "env" => is_variable = true,
            "type" if value == "file" => {}
            key => {
                return Err(wrong(format!(
                    "invalid secret `{text}`: unexpected `{key}`"
                )));
            }
        }
    }
    let id = id.filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| wrong(format!("invalid secret `{text}`: it has no `id`")))?;
    let source = match (variable, file) {
        (Some(variable), _) => SecretSource::Variable(variable),
        (None, Some(name)) if is_variable => SecretSource::Variable(name.to_owned()),
        (None, Some(path)) => SecretSource::File(path.into()),
        (None, None) if is_variable || std::env::var_os(&id).is_some() => {
            SecretSource::Variable(id.clone())
        }
        (None, None) => SecretSource::File(PathBuf::from(&id)),
    };
    Ok(Secret { id, source })
}

/// Reads an output. A path alone is a directory, `-` a tar on standard output.
pub(super) fn output(text: &str) -> Result<Output, Report> {
    let wrong = |message: String| Report::usage(message, OUTPUT_HINT);
    if text == "-" {
        return Ok(Output {
            kind: OutputKind::Tar,
            destination: STANDARD_OUTPUT.into(),
        });
    }
    if !text.contains('=') {
        return Ok(Output {
            kind: OutputKind::Local,
            destination: text.into(),
        });
    }
    let (mut kind, mut destination) = (None, None);
    for (key, value) in fields(text) {
        match key {
            "type" => kind = Some(value),
            "dest" => destination = Some(value),
            key => {
                return Err(wrong(format!(
                    "invalid output `{text}`: unexpected `{key}`"
                )));
            }
        }
    }
    let kind = match kind {
        Some("oci") => OutputKind::Oci,
        Some("docker") => OutputKind::Docker,
        Some("tar") => OutputKind::Tar,
        Some("local") => OutputKind::Local,
        Some(other) => return Err(wrong(format!("invalid output `{text}`: no type `{other}`"))),
        None => return Err(wrong(format!("invalid output `{text}`: it has no `type`"))),
    };
    let destination = match destination {
        None | Some("-") if kind == OutputKind::Local => {
            return Err(wrong(format!(
                "invalid output `{text}`: `local` needs a `dest`"
            )));
        }
        // Docker: archives without a destination go to standard output.
        None | Some("-") => STANDARD_OUTPUT,
        Some(path) => path,
    };
    Ok(Output {
        kind,
        destination: destination.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_a_file_or_a_variable() {
        let source = |text: &str| secret(text).map(|secret| secret.source);
        assert_eq!(
            source("id=a,src=/x,type=file"),
            Ok(SecretSource::File("/x".into()))
        );
        assert_eq!(
            source("id=a,env=TOKEN"),
            Ok(SecretSource::Variable("TOKEN".into()))
        );
        assert_eq!(
            source("type=env,id=a"),
            Ok(SecretSource::Variable("a".into()))
        );
        for text in ["", "src=/x", "id=", "id=a,x=1"] {
            assert!(secret(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_output_has_a_type_and_a_place() {
        let of = |text: &str| output(text).map(|output| (output.kind, output.destination));
        assert_eq!(of("out"), Ok((OutputKind::Local, "out".into())));
        assert_eq!(of("-"), Ok((OutputKind::Tar, STANDARD_OUTPUT.into())));
        assert_eq!(
            of("type=oci,dest=x.tar"),
            Ok((OutputKind::Oci, "x.tar".into()))
        );
        assert_eq!(
            of("type=docker"),
            Ok((OutputKind::Docker, STANDARD_OUTPUT.into()))
        );
        for text in ["type=x", "dest=x", "type=local", "type=tar,push=true"] {
            assert!(output(text).is_err(), "{text}");
        }
    }
}
